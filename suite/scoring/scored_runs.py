"""Scored runs, and their skill: points an episode in windows of moves. Arrays in, numbers out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUM_BLOCKS = 20


@dataclass(frozen=True, eq=False)
class ScoredRun:
    """The part of one run that is scored. Move 0 is the first scored move."""

    unit: str  # teacher run that it watched, continues or is compared with, or its game: "breakout/seed-0"
    checkpoint: int  # number of the player's set of weights
    lane: int  # tells apart the runs of one unit and checkpoint
    reward: NDArray[np.float32]  # [n] raw points of each move
    ended: NDArray[np.bool_]  # [n] whether the move ended an episode, by terminal or by cap

    def __post_init__(self) -> None:
        if self.reward.ndim != 1 or self.reward.shape != self.ended.shape:
            raise ValueError(
                f"expected reward [n] and ended [n]; found {self.reward.shape} and {self.ended.shape}"
            )
        if self.ended.dtype != np.bool_ or not np.isfinite(self.reward).all():
            raise ValueError(f"expected finite rewards and bool ends; found ends of dtype {self.ended.dtype}")

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields: what follows from them is computed again where a run was sent."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def num_moves(self) -> int:
        """Number of moves in the run."""
        return int(self.reward.size)

    def points_in(self, begin: int, end: int) -> float:
        """Return the points of moves [begin, end)."""
        moves, before = self._points
        first, last = moves.searchsorted((begin, end))
        return float(before[last] - before[first])

    def ends_in(self, begin: int, end: int) -> int:
        """Return how many of the moves [begin, end) ended an episode."""
        first, last = self._ends.searchsorted((begin, end))
        return int(last - first)

    @cached_property
    def _points(self) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The moves [k] with points, and the points before each of them and at the end [k + 1]."""
        moves = np.flatnonzero(self.reward)
        return moves, np.concatenate([[0.0], np.cumsum(self.reward[moves], dtype=np.float64)])

    @cached_property
    def _ends(self) -> NDArray[np.intp]:
        """The moves [k] that ended an episode."""
        return np.flatnonzero(self.ended)


@dataclass(frozen=True)
class WindowSkill:
    """Points an episode in one window, of one run or pooled over lanes."""

    points: float
    ends: int  # episodes that ended in the window
    value: float  # points / max(ends, minimum)
    few_ends: bool  # whether ends is below the minimum


def skill(runs: Sequence[ScoredRun], begin: int, end: int, minimum_ends: int) -> WindowSkill:
    """Return the skill in moves [begin, end), pooled over runs.

    Raises ValueError without runs, or if a run is shorter than the window's end.
    """
    shortest = min((run.num_moves for run in runs), default=0)
    if not 0 <= begin < end <= shortest:
        raise ValueError(f"expected a window inside runs of {shortest} moves; found [{begin}, {end})")
    points = float(sum(run.points_in(begin, end) for run in runs))
    ends = sum(run.ends_in(begin, end) for run in runs)
    return WindowSkill(points, ends, points / max(ends, minimum_ends), ends < minimum_ends)


def end_skill(run: ScoredRun, moves: int, end_moves: int, minimum_ends: int) -> WindowSkill:
    """Return the skill in the last `end_moves` of a run's first `moves`."""
    return skill([run], moves - end_moves, moves, minimum_ends)


def start_skill(lanes: Sequence[ScoredRun], minimum_ends: int) -> WindowSkill:
    """Return the skill of a start job: points of all lanes / episode ends of all lanes."""
    parts = [skill([lane], 0, lane.num_moves, minimum_ends) for lane in lanes]
    points, ends = sum(part.points for part in parts), sum(part.ends for part in parts)
    return WindowSkill(points, ends, points / max(ends, minimum_ends), ends < minimum_ends)


def blocks(
    run: ScoredRun, moves: int, minimum_ends: int, num_blocks: int = NUM_BLOCKS
) -> tuple[WindowSkill, ...]:
    """Return the skill in each of `num_blocks` equal windows of a run's first `moves`, in order."""
    edges = [moves * block // num_blocks for block in range(num_blocks + 1)]
    return tuple(skill([run], begin, end, minimum_ends) for begin, end in itertools.pairwise(edges))
