"""`understudy export RESULTS --format F --out FOLDER`: stored rows in formats that others read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from understudy import arguments

COMMAND = typer.Typer()


@COMMAND.command("export")
def export(
    results: Annotated[
        Path,
        typer.Argument(parser=arguments.folder, help="A results folder, or the folder of one of its rows."),
    ],
    format_name: Annotated[
        str, typer.Option("--format", help="every-eval-ever, eval-results or model-index.")
    ],
    out: Annotated[Path, typer.Option(parser=arguments.folder, help="A new or empty folder for the files.")],
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="HF",
            help="Of eval-results: whose runs were watched, hf://datasets/user/repo@<commit hash>.",
        ),
    ] = None,
) -> None:
    """Write stored rows in a format that others read, as files in a folder; nothing is published.

    Rows are scored by the present rules. The folder is written completely or not at all.
    """
    from understudy import exports, screen
    from understudy.leaderboard import kept_scores, scores, stored_rows
    from understudy.suite import registry
    from understudy.suite.errors import InputError

    exports.require_empty(out)
    make = exports.FORMATS[registry.choose(format_name, exports.FORMATS, "format")]
    location = None if dataset is None else exports.dataset(dataset)
    root, rows = stored_rows.every_row_at(results)
    made = make(scores.score_rows(root, rows, kept=kept_scores.of_this_user()), location)
    if not made.contents:
        raise InputError(f"{results}: nothing to write as {format_name}: {'; '.join(made.left_out[:3])}")
    for line in made.left_out:
        screen.echo(line, err=True)
    exports.write(made, out)
    for name in made.contents:
        screen.echo(out / name)
