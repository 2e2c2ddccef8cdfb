"""`understudy rescore RESULTS`: score stored runs again under the present rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from understudy import arguments

COMMAND = typer.Typer()


@COMMAND.command("rescore")
def rescore(
    results: Annotated[
        Path, typer.Argument(parser=arguments.folder, help="A folder written by `understudy score`.")
    ],
) -> None:
    """Score stored runs again under the present rules, and pack them; nothing is played."""
    from understudy import screen
    from understudy.leaderboard import board

    left_out = screen.shortfall()
    screen.show(board.rescore(results, left_out))
    left_out.require_none()
