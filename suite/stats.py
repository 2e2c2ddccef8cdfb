"""Statistics of verdicts: one equation, one function, one source. Small samples of units, no bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

FARTHEST_UNITS = 100_000  # a case that needs more units than this is not called settled by units


@dataclass(frozen=True)
class Moments:
    """What an interval needs to know of one independent sample of units."""

    mean: float
    variance: float | None  # of one unit, divisor n - 1; None for a single unit: unknown, not 0
    n: int

    def __post_init__(self) -> None:
        if self.n < 1 or (self.variance is not None and not self.variance >= 0) or not np.isfinite(self.mean):
            raise ValueError(f"expected n >= 1, a finite mean and a variance >= 0 or None; found {self}")

    def scaled(self, factor: float) -> Moments:
        """Return the moments of `factor` times the sample."""
        variance = None if self.variance is None else factor**2 * self.variance
        return Moments(factor * self.mean, variance, self.n)


@dataclass(frozen=True)
class Interval:
    """An estimate and its two-sided confidence interval; bounds are None where the spread is unknown."""

    estimate: float
    low: float | None
    high: float | None
    confidence: float

    def above(self, bound: float) -> bool:
        """Whether the whole interval is above `bound`."""
        return self.low is not None and self.low > bound

    def below(self, bound: float) -> bool:
        """Whether the whole interval is below `bound`."""
        return self.high is not None and self.high < bound


def moments(values: ArrayLike) -> Moments:
    """Return mean, variance (divisor n - 1) and n of a sample, float [n] >= 1; ValueError if not finite."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not sample.size or not np.isfinite(sample).all():
        raise ValueError(f"expected finite numbers in a row; found {values!r}")
    variance = float(sample.var(ddof=1)) if sample.size > 1 else None
    return Moments(float(sample.mean()), variance, sample.size)


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the t-interval of a mean: mean +- t(n - 1) s / sqrt(n).

    Source: Student, The probable error of a mean, Biometrika 6 (1908).
    """
    return sum_interval([moments(values)], confidence)


def paired_interval(one: ArrayLike, other: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the t-interval of the mean of one - other, float [n] each, unit by unit."""
    difference = np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    return mean_interval(difference, confidence)


def welch_interval(one: ArrayLike, other: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the interval of mean(one) - mean(other) of independent samples, float [n] and [m].

    Source: Welch, The generalization of Student's problem, Biometrika 34 (1947).
    """
    return sum_interval([moments(one), moments(other).scaled(-1)], confidence)


def sum_interval(parts: Sequence[Moments], confidence: float = 0.95) -> Interval:
    """Return the interval of the sum of the means of independent samples of unequal variance.

    With one part this is Student's interval, with two Welch's. Degrees of freedom:
    (sum v_i)^2 / sum(v_i^2 / (n_i - 1)), v_i = s_i^2 / n_i.
    Source: Satterthwaite, An approximate distribution of estimates of variance components,
    Biometrics 2 (1946).
    """
    estimate = float(sum(part.mean for part in parts))
    squared_error = _squared_error(parts)
    if squared_error is None:
        return Interval(estimate, None, None, confidence)
    half = float(np.sqrt(squared_error)) * _critical_t(parts, confidence)
    return Interval(estimate, estimate - half, estimate + half, confidence)


def degrees_of_freedom(parts: Sequence[Moments]) -> float:
    """Return Satterthwaite's degrees of freedom; infinite where nothing varies."""
    errors = np.array([(part.variance or 0.0) / part.n for part in parts])
    if not errors.any():
        return float("inf")
    shares = errors / errors.sum()  # squares of tiny variances would underflow
    frees = np.array([max(part.n - 1, 1) for part in parts])
    return float(1 / np.sum(shares**2 / frees))


def fieller_set(contrast: Callable[[float], Interval], denominator: Interval) -> tuple[float, float] | None:
    """Return the ratios c for which numerator - c denominator is not rejected, or None if unbounded.

    `contrast(c)` is the interval of numerator - c denominator, however its samples hang together;
    `denominator` the interval of the denominator alone. The set is unbounded where that one holds 0.
    Source: Fieller, Some problems in interval estimation, J. R. Stat. Soc. B 16 (1954).
    """
    if not (denominator.above(0) or denominator.below(0)):
        return None
    numerator = contrast(0.0)
    if numerator.low is None:
        return None
    ratio = numerator.estimate / denominator.estimate

    def excess(c: float) -> float:
        """Estimate^2 - half-width^2: above 0 where the ratio c is rejected."""
        interval = contrast(c)
        assert interval.low is not None
        assert interval.high is not None
        return interval.low * interval.high

    return _edge(excess, ratio, -1.0), _edge(excess, ratio, 1.0)


def needed_units(parts: Sequence[Moments], confidence: float = 0.95, power: float = 0.9) -> int | None:
    """Return how many units a sample would put the interval on the estimate's side of 0 with `power`.

    All samples are taken to have that many units, at today's means and variances. None where the mean is 0,
    a variance is unknown, or more than `FARTHEST_UNITS` are needed.
    Source: power of the t-test from the noncentral t distribution, as in Cohen, Statistical power analysis
    for the behavioral sciences (1988), chapter 2.
    """
    effect = abs(sum(part.mean for part in parts))
    if effect == 0 or any(part.variance is None for part in parts):
        return None

    def enough(n: int) -> bool:
        planned = [Moments(part.mean, part.variance, n) for part in parts]
        squared_error = _squared_error(planned)
        if not squared_error:
            return True
        free = degrees_of_freedom(planned)
        critical = _critical_t(planned, confidence)
        return bool(1 - special.nctdtr(free, effect / np.sqrt(squared_error), critical) >= power)

    high = 2
    while not enough(high):
        high *= 2
        if high > FARTHEST_UNITS:
            return None
    low = high // 2  # not enough, or 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def interquartile_mean(values: ArrayLike) -> float:
    """Return the mean of the middle half of all values, any shape.

    Source: Agarwal et al., Deep reinforcement learning at the edge of the statistical precipice (2021).
    """
    flat: NDArray[np.float64] = np.asarray(values, dtype=np.float64).ravel()
    return float(stats.trim_mean(flat, proportiontocut=0.25))


def _squared_error(parts: Sequence[Moments]) -> float | None:
    """Squared standard error of the sum of means; None if a spread is unknown."""
    total = 0.0
    for part in parts:
        if part.variance is None:
            return None
        total += part.variance / part.n
    return total


def _critical_t(parts: Sequence[Moments], confidence: float) -> float:
    free = degrees_of_freedom(parts)
    quantile = (1 + confidence) / 2
    return float(special.ndtri(quantile) if np.isinf(free) else special.stdtrit(free, quantile))


def _edge(excess: Callable[[float], float], inside: float, direction: float) -> float:
    """Return the first ratio from `inside` on, in a direction, at which `excess` turns positive."""
    step = 1e-2 * max(1.0, abs(inside))
    last = inside
    while excess(inside + direction * step) <= 0:
        last = inside + direction * step
        step *= 2
    outside = inside + direction * step
    if last == outside or excess(last) >= 0:
        return last
    return float(optimize.brentq(excess, last, outside, xtol=1e-9, rtol=1e-9))
