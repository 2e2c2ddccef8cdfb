"""Confidence intervals for small samples of units: each function is one equation with its source."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

FARTHEST_UNITS = 100_000  # the search for a number of units ends here
CERTAIN_HALVES = 100.0  # above this many half-widths, power is 1 and the noncentral t would give NaN


@dataclass(frozen=True)
class Moments:
    """Mean, variance and size of one independent sample of units."""

    mean: float
    variance: float | None  # of one unit, divisor n - 1; None for a single unit, where it is unknown
    n: int

    def __post_init__(self) -> None:
        known = self.variance is None or (math.isfinite(self.variance) and self.variance >= 0)
        if self.n < 1 or not known or not math.isfinite(self.mean):
            raise ValueError(f"expected n >= 1, a finite mean and variance >= 0 or None; found {self}")

    def scaled(self, factor: float) -> Moments:
        """Return the moments of `factor` times the sample."""
        variance = None if self.variance is None else factor**2 * self.variance
        return Moments(factor * self.mean, variance, self.n)


@dataclass(frozen=True)
class Interval:
    """An estimate and its two-sided confidence interval; bounds are None if the variance is unknown."""

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
    """Return mean, variance (divisor n - 1) and n of a sample, float [n >= 1]; ValueError if not finite."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not sample.size or not np.isfinite(sample).all():
        raise ValueError(f"expected finite numbers [n], n >= 1; found {values!r}")
    with np.errstate(over="ignore"):  # an overflow gives inf, which Moments refuses
        mean = sample.sum() / sample.size
        if sample.size == 1:
            return Moments(float(mean), None, 1)
        deviations = sample - mean
        variance = float((deviations * deviations).sum() / (sample.size - 1))
        return Moments(float(mean), variance, sample.size)


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the t-interval of a mean: mean +- t(n - 1) s / sqrt(n).

    Source: Student, The probable error of a mean, Biometrika 6 (1908).
    """
    return sum_interval([moments(values)], confidence)


def paired_interval(one: ArrayLike, other: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the t-interval of the mean of one - other, float [n] each, paired unit by unit."""
    difference = np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    return mean_interval(difference, confidence)


def welch_interval(one: ArrayLike, other: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the interval of mean(one) - mean(other) of independent samples, float [n] and [m].

    Source: Welch, The generalization of Student's problem, Biometrika 34 (1947).
    """
    return sum_interval([moments(one), moments(other).scaled(-1)], confidence)


def sum_interval(parts: Sequence[Moments], confidence: float = 0.95) -> Interval:
    """Return the interval of the sum of the means of independent samples of unequal variance.

    With one part this is Student's interval, with two Welch's. Bounds are None if a variance is unknown.
    """
    estimate = float(sum(part.mean for part in parts))
    variances = [part.variance for part in parts if part.variance is not None]
    if len(variances) < len(parts):
        return Interval(estimate, None, None, confidence)
    half = _half_width([v / part.n for v, part in zip(variances, parts, strict=True)], parts, confidence)
    return Interval(estimate, estimate - half, estimate + half, confidence)


def half_width(variances: ArrayLike, counts: ArrayLike, confidence: float = 0.95) -> NDArray[np.float64]:
    """Return the half-width of intervals of sums of means, t(free) sqrt(sum v_i), v_i = s_i^2 / n_i.

    Args:
        variances: s_i^2 of each independent sample, of one unit, float [..., parts].
        counts: n_i, units in each sample, int [..., parts] or [parts].
        confidence: two-sided.

    Returns:
        float [...]; 0 where all variances are 0.
    """
    errors = _squared_errors(variances, counts)  # [..., parts]
    free = _satterthwaite(errors, np.asarray(counts))  # [...]
    half: NDArray[np.float64] = np.sqrt(errors.sum(axis=-1)) * _critical_t(free, confidence)
    return half


def _half_width(errors: Sequence[float], parts: Sequence[Moments], confidence: float) -> float:
    """Return `half_width` of one sum, from the squared errors of its parts: the same equation and bits.

    A search for an edge asks for it thousands of times, and arrays of one or two numbers are slow.
    """
    total = sum(errors)
    if total == 0:
        return 0.0
    shares = [error / total for error in errors]
    lost = sum(share * share / max(part.n - 1, 1) for share, part in zip(shares, parts, strict=True))
    return math.sqrt(total) * float(scipy.special.stdtrit(1.0 / lost, (1 + confidence) / 2))


def degrees_of_freedom(variances: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
    """Return (sum v_i)^2 / sum(v_i^2 / (n_i - 1)), v_i = s_i^2 / n_i; inf if all are 0.

    Arguments are those of `half_width`, [..., parts] -> [...].
    Source: Satterthwaite, An approximate distribution of estimates of variance components,
    Biometrics 2 (1946).
    """
    return _satterthwaite(_squared_errors(variances, counts), np.asarray(counts))


def fieller_set(contrast: Callable[[float], Interval], denominator: Interval) -> tuple[float, float] | None:
    """Return the ratios c for which numerator - c denominator is not rejected, or None if unbounded.

    `contrast(c)` is the interval of numerator - c denominator, paired or not; `denominator` is that of the
    denominator. The set is unbounded if the latter contains 0.
    Source: Fieller, Some problems in interval estimation, J. R. Stat. Soc. B 16 (1954).
    """
    if not (denominator.above(0) or denominator.below(0)):
        return None
    numerator = contrast(0.0)
    if numerator.low is None:
        return None
    ratio = numerator.estimate / denominator.estimate

    @functools.cache  # a search asks for its ends again
    def excess(c: float) -> float:
        """Return estimate^2 - half-width^2, which is above 0 where the ratio c is rejected."""
        interval = contrast(c)
        assert interval.low is not None
        assert interval.high is not None
        return interval.low * interval.high

    return _edge(excess, ratio, -1.0), _edge(excess, ratio, 1.0)


def needed_units(parts: Sequence[Moments], confidence: float = 0.95, power: float = 0.9) -> int | None:
    """Return the units a sample for which the interval excludes 0, on the estimate's side, with `power`.

    All samples are assumed to have that many units, and the measured means and variances. None if the mean
    is 0, a variance is unknown, or more than `FARTHEST_UNITS` are needed.
    Source: power of the t-test from the noncentral t distribution, as in Cohen, Statistical power analysis
    for the behavioral sciences (1988), chapter 2.
    """
    effect = abs(sum(part.mean for part in parts))
    variances = [part.variance for part in parts if part.variance is not None]
    if effect == 0 or len(variances) < len(parts):
        return None

    def enough(n: int) -> bool:
        counts = np.full(len(parts), n)
        half = float(half_width(variances, counts, confidence))
        if effect > CERTAIN_HALVES * half:
            return True
        errors = _squared_errors(variances, counts)
        free, error = _satterthwaite(errors, counts), float(np.sqrt(errors.sum()))
        return bool(1 - scipy.special.nctdtr(free, effect / error, half / error) >= power)

    high = 2
    while not enough(high):
        high *= 2
        if high > FARTHEST_UNITS:
            return None
    low = high // 2  # not enough units, or 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def detectable_effect(parts: Sequence[Moments], confidence: float = 0.95, power: float = 0.9) -> float | None:
    """Return the true mean for which the interval of these samples excludes 0 with `power`.

    The measured variances and numbers of units are assumed; the inverse of `needed_units`. 0 if all variances
    are 0, None if one is unknown.
    Source: as for `needed_units`.
    """
    variances = [part.variance for part in parts if part.variance is not None]
    if len(variances) < len(parts):
        return None
    counts = np.array([part.n for part in parts])
    errors = _squared_errors(variances, counts)
    free, error = float(_satterthwaite(errors, counts)), float(np.sqrt(errors.sum()))
    if error == 0:
        return 0.0
    critical = float(_critical_t(np.asarray(free), confidence))
    if np.isinf(free):
        return error * (critical + float(scipy.special.ndtri(power)))

    def lacking(effect: float) -> float:
        return float(1 - scipy.special.nctdtr(free, effect, critical)) - power

    return error * float(scipy.optimize.brentq(lacking, 0.0, 3 * critical))


def _squared_errors(variances: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
    """Return the squared standard errors of the means, [..., parts]; ValueError for an invalid variance."""
    spreads = np.asarray(variances, dtype=np.float64)
    if not (np.isfinite(spreads) & (spreads >= 0)).all() or np.any(np.asarray(counts) < 1):
        raise ValueError(f"expected finite variances >= 0 and counts >= 1; found {variances!r}, {counts!r}")
    errors: NDArray[np.float64] = spreads / np.asarray(counts)
    return errors


def _satterthwaite(errors: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    total = errors.sum(axis=-1, keepdims=True)
    shares = errors / np.where(total > 0, total, 1.0)  # the squares of tiny variances would underflow
    lost = (shares**2 / np.maximum(counts - 1, 1)).sum(axis=-1)
    free: NDArray[np.float64] = np.divide(1.0, lost, out=np.full(lost.shape, np.inf), where=lost > 0)
    return free


def _critical_t(free: NDArray[np.float64], confidence: float) -> NDArray[np.float64]:
    quantile, infinite = (1 + confidence) / 2, np.isinf(free)
    if not infinite.any():
        student: NDArray[np.float64] = scipy.special.stdtrit(free, quantile)
        return student
    limited = scipy.special.stdtrit(np.where(infinite, 1.0, free), quantile)
    critical: NDArray[np.float64] = np.where(infinite, scipy.special.ndtri(quantile), limited)
    return critical


def _edge(excess: Callable[[float], float], inside: float, direction: float) -> float:
    """Return the first ratio, from `inside` in a direction, at which `excess` turns positive."""
    step = 1e-2 * max(1.0, abs(inside))
    last = inside
    while excess(inside + direction * step) <= 0:
        last = inside + direction * step
        step *= 2
    outside = inside + direction * step
    if last == outside or excess(last) >= 0:
        return last
    return float(scipy.optimize.brentq(excess, last, outside, xtol=1e-9, rtol=1e-9))
