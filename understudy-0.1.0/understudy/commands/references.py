"""`understudy references BENCHMARK`: play the missing start runs and show the references."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from understudy import arguments

COMMAND = typer.Typer()


@COMMAND.command("references")
def references(
    benchmark: Annotated[str, typer.Argument(help="A benchmark's name; see: understudy benchmarks.")],
    out: Annotated[
        Path, typer.Option(parser=arguments.folder, help="Folder for the start runs; runs in it are kept.")
    ],
    budget: Annotated[list[str] | None, typer.Option(help="Only this budget; may be repeated.")] = None,
    threads: Annotated[
        int, typer.Option(min=1, max=1024, help="Threads of the player and the emulators.")
    ] = 1,
    device: Annotated[
        str, typer.Option(help="Of the player: cpu, cuda, cuda:N or mps; see docs/devices.md.")
    ] = "cpu",
    engine: Annotated[
        str, typer.Option(help="serial, or process (jobs side by side on all cores).")
    ] = "serial",
    restart: Annotated[bool, typer.Option("--restart", help="Play the start runs again.")] = False,
) -> None:
    """Play the missing start runs and show the references: start, end and gain of the teachers."""
    from understudy import screen
    from understudy.leaderboard import board, reference_tables, stored_rows
    from understudy.submissions import scoring
    from understudy.suite import benchmarks
    from understudy.suite.harness.requests import Request

    declared = benchmarks.load(benchmark)
    with screen.progress() as shown:
        report = screen.play_reporter(shown)
        for name in budget or declared.budget_names:
            request = Request("", benchmark, name, out, threads=threads, restart=restart, device=device)
            scoring.play_reference_starts(request, engine, report)
    left_out = screen.shortfall()
    if stored_rows.has_rows(out):
        board.rescore(out, left_out)
    typer.echo(reference_tables.to_text(reference_tables.references(declared, out)))
    left_out.require_none()
