"""`understudy histories pin --benchmark B`: pin the runs of which references are made (for maintainers)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from understudy import arguments

COMMAND = typer.Typer()


@COMMAND.command("pin")
def pin(
    benchmark: Annotated[str, typer.Option(help="A benchmark's name; see: understudy benchmarks.")],
    data: Annotated[
        Path | None,
        typer.Option(
            parser=arguments.folder,
            help="Pin the runs of this folder, in a file in it; default: the package's, in a checkout.",
        ),
    ] = None,
    publish: Annotated[
        str | None,
        typer.Option(metavar="USER/REPO", help="First publish the runs as this dataset on the Hub."),
    ] = None,
) -> None:
    """Pin a benchmark's teacher runs by the hashes of their moves; pins are only ever added."""
    from understudy.suite import benchmarks
    from understudy.suite.benchmarks import pinning

    declared = benchmarks.load(benchmark)
    path, added = pinning.pin(declared, data, publish, lambda line: typer.echo(line, err=True))
    typer.echo(f"{path}: {added} pins added")
