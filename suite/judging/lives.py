"""Skill of lives: points and episode ends inside windows of moves. Plain arrays, nothing is read."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_BLOCKS = 20


@dataclass(frozen=True, eq=False)
class Life:
    """The part of one life that is scored, move 0 being the first scored one, and whose life it is."""

    unit: str  # the teacher life it watched, continues or is ruled by, or its game: "breakout/seed-0"
    checkpoint: int  # which of the player's sets of weights; lives of one unit and checkpoint differ in lane
    lane: int
    reward: NDArray[np.float32]  # [n] raw points of each move
    ended: NDArray[np.bool_]  # [n] whether the move ended an episode, by terminal or cap

    def __post_init__(self) -> None:
        if self.reward.ndim != 1 or self.reward.shape != self.ended.shape:
            raise ValueError(
                f"expected reward [n] and ended [n]; found {self.reward.shape} and {self.ended.shape}"
            )
        if self.ended.dtype != np.bool_ or not np.isfinite(self.reward).all():
            raise ValueError(f"expected finite rewards and bool ends; found ends of dtype {self.ended.dtype}")

    @property
    def num_moves(self) -> int:
        """How many moves the life holds."""
        return int(self.reward.size)


@dataclass(frozen=True)
class Skill:
    """Points an episode in one window, of one life or pooled over lanes."""

    points: float
    ends: int  # episodes that ended in the window
    value: float  # points / max(ends, minimum)
    few_ends: bool  # whether the minimum stood in for the ends


def skill(lives: Sequence[Life], begin: int, end: int, minimum_ends: int) -> Skill:
    """Return the skill in moves [begin, end), pooled over lives; only moves inside count.

    Raises ValueError if there is no life, or a life does not reach over the window.
    """
    shortest = min((life.num_moves for life in lives), default=0)
    if not 0 <= begin < end <= shortest:
        raise ValueError(f"expected a window inside lives of {shortest} moves; found [{begin}, {end})")
    points = float(sum(life.reward[begin:end].sum(dtype=np.float64) for life in lives))
    ends = int(sum(np.count_nonzero(life.ended[begin:end]) for life in lives))
    return Skill(points, ends, points / max(ends, minimum_ends), ends < minimum_ends)


def end_skill(life: Life, moves: int, end_moves: int, minimum_ends: int) -> Skill:
    """Return the skill in the last `end_moves` of a life's first `moves`."""
    return skill([life], moves - end_moves, moves, minimum_ends)


def start_skill(lanes: Sequence[Life], minimum_ends: int) -> Skill:
    """Return the skill over the start job's lanes, pooled: all points over all ends."""
    parts = [skill([lane], 0, lane.num_moves, minimum_ends) for lane in lanes]
    points, ends = sum(part.points for part in parts), sum(part.ends for part in parts)
    return Skill(points, ends, points / max(ends, minimum_ends), ends < minimum_ends)


def blocks(life: Life, moves: int, minimum_ends: int, num_blocks: int = NUM_BLOCKS) -> tuple[Skill, ...]:
    """Return the skill in each of `num_blocks` equal windows of a life's first `moves`, in order."""
    edges = [moves * block // num_blocks for block in range(num_blocks + 1)]
    return tuple(skill([life], begin, end, minimum_ends) for begin, end in itertools.pairwise(edges))
