"""`understudy verify RESULTS`: every logged life played again, every stored number derived again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

COMMAND = typer.Typer()


@COMMAND.command("verify")
def verify(
    results: Annotated[Path, typer.Argument(help="A folder that `understudy score` wrote.")],
    processes: Annotated[int | None, typer.Option(min=1, help="Default: all cores.")] = None,
) -> None:
    """Replay every logged life and compare it with its record; exit code 1 if anything differs."""
    from understudy import screen
    from understudy.leaderboard import verify as verification

    with screen.progress() as shown:
        findings = verification.verify(
            results, processes, lambda done, total: shown.report("replay", done, total)
        )
    for finding in findings:
        row = finding.row
        state = "replayed" if not finding.failures else f"{len(finding.failures)} failures"
        where = f"{row.benchmark} {row.budget} {row.name}"
        typer.echo(f"{where}: {state}, {finding.lives} lives, {finding.moves:,} moves")
        for failure in finding.failures:
            typer.echo(f"  {failure}")
    verification.require(findings)
