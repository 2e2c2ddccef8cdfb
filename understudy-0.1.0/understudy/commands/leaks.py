"""`understudy leaks SUBMISSION`: were its weights trained on what the references are made of?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from understudy import arguments

COMMAND = typer.Typer()


@COMMAND.command("leaks")
def leaks(
    submission: Annotated[
        str, typer.Argument(parser=arguments.text, help="A submission's folder, or the name of an entry.")
    ],
    benchmark: Annotated[str, typer.Option(help="A benchmark's name; see: understudy benchmarks.")],
    held_back: Annotated[
        Path,
        typer.Option(
            parser=arguments.folder,
            help="Data folder with continuations of runs that are published up to W only.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(parser=arguments.folder, help="Folder of the row's runs, where the result is stored."),
    ],
    budget: Annotated[
        str, typer.Option(help="full, tenth or quick; determines how many moves are predicted.")
    ] = "full",
) -> None:
    """Compare the loss on held-back and on published continuations; exit code 1 if a leak is suspected."""
    from understudy import screen
    from understudy.leaderboard import board, stored_rows
    from understudy.leaderboard.leak_notes import SUSPECTED_NATS, Leak
    from understudy.submissions import leak_test, scoring
    from understudy.suite.errors import CheckFailed
    from understudy.suite.harness.requests import Request

    with screen.progress() as shown:
        (row,) = scoring.rows_of([Request(submission, benchmark, budget, out)])
        found = leak_test.measure(
            row,
            held_back,
            lambda done, total: shown.report("predicting", done, total),
        )
    left_out = screen.shortfall()
    if stored_rows.has_rows(out):
        board.rescore(out, left_out)
    line = (
        f"{found['held_back_nats']:.4f} nats on {len(found['held_back'])} continuations held back, "
        f"{found['published_nats']:.4f} on {len(found['published'])} published: "
        f"{found['difference_nats']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"
    )
    if Leak(found["difference_nats"], found["low"], found["high"]).suspected:
        raise CheckFailed(f"leak suspected: {line}, above {SUSPECTED_NATS} nats and above 0")
    typer.echo(f"no leak suspected: {line}")
    left_out.require_none()
