"""Comparisons of rows: simultaneous intervals for differences, rank intervals and letters from them.

Rows of a method claim with the same teacher runs or goals share these units and are compared unit by unit.
All others are independent: the lanes of two checkpoints have different seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import scipy
from numpy.typing import NDArray

from understudy.suite.scoring import intervals
from understudy.suite.scoring.contrasts import METHOD, Sample
from understudy.suite.scoring.references import Reference

ROUNDING = 1e-12  # relative; a smaller difference of two means is one of floating-point sums

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Comparable:
    """A row's number in one task in points an episode, unit by unit: the sum of the means of its samples."""

    claim: str
    samples: tuple[Sample, ...]  # independent; one, unless start and end of a gain are of different units
    reference: Reference | None = field(
        default=None, compare=False
    )  # that a gain is divided by; None: no gain

    def __post_init__(self) -> None:
        if not self.samples or any(not sample.units for sample in self.samples):
            raise ValueError(f"expected samples with units; found {self}")

    @property
    def number(self) -> float:
        """The row's number."""
        return float(sum(sample.mean for sample in self.samples))

    @property
    def shared(self) -> Sample | None:
        """The sample whose units other rows may share: teacher runs or goals; None in a checkpoint claim."""
        return self.samples[0] if self.claim == METHOD and len(self.samples) == 1 else None

    @cached_property
    def moments(self) -> tuple[intervals.Moments, ...]:
        """The moments of the samples."""
        return tuple(intervals.moments(sample.values) for sample in self.samples)


def of_gain(claim: str, end: Sample, start: Sample, reference: Reference | None) -> Comparable:
    """Return the gain from start to end, unit by unit where both have the same units."""
    if end.units != start.units:
        return Comparable(claim, (end, Sample(start.units, tuple(-x for x in start.values))), reference)
    gains = tuple(np.subtract(end.values, start.values).tolist())
    return Comparable(claim, (Sample(end.units, gains),), reference)


@dataclass(frozen=True, eq=False)
class Differences:
    """The differences of K rows' numbers, row i - row j, with simultaneous intervals."""

    estimate: Numbers  # [K, K]; over the shared units where paired; nan where the two cannot be compared
    half_width: Numbers  # [K, K]; inf where a variance is unknown or the two cannot be compared
    above: NDArray[np.bool_]  # [K, K] whether row i is shown to be above row j
    paired: NDArray[np.bool_]  # [K, K] whether the two were compared unit by unit
    confidence: float  # with which all intervals hold together


def differences(rows: Sequence[Comparable], confidence: float, fewest_shared: int) -> Differences:
    """Return all differences of some rows, adjusted for their number.

    Each of the K (K - 1) / 2 intervals is Student's (paired) or Welch's (independent) at a confidence of
    1 - (1 - confidence) / (K (K - 1) / 2). With Bonferroni's inequality all of them hold together with
    `confidence` at least, however the rows depend on each other. If the values of two rows have no spread at
    all, t says nothing; they are then told apart by the permutation test, whose p-value is
    2^(1 - n) with n pairs and 2 / C(n + m, n) with n and m independent units.

    Args:
        rows: at least one.
        confidence: of all intervals together, two-sided.
        fewest_shared: rows that share some of their units, but fewer than this, cannot be compared: they are
            neither paired nor independent.

    Source: Bonferroni's inequality, as in Dunn, Multiple comparisons among means, J. Am. Stat. Assoc. 56
    (1961); intervals as in `intervals.sum_interval`.
    """
    count = len(rows)
    level = 1 - (1 - confidence) / max(1, count * (count - 1) // 2)
    estimate, half, constant = _independent(rows, level)
    paired = np.zeros((count, count), dtype=np.bool_)
    for pair, members, others in _sharing(rows):
        block = np.ix_(members, others)
        if len(pair) < fewest_shared:
            estimate[block], half[block], constant[block] = np.nan, np.inf, np.inf
            continue
        one, other = _values(rows, members, pair), _values(rows, others, pair)
        estimate[block], half[block], constant[block] = _paired(one, other, level)
        paired[block] = True
    np.fill_diagonal(estimate, 0.0)
    np.fill_diagonal(paired, False)
    without_spread = (half == 0) & (estimate != 0)
    half[without_spread & (constant > 1 - level)] = np.inf
    above = estimate > half  # nan compares as false
    return Differences(estimate, half, above, paired, confidence)


def _independent(rows: Sequence[Comparable], level: float) -> tuple[Numbers, Numbers, Numbers]:
    """Return estimates, half-widths and permutation p-values [K, K] of the rows as independent samples."""
    most = max(len(row.samples) for row in rows)
    means = np.array([row.number for row in rows])  # [K]
    variances = np.zeros((len(rows), most))  # a missing sample has no spread
    counts = np.ones((len(rows), most))
    for index, row in enumerate(rows):
        for part, moments in enumerate(row.moments):
            variances[index, part] = np.nan if moments.variance is None else moments.variance
            counts[index, part] = moments.n
    known = np.isfinite(variances.sum(axis=1))  # [K]
    spreads = _of_both(np.nan_to_num(variances))  # [K, K, 2 parts]
    half = np.where(
        known[:, None] & known[None], intervals.half_width(spreads, _of_both(counts), level), np.inf
    )
    n = np.array([min(len(sample.units) for sample in row.samples) for row in rows], dtype=np.float64)
    m = n[:, None]
    constant = 2 * np.exp(
        scipy.special.gammaln(n + 1) + scipy.special.gammaln(m + 1) - scipy.special.gammaln(n + m + 1)
    )
    return _rounded(means[:, None] - means[None], np.abs(means)[:, None]), half, constant


def _of_both(values: Numbers) -> Numbers:
    """Return the values [K, parts] of each two rows, [K, K, 2 parts]."""
    shape = (len(values), *values.shape)
    one, other = np.broadcast_to(values[:, None], shape), np.broadcast_to(values[None], shape)
    return np.concatenate([one, other], axis=-1)


def _sharing(rows: Sequence[Comparable]) -> list[tuple[tuple[str, ...], list[int], list[int]]]:
    """Return the shared units of each two sets of rows that share some, both ways round, and the two sets."""
    of_units: dict[tuple[str, ...], list[int]] = {}
    for index, row in enumerate(rows):
        if row.shared is not None:
            of_units.setdefault(row.shared.units, []).append(index)
    found = []
    for units, members in of_units.items():
        for others_units, others in of_units.items():
            pair = units if units == others_units else tuple(sorted(set(units) & set(others_units)))
            if pair:
                found.append((pair, members, others))
    return found


def _values(rows: Sequence[Comparable], chosen: Sequence[int], units: Sequence[str]) -> Numbers:
    """Return the values of the chosen rows on some units, [chosen, units]."""
    samples = [rows[index].shared for index in chosen]
    kept = set(units)
    return np.array(
        [
            [value for unit, value in zip(one.units, one.values, strict=True) if unit in kept]
            for one in samples
            if one is not None
        ]
    )


def _paired(one: Numbers, other: Numbers, level: float) -> tuple[Numbers, Numbers, Numbers]:
    """Return what `_independent` does, [k, l], of rows [k, n] and rows [l, n] unit by unit."""
    n = one.shape[1]
    estimate, variances = np.empty((2, len(one), len(other)))
    for index, values in enumerate(one):  # one row at a time: [k, l, n] at once may not fit into memory
        difference = _rounded(values - other, np.abs(values))  # [l, n]
        estimate[index] = difference.mean(axis=1)
        variances[index] = difference.var(axis=1, ddof=1) if n > 1 else np.nan
    half = np.full(estimate.shape, np.inf)
    if n > 1:
        half = intervals.half_width(variances[..., None], np.array([n]), level)
    return estimate, half, np.full(estimate.shape, 2.0 ** (1 - n))


def _rounded(difference: Numbers, scale: Numbers) -> Numbers:
    """Return differences with 0 in place of those that are only of rounding."""
    kept: Numbers = np.where(np.abs(difference) <= ROUNDING * np.maximum(scale, 1.0), 0.0, difference)
    return kept


def rank_intervals(above: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the best and the worst rank of each row, int [K] each, 1 being the best.

    They are 1 + the number of rows shown to be above it, and K - the number shown to be below it.
    Unless a wrong difference is shown, the ranks that a row truly has are inside: from 1 + the number of rows
    above it to K - the number below it, several where rows are equal.

    Args:
        above: bool [K, K], whether row i is shown to be above row j.

    Source: Al Mohamad, Goeman and van Zwet, Simultaneous confidence intervals for ranks with application to
    ranking institutions, Biometrics 78 (2022); Mogstad, Romano, Shaikh and Wilhelm, Inference for ranks with
    applications to mobility across neighbourhoods and academic achievement across countries, Rev. Econ. Stud.
    91 (2024), https://doi.org/10.1093/restud/rdad006
    """
    low: NDArray[np.int64] = 1 + above.sum(axis=0)
    high: NDArray[np.int64] = len(above) - above.sum(axis=1)
    return low, high


def letters(apart: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return a letter display of rows: two rows share a letter exactly if they are not told apart.

    Each letter is a set of rows of which no two are told apart, a clique, and every such pair has one; a row
    that is told apart from all others has one of its own. They are found greedily, from the first row on,
    which gives few letters and not always the fewest. After z follow a2, b2 ...

    Args:
        apart: bool [K, K], symmetric: whether two rows are told apart. Rows are in the order of their
            numbers, the highest first, so that the first has the letter a.

    Source: Piepho, An algorithm for a letter-based representation of all-pairwise comparisons, J. Comput.
    Graph. Stat. 13 (2004); as clique covers, Gramm et al., Comput. Stat. Data Anal. 52 (2007).
    """
    alike = ~apart
    np.fill_diagonal(alike, False)
    open_pairs = alike.copy()  # pairs that share no letter yet
    shown = [""] * len(apart)
    used = 0
    for first in range(len(apart)):
        while open_pairs[first].any() or not shown[first]:
            clique = _clique(first, alike, open_pairs)
            open_pairs[np.ix_(clique, clique)] = False
            for row in clique:
                shown[row] += _letter(used)
            used += 1
    return tuple(shown)


def _clique(first: int, alike: NDArray[np.bool_], open_pairs: NDArray[np.bool_]) -> list[int]:
    """Return rows of which no two are told apart, chosen so that as many open pairs as possible are in it."""
    clique, candidates, gain = [first], alike[first].copy(), open_pairs[first].astype(np.int64)
    while True:
        best = int(np.argmax(np.where(candidates, gain, 0)))  # the first of equals
        if not (candidates[best] and gain[best]):
            return clique
        clique.append(best)
        candidates &= alike[best]
        gain += open_pairs[best]


def _letter(number: int) -> str:
    """Return a, b ... z, a2, b2 ..."""
    letter = chr(ord("a") + number % 26)
    return letter if number < 26 else f"{letter}{number // 26 + 1}"
