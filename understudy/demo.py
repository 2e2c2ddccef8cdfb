"""The demo: the embedded players, scored on the embedded teachers' games, verified, and put in a table."""

from __future__ import annotations

from pathlib import Path

import typer

from understudy import screen
from understudy.leaderboard import board, rows
from understudy.leaderboard import verify as verification
from understudy.submissions import requests, scoring
from understudy.suite import benchmarks

PLAYERS = ("random", "policy-at-w", "markov", "transformer")
BUDGET = "quick"
# The questions put on each benchmark, the longest jobs first; only darkroom's teachers gain clearly so soon.
TASKS = {
    "atari-v1": ("skill",),
    "minatar-v1": ("skill",),
    "darkroom-v1": ("skill", "improvement", "transfer"),
}


def run(out: Path) -> None:
    """Score, verify by replay, print and write the question's table.

    Raises CheckFailed if a replay differs from its record.
    """
    with screen.progress() as shown:
        for benchmark, tasks in TASKS.items():
            players = [name for name in PLAYERS if name != "policy-at-w" or _has_networks(benchmark)]
            asked = [requests.Request(player, benchmark, BUDGET, out) for player in players]
            scoring.score(asked, tasks, "process", _reporter(shown))
        tables = rows.rejudge(out)
        findings = verification.verify(out, report=lambda done, total: shown.report("replay", done, total))
    screen.show(tables)
    verification.require(findings)
    lives, moves = sum(f.lives for f in findings), sum(f.moves for f in findings)
    typer.echo(f"{lives} lives of {moves:,} moves replayed through their emulators: every record holds.")
    for name in board.FILES:
        typer.echo(out / name)


def _reporter(shown: screen.Progress) -> requests.Report:
    def report(progress: requests.Progress) -> None:
        shown.report(f"{progress.row} {progress.role}", progress.moves, progress.target_moves)

    return report


def _has_networks(benchmark_name: str) -> bool:
    benchmark = benchmarks.load(benchmark_name)
    return scoring.networks_at_w(benchmark, benchmarks.teacher_lives(benchmark))
