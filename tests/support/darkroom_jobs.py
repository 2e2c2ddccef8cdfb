"""Short darkroom jobs that are played by the players of a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from understudy.suite import draws
from understudy.suite.harness import rollout
from understudy.suite.harness.jobs import Job, Labels
from understudy.suite.harness.lanes import Lane
from understudy.suite.histories import history_format
from understudy.suite.histories.history_format import History
from understudy.suite.io.file_names import HISTORY

GOALS = (0, 7, 14)  # of the lanes
PLAYER = {
    "identity": "1" * 64,
    "checkpoint_identity": "2" * 64,
    "track": "frozen",
    "networks_at_w": {},
}


def job(goals: Sequence[int] = GOALS, name: str = "spy", **changes: Any) -> Job:
    """Return a job of one lane for each goal; `changes` replace its values."""
    lanes = tuple(
        Lane(f"darkroom/goal-{goal:02d}", f"goal-{goal:02d}/seed-0", "t", 0, draws.derive(goal), False)
        for goal in goals
    )
    whole = Job(
        labels=Labels("darkroom-v1", "quick", name, name, "seed-0", None, None),
        benchmark="0" * 64,
        kind="continue",
        player=PLAYER,
        round="dev",
        salt="test",
        decoding="greedy",
        priming_moves=0,
        moves=100,
        exploration=0.1,
        segment_moves=650,
        lanes=lanes,
        threads=1,
        device="cpu",
        precision="float32",
        versions={"torch": "test"},
    )
    return replace(whole, **changes)


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
