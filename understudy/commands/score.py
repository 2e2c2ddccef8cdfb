"""`understudy score SUBMISSION`: plays a row's lives and judges them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

COMMAND = typer.Typer()


@COMMAND.command("score")
def score(
    submission: Annotated[
        str, typer.Argument(help="A submission's folder, or the name of an entry or control.")
    ],
    benchmark: Annotated[str, typer.Option(help="As in: understudy benchmarks.")],
    out: Annotated[Path, typer.Option(help="The folder for lives, records and tables.")],
    budget: Annotated[str, typer.Option(help="full, tenth or quick.")] = "quick",
    task: Annotated[list[str] | None, typer.Option(help="Only this task; may be given again.")] = None,
    lanes: Annotated[int | None, typer.Option(help="Lives in lock-step; default: the budget's.")] = None,
    threads: Annotated[int, typer.Option(min=1, max=1024, help="Of the player and the emulators.")] = 1,
    engine: Annotated[
        str, typer.Option(help="serial, or process: jobs side by side on all cores.")
    ] = "serial",
    restart: Annotated[bool, typer.Option("--restart", help="Play the row's lives anew.")] = False,
    isolation: Annotated[
        bool, typer.Option("--isolation", help="Check also that lanes do not hear each other.")
    ] = False,
    rederive: Annotated[
        bool, typer.Option("--rederive", help="Feed the lives to the player again: does it choose the same?")
    ] = False,
    claim: Annotated[
        bool,
        typer.Option(
            "--claim",
            help="Play also what a yes needs: yoked and flipped reward, other parameters, isolation.",
        ),
    ] = False,
    probe: Annotated[
        list[str] | None, typer.Option(help="Play this probe too; may be given again: docs/protocol.md.")
    ] = None,
    salt: Annotated[str, typer.Option(help="Of the round, from which the lives' seeds derive.")] = "dev",
) -> None:
    """Score a submission: play its lives, judge them, print the table."""
    from understudy import screen
    from understudy.leaderboard import rows
    from understudy.submissions import requests, scoring
    from understudy.suite import probes

    named = probes.chosen(probe or [])
    probed = [*(probes.CLAIM if claim else ()), *named]
    request = requests.Request(submission, benchmark, budget, out, lanes, threads, restart, salt)
    scoring.refuse_probes(request, named)
    with screen.progress() as shown:

        def report(at: requests.Progress) -> None:
            shown.report(f"{at.row} {at.role}", at.moves, at.target_moves)

        scoring.score([request], task, engine, report, probed)
        if isolation or claim:
            scoring.check([request], scoring.ISOLATION, report)
        if rederive:
            scoring.check([request], scoring.REDERIVED, report)
    screen.show(rows.rejudge(out))
