"""What the tasks judge: the lives of one row, its ruler, and the probes that a yes needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from understudy.suite.errors import InputError
from understudy.suite.judging.contrasts import CHECKPOINT, CLAIMS
from understudy.suite.judging.lives import Life


@dataclass(frozen=True, eq=False)
class Likeness:
    """An imitator's teacher-forced predictions on the teacher's next moves, W on."""

    unit: str  # the teacher life
    checkpoint: int  # which of the imitator's sets of weights
    chosen: NDArray[np.int64]  # [n] the action that the teacher chose; anything where explored
    explored: NDArray[np.bool_]  # [n] whether the executed action wasn't the teacher's: left out
    predicted: NDArray[np.int64]  # [n] the imitator's most likely legal action
    loss_nats: NDArray[np.float64]  # [n] of the imitator, on the chosen action
    ceiling: NDArray[np.float64]  # [n] agreement in [0, 1] of the best player known, e.g. the network at W
    floor_nats: NDArray[np.float64] | None = None  # [n] loss of that player; None: unknown

    def __post_init__(self) -> None:
        arrays = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        shapes = {name: array.shape for name, array in arrays.items()}
        if len(set(shapes.values())) != 1 or self.chosen.ndim != 1:
            raise ValueError(f"expected arrays [n] of one length; found {shapes}")
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise ValueError(f"likeness of {self.unit}: expected finite numbers")


@dataclass(frozen=True, eq=False)
class Evidence:
    """One row's evidence. A task uses what it needs; all lives start at their first scored move."""

    claim: str  # checkpoint: this model's lives; method: teacher lives (goals) as units
    lives: tuple[Life, ...] = ()  # the imitator's, of kind continue or transfer
    starts: tuple[Life, ...] = ()  # its start job
    ruler_lives: tuple[Life, ...] = ()  # teacher lives over the same moves; too short ones are left out
    ruler_starts: tuple[Life, ...] = ()  # start job of the teachers' networks at W
    random_starts: tuple[Life, ...] = ()  # the random player on the game that is played
    likeness: tuple[Likeness, ...] = ()
    watched_moves: int | None = None  # recorded in the shortest watched teacher life; None: none is used
    skill_answer: str | None = None  # Q1's skill verdict of the same row, asked for by improvement
    yoked: tuple[Life, ...] = ()  # the same lives, told another lane's reward, scored by their own
    flipped: tuple[Life, ...] = ()  # likewise, told each reward of their own as a punishment
    blanked: tuple[Life, ...] = ()  # likewise, told their own, with the score's pixels blank
    shows_score: bool = False  # the game's pixels show it: yoked and flipped lives have it blanked
    ends_by_failure: bool = False  # some episode of the ruler's ended by the game and not by the cap
    control_owns: Mapping[str, tuple[float, ...]] = field(
        default_factory=dict
    )  # own of each draw, by control
    isolation_holds: bool | None = None  # None: not checked
    learns_by_construction: bool = False  # its rule is written by hand: declared so, or its weights moved

    def __post_init__(self) -> None:
        if self.claim not in CLAIMS:
            raise InputError(f"expected a claim among {', '.join(CLAIMS)}; found {self.claim!r}")
        checkpoints = {life.checkpoint for life in (*self.lives, *self.starts)}
        if self.claim == CHECKPOINT and len(checkpoints) > 1:
            raise InputError(
                "a checkpoint claim is about one set of weights: lanes of several are no independent lives; "
                f"expected one checkpoint, found {len(checkpoints)}"
            )
        for name, value in vars(self).items():
            if isinstance(value, tuple) and name != "likeness":
                keys = [(life.unit, life.checkpoint, life.lane) for life in value]
                if len(keys) != len(set(keys)):
                    raise InputError(f"{name}: two lives of one unit, checkpoint and lane: {keys}")
