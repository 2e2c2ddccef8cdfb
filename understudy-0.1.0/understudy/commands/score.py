"""`understudy score SUBMISSION`: play a submission's runs and score them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from understudy import arguments

COMMAND = typer.Typer()


@COMMAND.command("score")
def score(
    submission: Annotated[
        str,
        typer.Argument(
            parser=arguments.text,
            help="A submission's folder, hf://user/repo@<commit hash>, or the name of an entry or control.",
        ),
    ],
    benchmark: Annotated[str, typer.Option(help="A benchmark's name; see: understudy benchmarks.")],
    out: Annotated[Path, typer.Option(parser=arguments.folder, help="Folder for runs, records and tables.")],
    budget: Annotated[str, typer.Option(help="full, tenth or quick.")] = "quick",
    task: Annotated[list[str] | None, typer.Option(help="Score only this task; may be repeated.")] = None,
    lanes: Annotated[
        int | None, typer.Option("--num-envs", help="Runs played in lock-step; default: the budget's lanes.")
    ] = None,
    threads: Annotated[
        int, typer.Option(min=1, max=1024, help="Threads of the player and the emulators.")
    ] = 1,
    device: Annotated[
        str, typer.Option(help="Of the player: cpu, cuda, cuda:N or mps; see docs/devices.md.")
    ] = "cpu",
    engine: Annotated[
        str, typer.Option(help="serial, or process (jobs side by side on all cores).")
    ] = "serial",
    restart: Annotated[
        bool, typer.Option("--restart", help="Play the row's runs again from the start.")
    ] = False,
    isolation: Annotated[
        bool, typer.Option("--isolation", help="Also check that no information leaks across the batch.")
    ] = False,
    recheck: Annotated[
        bool,
        typer.Option(
            "--recheck", help="Check that the player, given the logs again, chooses the same moves."
        ),
    ] = False,
    claim: Annotated[
        bool,
        typer.Option(
            "--claim",
            help="Also play what a yes needs: yoked and flipped rewards, other parameters, isolation.",
        ),
    ] = False,
    intervention: Annotated[
        list[str] | None,
        typer.Option(help="Also play this intervention (docs/protocol.md); may be repeated."),
    ] = None,
    of_round: Annotated[
        str, typer.Option("--round", help="dev, or the number of a round; see: understudy rounds list.")
    ] = "dev",
) -> None:
    """Play a submission's runs, score them and print its table."""
    import shlex

    from understudy import evaluation, screen
    from understudy.submissions import scoring
    from understudy.suite.harness import interventions, requests, rounds

    named = interventions.chosen(intervention or [])
    applied = [*(interventions.CLAIM if claim else ()), *named]
    rows = scoring.rows_of(
        [
            requests.Request(
                submission, benchmark, budget, out, lanes, threads, restart, rounds.load(of_round), device
            )
        ]
    )
    scoring.refuse_meaningless(rows, named)
    left_out = screen.shortfall()
    scored = evaluation.play_and_score(rows[0], task, engine, applied, left_out, isolation or claim, recheck)
    screen.show_rows(scored, {row.folder for row in rows})
    screen.echo(f"results: {out}")
    screen.echo(f"next, replay the runs: {shlex.join(['understudy', 'verify', str(out)])}")
    left_out.require_none()
