"""`understudy rulers BENCHMARK`: what the teachers gained, from their lives and measured starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

COMMAND = typer.Typer()


@COMMAND.command("rulers")
def rulers(
    benchmark: Annotated[str, typer.Argument(help="As in: understudy benchmarks.")],
    out: Annotated[Path, typer.Option(help="The folder for the start lives; those in it stay.")],
    budget: Annotated[list[str] | None, typer.Option(help="Only this budget; may be given again.")] = None,
    threads: Annotated[int, typer.Option(min=1, max=1024, help="Of the player and the emulators.")] = 1,
    engine: Annotated[
        str, typer.Option(help="serial, or process: jobs side by side on all cores.")
    ] = "serial",
    restart: Annotated[bool, typer.Option("--restart", help="Play the starts anew.")] = False,
) -> None:
    """Measure where the rulers start, and show what they gained."""
    from understudy import screen
    from understudy.leaderboard import rows, stored
    from understudy.leaderboard import rulers as measured
    from understudy.submissions import requests, scoring
    from understudy.suite import benchmarks

    declared = benchmarks.load(benchmark)
    with screen.progress() as shown:
        for name in budget or declared.budget_names:
            request = requests.Request("", benchmark, name, out, threads=threads, restart=restart)
            scoring.play_ruler_starts(
                request, engine, lambda p: shown.report(f"{p.row} {p.role}", p.moves, p.target_moves)
            )
    if stored.has_rows(out):
        rows.rejudge(out)
    typer.echo(measured.to_text(measured.rulers(declared, out)))
