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
    threads: Annotated[int, typer.Option(min=1, help="Of the player and the emulators.")] = 1,
    engine: Annotated[
        str, typer.Option(help="serial, or process: jobs side by side on all cores.")
    ] = "serial",
    restart: Annotated[bool, typer.Option("--restart", help="Play the row's lives anew.")] = False,
    isolation: Annotated[
        bool, typer.Option("--isolation", help="Check also that lanes do not hear each other.")
    ] = False,
) -> None:
    """Score a submission: play its lives, judge them, print the table."""
    from understudy import screen
    from understudy.leaderboard import board, rows, scores
    from understudy.submissions import scoring

    request = scoring.Request(submission, benchmark, budget, out, lanes, threads, restart)
    with screen.progress() as shown:
        scoring.score(
            [request],
            task,
            engine,
            report=lambda p: shown.report(f"{p.row} {p.role}", p.moves, p.target_moves),
        )
    if isolation and not scoring.check_isolation(request):
        typer.echo("isolation does not hold: see isolation.json beside the lives", err=True)
    tables = rows.tables_of(scores.rescore(out))
    screen.show(tables)
    board.write(tables, out)
