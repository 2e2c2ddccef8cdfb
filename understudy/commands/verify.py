"""`understudy verify PATH`: replay every logged run and recompute every stored number."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy import arguments

if TYPE_CHECKING:
    from understudy.leaderboard.verification import Finding

COMMAND = typer.Typer()


@COMMAND.command("verify")
def verify(
    path: Annotated[
        Path,
        typer.Argument(
            parser=arguments.folder,
            metavar="RESULTS",
            help="A folder written by `understudy score`, or the folder of a benchmark, budget or row in it.",
        ),
    ],
    processes: Annotated[
        int | None, typer.Option(min=1, help="Worker processes; default: all cores.")
    ] = None,
) -> None:
    """Replay every logged run and recompute every stored number; exit code 1 if anything differs."""
    from understudy import screen
    from understudy.leaderboard import verification

    def begin(runs: int, moves: int) -> None:
        typer.echo(f"replaying {runs:,} {'run' if runs == 1 else 'runs'} of {moves:,} moves", err=True)

    with screen.progress() as shown:
        findings = verification.verify(
            path, processes, lambda done, total: shown.report("replay", done, total), begin
        )
    try:
        for finding in findings:
            _show(finding)
    finally:  # also where the reader of this output has left: the exit code is the answer
        verification.require(findings)


def _show(finding: Finding) -> None:
    from understudy import screen

    row = finding.row
    state = "replayed" if not finding.failures else f"{len(finding.failures)} failures"
    parts = [state, f"{finding.runs} runs", f"{finding.moves:,} moves"]
    if finding.not_played:
        parts.append(f"not played: {', '.join(finding.not_played)}")
    screen.echo(f"{row.benchmark} {row.budget} {row.name}: {', '.join(parts)}")
    for failure in finding.failures:
        screen.echo(f"  {failure}")
