"""Aggregates across games: one number or curve for a player on many games, with bootstrap intervals.

Scores are float [..., units, games], higher is better, and comparable across games, as those of `normalised`.
Aggregates describe a table; no verdict is based on them.
Source of all: Agarwal et al., Deep reinforcement learning at the edge of the statistical precipice,
NeurIPS 2021, https://arxiv.org/abs/2108.13264
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Scores = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Band:
    """An aggregate of the scores, and the percentile interval of its values on resampled scores."""

    estimate: NDArray[np.float64]  # [...] the aggregate's shape: [] for a number, [T] for a curve
    low: NDArray[np.float64]  # [...]
    high: NDArray[np.float64]  # [...]
    confidence: float  # two-sided


def interquartile_mean(scores: ArrayLike) -> NDArray[np.float64]:
    """Return the mean of the middle half of all units on all games.

    A quarter of the scores, rounded down, is dropped at either end.

    Args:
        scores: float [..., units, games].

    Returns:
        float [...].
    """
    checked = _checked(scores)
    pooled = np.sort(checked.reshape(*checked.shape[:-2], -1), axis=-1)  # [..., units * games]
    cut = pooled.shape[-1] // 4
    middle: NDArray[np.float64] = pooled[..., cut : pooled.shape[-1] - cut].mean(axis=-1)
    return middle


def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> NDArray[np.float64]:
    """Return the share of units above each threshold, averaged over games.

    Args:
        scores: float [..., units, games].
        thresholds: float [T].

    Returns:
        float [..., T] in [0, 1], non-increasing in the threshold.
    """
    checked, bounds = _checked(scores), np.asarray(thresholds, dtype=np.float64)
    if bounds.ndim != 1 or not np.isfinite(bounds).all():
        raise ValueError(f"expected finite thresholds [T]; found {thresholds!r}")
    above = checked[..., None, :, :] > bounds[:, None, None]  # [..., T, units, games]
    profile: NDArray[np.float64] = above.mean(axis=(-2, -1))
    return profile


def probability_of_improvement(one: ArrayLike, other: ArrayLike) -> NDArray[np.float64]:
    """Return the probability that a unit of `one` beats a unit of `other` on a game, averaged over games.

    P(x > y) + P(x = y) / 2 over all pairs: Mann and Whitney's U over the number of pairs.

    Args:
        one: float [..., n, games].
        other: float [..., m, games], of the same games in the same order.

    Returns:
        float [...] in [0, 1].
    """
    x, y = _checked(one), _checked(other)
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(f"expected scores on the same games; found {x.shape[-1]} and {y.shape[-1]} games")
    difference = x[..., :, None, :] - y[..., None, :, :]  # [..., n, m, games]
    beats: NDArray[np.float64] = (0.5 + 0.5 * np.sign(difference)).mean(axis=(-3, -2, -1))
    return beats


def stratified_bootstrap(
    aggregate: Callable[..., NDArray[np.float64]],
    *scores: ArrayLike,
    rng: np.random.Generator,
    resamples: int = 2_000,
    confidence: float = 0.95,
) -> Band:
    """Return an aggregate with the percentile interval of its values on resampled units.

    Units are drawn with replacement within each game; games are not resampled. The scores of several players
    are drawn independently. With few units a game the interval is too narrow (with 8 units, a nominal 95 %
    interval covers about 90 %), which is acceptable in a picture but not in a verdict.

    Args:
        aggregate: maps float [..., units, games], one argument a player, to [..., *shape].
        scores: of each player, float [units, games].
        rng: the only source of randomness.
        resamples: number of times that each player's units are drawn.
        confidence: two-sided.
    """
    players = [_checked(one) for one in scores]
    if not players or any(one.ndim != 2 for one in players):
        raise ValueError(f"expected scores [units, games]; found shapes {[one.shape for one in players]}")
    if resamples < 1 or not 0 < confidence < 1:
        raise ValueError(f"expected resamples >= 1 and confidence in (0, 1); found {resamples}, {confidence}")
    drawn = aggregate(*(_resampled(one, resamples, rng) for one in players))  # [resamples, ...]
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return Band(np.asarray(aggregate(*players)), low, high, confidence)


def _checked(scores: ArrayLike) -> Scores:
    checked = np.asarray(scores, dtype=np.float64)
    if checked.ndim < 2 or 0 in checked.shape or not np.isfinite(checked).all():
        raise ValueError(
            f"expected finite scores [..., units, games]; found shape {checked.shape}: {scores!r}"
        )
    return checked


def _resampled(scores: Scores, resamples: int, rng: np.random.Generator) -> Scores:
    units, games = scores.shape
    drawn = rng.integers(units, size=(resamples, units, games))
    return scores[drawn, np.arange(games)]  # [resamples, units, games]
