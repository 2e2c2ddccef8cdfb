"""`understudy submissions new --architecture NAME`: a small package with an architecture of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from understudy import arguments

COMMAND = typer.Typer()


@COMMAND.command("new")
def new(
    architecture: Annotated[
        str, typer.Option("--architecture", metavar="NAME", help="Of the architecture, such as my-lstm.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(parser=arguments.folder, help="An empty folder; default: one of that name, made here."),
    ] = None,
) -> None:
    """Write a small package that works: an architecture, a test that runs the kit, a pyproject.toml."""
    from understudy import screen
    from understudy.submissions import new_package

    folder = Path(architecture) if out is None else out
    for path in new_package.write(architecture, folder):
        screen.echo(path)
    screen.echo(f"next: pip install -e {folder}, then understudy check --architecture {architecture}")
