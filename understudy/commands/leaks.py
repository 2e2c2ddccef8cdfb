"""`understudy leaks SUBMISSION`: were its weights trained on what the rulers are made of?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

COMMAND = typer.Typer()


@COMMAND.command("leaks")
def leaks(
    submission: Annotated[str, typer.Argument(help="A submission's folder, or the name of an entry.")],
    benchmark: Annotated[str, typer.Option(help="As in: understudy benchmarks.")],
    held_back: Annotated[
        Path, typer.Option(help="A data folder: lives that are published up to W only, carried on.")
    ],
    out: Annotated[Path, typer.Option(help="The folder of the row's lives, where the result is noted.")],
    budget: Annotated[str, typer.Option(help="full, tenth or quick: how many moves are predicted.")] = "full",
) -> None:
    """Compare its loss on held-back continuations with that on published ones; exit code 1: suspected."""
    from understudy import screen
    from understudy.leaderboard import rows, stored
    from understudy.leaderboard.leaks import SUSPECTED_NATS, Leak
    from understudy.submissions import leaks as measured
    from understudy.submissions.requests import Request
    from understudy.suite.errors import CheckFailed

    with screen.progress() as shown:
        found = measured.measure(
            Request(submission, benchmark, budget, out),
            held_back,
            lambda done, total: shown.report("predicting", done, total),
        )
    if stored.has_rows(out):
        rows.rejudge(out)
    line = (
        f"{found['held_back_nats']:.4f} nats on {len(found['held_back'])} continuations held back, "
        f"{found['published_nats']:.4f} on {len(found['published'])} published: "
        f"{found['difference_nats']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"
    )
    if Leak(found["difference_nats"], found["low"], found["high"]).suspected:
        raise CheckFailed(f"leak suspected: {line}, above {SUSPECTED_NATS} nats and above 0")
    typer.echo(f"no leak suspected: {line}")
