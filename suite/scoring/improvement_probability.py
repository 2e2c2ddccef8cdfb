"""The probability of improvement of one row over another, with intervals that hold for few units.

It is P(x > y) + P(x = y) / 2, averaged over games, as in Agarwal et al., Deep reinforcement learning at the
edge of the statistical precipice, NeurIPS 2021, https://arxiv.org/abs/2108.13264. A percentile bootstrap has
no width where one row always wins; the intervals here have one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from understudy.suite.scoring import aggregates
from understudy.suite.scoring.intervals import Interval

TINY = 1e-9  # from an estimate of 0 or 1, where `excess` has a root of its own


def paired(one: ArrayLike, other: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the probability that `one` is above `other` on a unit, float [n] each: every unit is a game.

    The interval is Clopper and Pearson's, which holds for any number of units; a tie counts half, and such
    units vary less than wins and losses do.
    Source: Clopper and Pearson, The use of confidence or fiducial limits, Biometrika 26 (1934).
    """
    x, y = _sample(one), _sample(other)
    if x.shape != y.shape:
        raise ValueError(f"expected as many values of both; found {x.size} and {y.size}")
    estimate = float(aggregates.probability_of_improvement(x[None], y[None]))
    wins, tail = estimate * x.size, (1 - confidence) / 2
    lost = x.size - wins
    low = float(scipy.special.betaincinv(wins, lost + 1, tail)) if wins else 0.0
    high = float(scipy.special.betaincinv(wins + 1, lost, 1 - tail)) if lost else 1.0
    return Interval(estimate, low, high, confidence)


def independent(one: ArrayLike, other: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the probability that a unit of `one`, float [n], is above a unit of `other`, float [m].

    The variance is that of exponential distributions, in Newcombe's modification (his method 5).
    Source: Newcombe, Confidence intervals for an effect size measure based on the Mann-Whitney statistic,
    part 2, Stat. Med. 25 (2006); Hanley and McNeil, Radiology 143 (1982).
    """
    x, y = _sample(one), _sample(other)
    estimate = float(aggregates.probability_of_improvement(x[:, None], y[:, None]))
    others = (x.size + y.size) / 2 - 1

    def variance(p: float) -> float:
        shared = others * (1 - p) / (2 - p) + others * p / (1 + p)
        return p * (1 - p) * (1 + shared) / (x.size * y.size)

    return _score_interval(estimate, variance, confidence)


def _score_interval(estimate: float, variance: Callable[[float], float], confidence: float) -> Interval:
    """Return all p with |p - estimate| <= z sqrt(variance(p)); the variance is 0 only at 0 and at 1."""
    z = float(scipy.special.ndtri((1 + confidence) / 2))

    def excess(p: float) -> float:
        return (p - estimate) ** 2 - z**2 * variance(p)

    inside = min(max(estimate, TINY), 1 - TINY)
    low = 0.0 if estimate == 0 else scipy.optimize.brentq(excess, 0.0, inside)
    high = 1.0 if estimate == 1 else scipy.optimize.brentq(excess, inside, 1.0)
    return Interval(estimate, float(low), float(high), confidence)


def _sample(values: ArrayLike) -> NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not sample.size:
        raise ValueError(f"expected values [n], n >= 1; found {values!r}")
    return sample
