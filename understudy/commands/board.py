"""`understudy board RESULTS --out SITE`: the leaderboard as a static site, with its tables beside it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from understudy import arguments

COMMAND = typer.Typer()


@COMMAND.command("board")
def write_board(
    results: Annotated[
        Path,
        typer.Argument(
            parser=arguments.folder,
            help="A folder written by `understudy score`, or the folder of a benchmark or budget in it.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(parser=arguments.folder, help="Folder for the site: index.html, data.json and tables."),
    ],
    figures: Annotated[
        bool,
        typer.Option("--figures/--no-figures", help="Whether to draw figures for papers, into figures/."),
    ] = False,
    film: Annotated[
        list[str] | None,
        typer.Option(
            parser=arguments.text,
            metavar="BENCHMARK/BUDGET/ROW",
            help="Put films of this row's play and its teacher's on its page; may be repeated.",
        ),
    ] = None,
) -> None:
    """Write the leaderboard of stored results as a static site, which works from a file and offline."""
    from understudy import screen
    from understudy.leaderboard import board, kept_scores, scores, stored_rows
    from understudy.leaderboard.figures import board_figures
    from understudy.leaderboard.site import row_films, site_data, site_folder

    results, every_row = stored_rows.every_row_at(results)
    site_folder.require_own(out, results, every_row)
    with screen.progress() as shown:
        filmed = row_films.find(results, film or ())
        films = row_films.of_rows(results, filmed, functools.partial(shown.report, "films"))
    left_out = screen.shortfall()
    scorer = scores.RowScorer(results, left_out, kept_scores.of_this_user())
    scored = scores.score_with(scorer, stored_rows.readable(every_row, left_out), left_out)
    for path in board.write(scored, out):
        typer.echo(path)
    count = site_folder.write(site_data.document(scored, scorer, left_out.reasons(results)), out, films)
    typer.echo(f"{out / 'index.html'}: open this; the site has {count} files")
    if figures:
        drawn = len(board_figures.write(scored, out))
        typer.echo(f"{out / board_figures.FOLDER}: {drawn} {'figure' if drawn == 1 else 'figures'}")
    left_out.require_none()
