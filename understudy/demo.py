"""The demo: scores the embedded players on the embedded teachers' games and verifies the runs."""

from __future__ import annotations

from pathlib import Path

import typer

from understudy import screen
from understudy.leaderboard import board, verification
from understudy.submissions import scoring
from understudy.suite import benchmarks
from understudy.suite.harness.requests import Request
from understudy.suite.histories import replay_notes

PLAYERS = ("random", "frozen-teacher", "bc", "transformer")
BUDGET = "quick"
# The tasks of each benchmark, longest jobs first; only darkroom's teachers gain clearly within `quick`.
TASKS = {
    "atari-v1": ("skill",),
    "minatar-v1": ("skill",),
    "darkroom-v1": ("skill", "improvement", "transfer"),
}


def run(out: Path, again: bool = False) -> None:
    """Score, verify by replay, print and write the tables.

    Args:
        out: folder for results and tables; what was played there is not played again.
        again: whether runs are replayed that were replayed here before, under the same versions.

    Raises CheckFailed if a replay differs from its record.
    """
    with screen.progress() as shown:
        report = screen.play_reporter(shown)
        for benchmark, tasks in TASKS.items():
            players = [name for name in PLAYERS if name != "frozen-teacher" or _has_networks(benchmark)]
            rows = scoring.rows_of([Request(player, benchmark, BUDGET, out) for player in players])
            scoring.score(rows, tasks, "process", report)
        scored = board.rescore(out)
        findings = verification.verify(
            out,
            report=lambda done, total: shown.report("replay", done, total),
            notes=replay_notes.of_this_user(again),
        )
    screen.show(scored)
    verification.require(findings)
    runs, moves = sum(found.runs for found in findings), sum(found.moves for found in findings)
    before = sum(found.replayed_before for found in findings)
    typer.echo(f"{runs} runs of {moves:,} moves replayed through their emulators: every record holds.")
    if before:
        typer.echo(
            f"{before} of them were replayed before, under the same versions, and {runs - before} now; "
            "--again replays all."
        )
    for name in board.STORED:
        typer.echo(out / name)


def _has_networks(benchmark_name: str) -> bool:
    benchmark = benchmarks.load(benchmark_name)
    return scoring.has_networks_at_w(benchmark, benchmarks.teacher_runs(benchmark))
