"""`understudy board RESULTS --out FOLDER`: the tables as Markdown and CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

COMMAND = typer.Typer()


@COMMAND.command("board")
def board(
    results: Annotated[Path, typer.Argument(help="A folder that `understudy score` wrote.")],
    out: Annotated[Path, typer.Option(help="The folder for table.md and table.csv.")],
) -> None:
    """Write the tables of stored results as Markdown and CSV."""
    from understudy.leaderboard import board as boards
    from understudy.leaderboard import rows, scores

    for path in boards.write(rows.tables_of(scores.judge_all(results)), out):
        typer.echo(path)
