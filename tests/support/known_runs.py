"""Runs of known skill, and evidence made of them, to check the numbers and verdicts of tasks by hand.

from support.known_runs import RULES, evidence
from understudy.suite import tasks

tasks.load("improvement").verdict(evidence(5.0, 15.0), RULES)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from understudy.suite.scoring.evidence import Evidence
from understudy.suite.scoring.rules import Minima, Rules, Thresholds
from understudy.suite.scoring.scored_runs import ScoredRun

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
        agreement_share=0.5,
        confidence=0.95,
        no_confidence=0.975,
        power=0.9,
    ),
    minima=Minima(
        ends=5, reference_runs=4, method_units=4, window_caps=10, window_ends=20, agreement_pieces=20
    ),
)
EPISODE_MOVES = 5
SPREAD = np.array([-0.4, 0.2, 0.6, -0.2, -0.2])  # deviations of five units from their mean


def evidence(
    start: float,
    end: float,
    reference_start: float = 5.0,
    teacher_gain: float = 10.0,
    claim: str = "method",
    **others: Any,
) -> Evidence:
    """Return evidence of five units: the imitator's mean skill goes from `start` to `end`.

    The teacher's goes from `reference_start` to `reference_start + teacher_gain`. The units are teacher runs
    in a method claim, and lanes of one teacher run in a checkpoint claim. `others` are further fields of the
    evidence, or replace those made here.
    """
    make = one_a_unit if claim == "method" else one_a_lane
    reference_starts = one_a_unit(reference_start + 0.1 * SPREAD)
    return Evidence(
        claim,
        runs=make(end + SPREAD),
        starts=make(start - 0.2 * SPREAD),
        **{
            "reference_runs": one_a_unit(reference_start + teacher_gain + SPREAD[::-1]),
            "reference_starts": reference_starts,
            "random_starts": reference_starts,
            "skill_answer": "yes",
            "watched_moves": 100,
            **others,
        },
    )


def one_a_unit(values: Iterable[float]) -> tuple[ScoredRun, ...]:
    """Return one run of each skill, each of another teacher run."""
    return tuple(run(f"run-{i}", value) for i, value in enumerate(values))


def one_a_lane(values: Iterable[float], unit: str = "run-0") -> tuple[ScoredRun, ...]:
    """Return one run of each skill, as lanes of one teacher run."""
    return tuple(run(unit, value, lane) for lane, value in enumerate(values))


def run(unit: str, value: float, lane: int = 0, moves: int = 200, checkpoint: int = 0) -> ScoredRun:
    """Return a run in which every episode of five moves scores `value`: the skill of every window."""
    ended = np.arange(1, moves + 1) % EPISODE_MOVES == 0
    return ScoredRun(unit, checkpoint, lane, np.where(ended, value, 0.0).astype(np.float32), ended)


VERIFIED: dict[str, Any] = {  # with these fields, a gain of `evidence` is a verified yes
    "yoked": one_a_unit(np.full(5, 5.0)),
    "gains_of_draws": {
        "redrawn": (0.0, 0.1, 0.2),
        "shuffled": (0.0, 0.0, 0.0),
        "retrained": (9.0, 8.0, 10.0),
    },
    "isolation_holds": True,
}
