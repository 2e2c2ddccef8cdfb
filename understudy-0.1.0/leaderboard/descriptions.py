"""Descriptions: horizon, curves and normalised scores of a gain. No verdict depends on them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from understudy.suite.scoring import aggregates, curves, horizon, normalised
from understudy.suite.scoring.aggregates import Band
from understudy.suite.scoring.contrasts import METHOD
from understudy.suite.scoring.curves import Curves
from understudy.suite.scoring.evidence import Evidence
from understudy.suite.scoring.horizon import Horizon
from understudy.suite.scoring.normalised import Normalised
from understudy.suite.scoring.rules import Rules
from understudy.suite.tasks import Task

SEED: Final = 2021  # of the resamples of each aggregate, so that a row's numbers do not depend on other rows
RESAMPLES: Final = 2_000


@dataclass(frozen=True, eq=False)
class Description:
    """One row's gain in one task, described."""

    horizon: Horizon
    curves: Curves | None  # None: nothing can be scored
    normalised: Normalised | None  # None: no usable reference


def describe(task: Task, evidence: Evidence, rules: Rules) -> Description:
    """Return horizon, curves and normalised scores of a row's runs in a gain task."""
    assert task.gain is not None
    reference = task.gain.measure(evidence, rules)
    return Description(
        horizon.measure(evidence, rules, reference),
        curves.measure(evidence, rules, reference),
        normalised.measure(evidence, rules, reference),
    )


def aggregates_of(one: Normalised | None, other: Normalised | None) -> dict[str, Any] | None:
    """Return the aggregates of a method claim's normalised scores as plain JSON values, or None.

    Args:
        one: the row's scores.
        other: scores of the player with which it is compared unit by unit. If None, or of other units, the
            probability of improvement is unknown.
    """
    if one is None or one.claim != METHOD:
        return None
    iqm = aggregates.stratified_bootstrap(
        aggregates.interquartile_mean, one.column, rng=np.random.default_rng(SEED), resamples=RESAMPLES
    )
    improvement = probability_of_improvement(one, other)
    return {
        "units": len(one.units),
        "seed": SEED,
        "resamples": RESAMPLES,
        "interquartile_mean": _as_json(iqm),
        "probability_of_improvement": None if improvement is None else _as_json(improvement),
    }


def probability_of_improvement(one: Normalised, other: Normalised | None) -> Band | None:
    """Return the probability that a row beats another player on a unit of both, with its interval over units.

    None if there is no other player or its units are others. A tie counts half.
    """
    if other is None or other.claim != one.claim or other.units != one.units:
        return None
    apart = one.column[:, :, None], other.column[:, :, None]  # [units, 1, 1]: each unit by itself
    wins = aggregates.probability_of_improvement(*apart)  # [units]
    return aggregates.stratified_bootstrap(
        lambda drawn: drawn.mean(axis=(-2, -1)),
        wins[:, None],
        rng=np.random.default_rng(SEED),
        resamples=RESAMPLES,
    )


def profile(one: Normalised, thresholds: np.ndarray) -> Band:
    """Return a row's performance profile at float thresholds [T], with its interval over units."""
    return aggregates.stratified_bootstrap(
        lambda scores: aggregates.performance_profile(scores, thresholds),
        one.column,
        rng=np.random.default_rng(SEED),
        resamples=RESAMPLES,
    )


def _as_json(band: Band) -> dict[str, float]:
    return {name: float(value) for name, value in dataclasses.asdict(band).items()}
