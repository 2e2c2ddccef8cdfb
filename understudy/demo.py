"""The demo: scores the embedded players on the embedded teachers' games and verifies the runs."""

from __future__ import annotations

from pathlib import Path

import typer

from understudy import screen
from understudy.leaderboard import board, verification
from understudy.submissions import scoring
from understudy.suite import benchmarks
from understudy.suite.harness.requests import Request

PLAYERS = ("random", "frozen-teacher", "bc", "transformer")
BUDGET = "quick"
# The tasks of each benchmark, longest jobs first; only darkroom's teachers gain clearly within `quick`.
TASKS = {
    "atari-v1": ("skill",),
    "minatar-v1": ("skill",),
    "darkroom-v1": ("skill", "improvement", "transfer"),
}


def run(out: Path) -> None:
    """Score, verify by replay, print and write the tables.

    Raises CheckFailed if a replay differs from its record.
    """
    with screen.progress() as shown:
        report = screen.play_reporter(shown)
        for benchmark, tasks in TASKS.items():
            players = [name for name in PLAYERS if name != "frozen-teacher" or _has_networks(benchmark)]
            rows = scoring.rows_of([Request(player, benchmark, BUDGET, out) for player in players])
            scoring.score(rows, tasks, "process", report)
        scored = board.rescore(out)
        findings = verification.verify(out, report=lambda done, total: shown.report("replay", done, total))
    screen.show(scored)
    verification.require(findings)
    runs, moves = sum(found.runs for found in findings), sum(found.moves for found in findings)
    typer.echo(f"{runs} runs of {moves:,} moves replayed through their emulators: every record holds.")
    for name in board.FILES:
        typer.echo(out / name)


def _has_networks(benchmark_name: str) -> bool:
    benchmark = benchmarks.load(benchmark_name)
    return scoring.has_networks_at_w(benchmark, benchmarks.teacher_runs(benchmark))
