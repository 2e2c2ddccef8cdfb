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
    again: Annotated[
        bool, typer.Option("--again", help="Replay also what was replayed here before.")
    ] = False,
) -> None:
    """Replay every logged run and recompute every stored number; exit code 1 if anything differs.

    A run that was replayed here before, under the same versions, is not replayed again.
    """
    from understudy import screen
    from understudy.leaderboard import verification
    from understudy.suite.histories import replay_notes

    def begin(runs: int, moves: int, before: int) -> None:
        typer.echo(_beginning(runs, moves, before), err=True)

    with screen.progress() as shown:
        findings = verification.verify(
            path,
            processes,
            lambda done, total: shown.report("replay", done, total),
            begin,
            replay_notes.of_this_user(again),
        )
    try:
        for finding in findings:
            _show(finding)
    finally:  # also where the reader of this output has left: the exit code is the answer
        verification.require(findings)


def _beginning(runs: int, moves: int, before: int) -> str:
    """Return what is about to be replayed, and what is not."""
    parts = [f"replaying {_runs(runs)} of {moves:,} moves"] if runs or not before else []
    if before:
        parts.append(f"{_runs(before)} replayed here before, under the same versions (--again: replay all)")
    return "; ".join(parts)


def _runs(count: int) -> str:
    return f"{count:,} {'run' if count == 1 else 'runs'}"


def _show(finding: Finding) -> None:
    from understudy import screen

    row = finding.row
    state = "replayed" if not finding.failures else f"{len(finding.failures)} failures"
    before = f" ({finding.replayed_before} replayed before)" if finding.replayed_before else ""
    parts = [state, f"{finding.runs} runs{before}", f"{finding.moves:,} moves"]
    if finding.not_played:
        parts.append(f"not played: {', '.join(finding.not_played)}")
    screen.echo(f"{row.benchmark} {row.budget} {row.name}: {', '.join(parts)}")
    for failure in finding.failures:
        screen.echo(f"  {failure}")
