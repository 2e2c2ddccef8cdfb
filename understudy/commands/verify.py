"""`understudy verify RESULTS`: replay every logged run and recompute every stored number."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

COMMAND = typer.Typer()


@COMMAND.command("verify")
def verify(
    results: Annotated[Path, typer.Argument(help="A folder written by `understudy score`.")],
    processes: Annotated[
        int | None, typer.Option(min=1, help="Worker processes; default: all cores.")
    ] = None,
) -> None:
    """Replay every logged run and recompute every stored number; exit code 1 if anything differs."""
    from understudy import screen
    from understudy.leaderboard import verification

    with screen.progress() as shown:
        findings = verification.verify(
            results, processes, lambda done, total: shown.report("replay", done, total)
        )
    for finding in findings:
        row = finding.row
        state = "replayed" if not finding.failures else f"{len(finding.failures)} failures"
        where = f"{row.benchmark} {row.budget} {row.name}"
        typer.echo(f"{where}: {state}, {finding.runs} runs, {finding.moves:,} moves")
        for failure in finding.failures:
            typer.echo(f"  {failure}")
    verification.require(findings)
