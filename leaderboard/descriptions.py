"""Descriptions: what is shown of a gain besides its verdict. No verdict rests on any of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from understudy.suite import aggregates
from understudy.suite.aggregates import Band
from understudy.suite.judging import curves, horizon, normalised, standings
from understudy.suite.judging.contrasts import METHOD
from understudy.suite.judging.curves import Curves
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.horizon import Horizon
from understudy.suite.judging.normalised import Normalised
from understudy.suite.judging.rules import Rules

SEED: Final = 2021  # of every resample, anew for each aggregate: a row's numbers don't depend on other rows
RESAMPLES: Final = 2_000


@dataclass(frozen=True, eq=False)
class Description:
    """One row's gain in one task, described."""

    horizon: Horizon
    curves: Curves | None  # None: nothing was judged
    normalised: Normalised | None  # None: no ruler can be used


def describe(task: str, evidence: Evidence, rules: Rules) -> Description:
    """Return horizon, curves and normalised scores of the lives that answer a gain task."""
    ruler = standings.MEASURES[task](evidence, rules)
    return Description(
        horizon.measure(evidence, rules, ruler),
        curves.measure(evidence, rules, ruler),
        normalised.measure(evidence, rules, ruler),
    )


def aggregates_of(one: Normalised | None, reference: Normalised | None) -> dict[str, Any] | None:
    """Return the aggregates of a method claim's normalised scores as plain JSON values, or None.

    Args:
        one: of the row.
        reference: of the player that it is compared with, unit by unit; None, or of other units: the
            probability of improvement is unknown.
    """
    if one is None or one.claim != METHOD:
        return None
    iqm = aggregates.stratified_bootstrap(
        aggregates.interquartile_mean, one.column, rng=np.random.default_rng(SEED), resamples=RESAMPLES
    )
    improvement = probability_of_improvement(one, reference)
    return {
        "units": len(one.units),
        "seed": SEED,
        "resamples": RESAMPLES,
        "interquartile_mean": _as_json(iqm),
        "probability_of_improvement": None if improvement is None else _as_json(improvement),
    }


def probability_of_improvement(one: Normalised, reference: Normalised | None) -> Band | None:
    """Return how likely a row beats a reference on a unit that both played, with its interval over units.

    None where there is no reference, or its units are others. A tie counts half.
    """
    if reference is None or reference.claim != one.claim or reference.units != one.units:
        return None
    apart = one.column[:, :, None], reference.column[:, :, None]  # [units, 1, 1]: each unit by itself
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
