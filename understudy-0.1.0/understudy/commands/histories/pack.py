"""`understudy histories pack FOLDER --benchmark B --out FOLDER2`: pack runs into one archive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from understudy import arguments

COMMAND = typer.Typer()


@COMMAND.command("pack")
def pack(
    folder: Annotated[
        Path,
        typer.Argument(parser=arguments.folder, help="A data folder: <benchmark>/<variant>/seed-<k>/..."),
    ],
    benchmark: Annotated[str, typer.Option(help="A benchmark's name; see: understudy benchmarks.")],
    out: Annotated[
        Path,
        typer.Option(parser=arguments.folder, help="The data folder that gets <benchmark>/histories.zip."),
    ],
) -> None:
    """Pack a data folder's runs into one archive, which is read as the folder is."""
    from understudy import screen
    from understudy.suite import benchmarks
    from understudy.suite.benchmarks import packing

    declared = benchmarks.load(benchmark)
    with screen.progress() as shown:
        archive, count = packing.pack(
            declared, folder, out, lambda done, total: shown.report("checking runs", done, total)
        )
    screen.echo(f"{archive}: {count:,} {'run' if count == 1 else 'runs'}")
