"""Short darkroom jobs that are played by the players of a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from understudy.suite import draws
from understudy.suite.harness import rollout
from understudy.suite.harness.jobs import Job
from understudy.suite.harness.lanes import Lane
from understudy.suite.histories import history_format
from understudy.suite.histories.history_format import History
from understudy.suite.io.file_names import HISTORY

GOALS = (0, 7, 14)  # of the lanes


def job(moves: int = 100, kind: str = "continue") -> Job:
    """Return a job of three lanes for a player that is called spy/seed-0."""
    lanes = tuple(
        Lane(f"darkroom/goal-{goal:02d}", f"goal-{goal:02d}/seed-0", "t", 0, draws.derive(goal), False)
        for goal in GOALS
    )
    return Job(
        benchmark="darkroom-v1",
        benchmark_sha256="0" * 64,
        budget="quick",
        kind=kind,
        player={"name": "spy", "checkpoint": "seed-0", "training_seed": None},
        salt="test",
        decoding="greedy",
        priming_moves=0,
        moves=moves,
        exploration=0.1,
        segment_moves=650,
        lanes=lanes,
        threads=1,
        device="cpu",
        versions={"understudy": "test"},
    )


def play(
    player: Any, folder: Path, a_job: Job, report: Callable[[int, int], None] = lambda done, total: None
) -> list[History]:
    """Play a job with an empty memory, and return its runs."""
    assert isinstance(player, nn.Module)
    imitator: Any = player
    folders = rollout.play(
        a_job, player, lambda: rollout.empty_start_state(imitator, len(GOALS)), folder, report
    )
    return [history_format.read(path / HISTORY) for path in folders]
