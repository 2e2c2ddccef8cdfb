"""`understudy board RESULTS --out FOLDER`: the tables as Markdown and CSV, and the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

COMMAND = typer.Typer()


@COMMAND.command("board")
def board(
    results: Annotated[Path, typer.Argument(help="A folder that `understudy score` wrote.")],
    out: Annotated[Path, typer.Option(help="The folder for table.md, table.csv and figures/.")],
    figures: Annotated[
        bool, typer.Option("--figures/--no-figures", help="Whether pictures are drawn of every row.")
    ] = True,
) -> None:
    """Write the tables of stored results as Markdown and CSV, with curves, horizons and profiles."""
    from understudy.leaderboard import board as boards
    from understudy.leaderboard import figures as pictures
    from understudy.leaderboard import rows, scores

    scored = scores.judge_all(results)
    for path in boards.write(rows.tables_of(scored), out):
        typer.echo(path)
    if figures:
        drawn = pictures.write(scored, out)
        typer.echo(f"{out / pictures.FOLDER}: {len(drawn)} {'picture' if len(drawn) == 1 else 'pictures'}")
