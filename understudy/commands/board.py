"""`understudy board RESULTS --out FOLDER`: the tables as Markdown, CSV, JSON and Parquet, and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from understudy import arguments

COMMAND = typer.Typer()


@COMMAND.command("board")
def write_board(
    results: Annotated[
        Path, typer.Argument(parser=arguments.folder, help="A folder written by `understudy score`.")
    ],
    out: Annotated[Path, typer.Option(parser=arguments.folder, help="Folder for table.* and figures/.")],
    figures: Annotated[
        bool, typer.Option("--figures/--no-figures", help="Whether to draw figures of every row.")
    ] = True,
) -> None:
    """Write the tables of stored results as Markdown, CSV, JSON and Parquet, and their figures."""
    from understudy import screen
    from understudy.leaderboard import board, scores
    from understudy.leaderboard.figures import board_figures

    left_out = screen.shortfall()
    scored = scores.score_all(results, left_out)
    for path in board.write(scored, out):
        typer.echo(path)
    if figures:
        count = len(board_figures.write(scored, out))
        typer.echo(f"{out / board_figures.FOLDER}: {count} {'figure' if count == 1 else 'figures'}")
    left_out.require_none()
