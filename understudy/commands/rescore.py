"""`understudy rescore RESULTS`: stored lives under today's rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

COMMAND = typer.Typer()


@COMMAND.command("rescore")
def rescore(
    results: Annotated[Path, typer.Argument(help="A folder that `understudy score` wrote.")],
) -> None:
    """Judge stored lives under today's rules; nothing is played."""
    from understudy import screen
    from understudy.leaderboard import rows

    screen.show(rows.rejudge(results))
