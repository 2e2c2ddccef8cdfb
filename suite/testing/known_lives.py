"""Lives whose skill is known by hand, and evidence made of them: the oracle of a task's numbers and verdicts.

from understudy.suite import tasks
from understudy.suite.testing.known_lives import RULES, evidence

tasks.load("improvement").verdict(evidence(5.0, 15.0), RULES)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.lives import Life
from understudy.suite.judging.rules import Minima, Rules, Thresholds

RULES = Rules(
    watched_moves=100,
    moves=200,
    end_moves=50,
    episode_cap_moves=5,
    thresholds=Thresholds(
        yes_share=0.5,
        no_share=0.1,
        skill_low=0.8,
        skill_high=1.25,
        likeness_share=0.5,
        confidence=0.95,
        no_confidence=0.975,
        power=0.9,
    ),
    minima=Minima(ends=5, ruler_lives=4, method_units=4, window_caps=10, window_ends=20, likeness_pieces=20),
)
EPISODE_MOVES = 5
SPREAD = np.array([-0.4, 0.2, 0.6, -0.2, -0.2])  # of five units around a mean; sums to 0


def evidence(
    start: float,
    end: float,
    ruler_start: float = 5.0,
    gain: float = 10.0,
    claim: str = "method",
    **others: Any,
) -> Evidence:
    """Five units: imitator from `start` to `end` on average, ruler from `ruler_start` up by `gain`.

    In a method claim each unit is a teacher life; in a checkpoint claim five lanes of one. `others` are
    fields of the evidence, given or in the place of those made here.
    """
    make = one_a_unit if claim == "method" else one_a_lane
    ruler_starts = one_a_unit(ruler_start + 0.1 * SPREAD)
    return Evidence(
        claim,
        lives=make(end + SPREAD),
        starts=make(start - 0.2 * SPREAD),
        **{
            "ruler_lives": one_a_unit(ruler_start + gain + SPREAD[::-1]),
            "ruler_starts": ruler_starts,
            "random_starts": ruler_starts,
            "skill_answer": "yes",
            "watched_moves": 100,
            **others,
        },
    )


def one_a_unit(values: Iterable[float]) -> tuple[Life, ...]:
    """Return a life of each skill, each of a teacher life of its own."""
    return tuple(life(f"life-{i}", value) for i, value in enumerate(values))


def one_a_lane(values: Iterable[float], unit: str = "life-0") -> tuple[Life, ...]:
    """Return a life of each skill, lanes of one teacher life."""
    return tuple(life(unit, value, lane) for lane, value in enumerate(values))


def life(unit: str, value: float, lane: int = 0, moves: int = 200, checkpoint: int = 0) -> Life:
    """A life whose every episode of five moves scores `value`: its skill is `value` in every window."""
    ended = np.arange(1, moves + 1) % EPISODE_MOVES == 0
    return Life(unit, checkpoint, lane, np.where(ended, value, 0.0).astype(np.float32), ended)


VERIFIED: dict[str, Any] = {  # with these a gain of `evidence` is a yes
    "yoked": one_a_unit(np.full(5, 5.0)),
    "control_owns": {"redrawn": (0.0, 0.1, 0.2), "shuffled": (0.0, 0.0, 0.0)},
    "isolation_holds": True,
}
