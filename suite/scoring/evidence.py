"""Evidence: the runs, references and interventions from which a task computes its verdict on one row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from understudy.suite.errors import InputError
from understudy.suite.scoring.contrasts import CHECKPOINT, CLAIMS
from understudy.suite.scoring.scored_runs import ScoredRun


@dataclass(frozen=True, eq=False)
class Predictions:
    """An imitator's teacher-forced predictions of the teacher's moves from W on."""

    unit: str  # the teacher run
    checkpoint: int  # number of the imitator's set of weights
    chosen: NDArray[np.int64]  # [n] action chosen by the teacher; arbitrary where explored
    explored: NDArray[np.bool_]  # [n] whether another action was executed; these moves are left out
    predicted: NDArray[np.int64]  # [n] the imitator's most likely legal action
    loss_nats: NDArray[np.float64]  # [n] of the imitator, on the chosen action
    ceiling: NDArray[np.float64]  # [n] agreement in [0, 1] of the best known player, e.g. the network at W
    floor_nats: NDArray[np.float64] | None = None  # [n] loss of that player; None: unknown

    def __post_init__(self) -> None:
        arrays = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        shapes = {name: array.shape for name, array in arrays.items()}
        if len(set(shapes.values())) != 1 or self.chosen.ndim != 1:
            raise ValueError(f"expected arrays [n] of one length; found {shapes}")
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise ValueError(f"predictions of {self.unit}: expected finite numbers")


@dataclass(frozen=True)
class PinnedCount:
    """How many of the pinned teacher runs of a reference are on this machine."""

    here: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.here <= self.total:
            raise ValueError(f"expected 0 <= here <= total; found {self}")


@dataclass(frozen=True, eq=False)
class Evidence:
    """Evidence for one row. Each task uses the fields it needs; all runs begin at their first scored move."""

    claim: str  # checkpoint: units are this model's runs; method: units are teacher runs (goals)
    runs: tuple[ScoredRun, ...] = ()  # the imitator's, of kind continue or transfer
    starts: tuple[ScoredRun, ...] = ()  # the imitator's start job
    reference_runs: tuple[ScoredRun, ...] = ()  # teacher runs over the same moves; short ones are left out
    reference_starts: tuple[ScoredRun, ...] = ()  # start job of the teachers' networks at W
    random_starts: tuple[ScoredRun, ...] = ()  # start job of the random player, on the game that is played
    predictions: tuple[Predictions, ...] = ()
    watched_moves: int | None = None  # recorded in the shortest watched teacher run; None: none is used
    pinned: PinnedCount | None = None  # runs of the reference; None: unknown
    skill_answer: str | None = None  # Q1's skill verdict on the same row, used by improvement
    yoked: tuple[ScoredRun, ...] = ()  # `runs` given another lane's reward; `reward` is what they scored
    flipped: tuple[ScoredRun, ...] = ()  # `runs` given the negative of their own reward
    blanked: tuple[ScoredRun, ...] = ()  # `runs` given their own reward, with the score's pixels blanked
    shows_score: bool = False  # whether the game's pixels show it; yoked and flipped runs have it blanked
    ends_by_failure: bool = False  # whether some reference episode was ended by the game, not by the cap
    gains_of_draws: Mapping[str, tuple[float, ...]] = field(  # points an episode, one a draw, by intervention
        default_factory=dict
    )
    isolation_holds: bool | None = None  # None: not checked
    declares_training: bool = True  # whether it can be trained anew by settings that are declared
    learns_by_construction: bool = False  # a learning rule is declared, or the weights moved in play

    def __post_init__(self) -> None:
        if self.claim not in CLAIMS:
            raise InputError(f"expected a claim among {', '.join(CLAIMS)}; found {self.claim!r}")
        checkpoints = {run.checkpoint for run in (*self.runs, *self.starts)}
        if self.claim == CHECKPOINT and len(checkpoints) > 1:
            raise InputError(
                "a checkpoint claim is about one set of weights: lanes of several are not independent runs; "
                f"expected one checkpoint, found {len(checkpoints)}"
            )
        for name, value in vars(self).items():
            if isinstance(value, tuple) and name != "predictions":
                keys = [(run.unit, run.checkpoint, run.lane) for run in value]
                twice = next((key for key, count in Counter(keys).items() if count > 1), None)
                if twice is not None:
                    raise InputError(f"{name}: two runs of one unit, checkpoint and lane: {twice}")
