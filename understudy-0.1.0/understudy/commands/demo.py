"""`understudy demo`: the main job, end to end, on the embedded data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from understudy import arguments

COMMAND = typer.Typer()


@COMMAND.command("demo")
def demo(
    out: Annotated[Path, typer.Option(parser=arguments.folder, help="Folder for results and tables.")] = Path(
        "demo-results"
    ),
    again: Annotated[
        bool, typer.Option("--again", help="Replay also what was replayed here before.")
    ] = False,
) -> None:
    """Score the embedded players, verify their runs by replay and print the tables."""
    from understudy.demo import run

    run(out, again)
