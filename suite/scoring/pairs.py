"""Pairs: two rows of one task compared, with the difference, the probability of improvement and the power."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from understudy.suite.scoring import comparisons, contrasts, gains, improvement_probability, intervals
from understudy.suite.scoring.comparisons import Comparable
from understudy.suite.scoring.contrasts import METHOD, Term
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.references import Reference


@dataclass(frozen=True)
class Pair:
    """One row minus another in one task; all intervals have one confidence."""

    points: Interval | None  # difference in points an episode; None: not compared
    normalised: Interval | None  # difference of the normalised gains; None: no gain, or no reference of both
    improvement: Interval | None  # probability that a unit of the first is above one of the second
    shown: str | None  # above or below, as the first row is shown to be; None: not told apart
    units: tuple[int, int]  # of either row, in what was compared
    paired: bool  # whether these are the same units, compared one by one
    needed_units: int | None  # of either row, to tell them apart; None: told apart, or no number is known
    reason: str | None = None  # why not compared, or why no number of runs is known


ABOVE, BELOW = "above", "below"
FEW_SHARED = "the rows share only {found} of their units, and {needed} are needed"
ONE_UNIT = "one unit has no spread that could be measured"
NO_SPREAD = "the units have no spread, and are too few to show a difference without it"
EQUAL = "the two numbers are equal"
TOO_MANY = f"more than {intervals.FARTHEST_UNITS:,} units"


def compare(one: Comparable, other: Comparable, confidence: float, power: float, fewest_shared: int) -> Pair:
    """Return the comparison of two rows of one task, one - other.

    The difference is that of `comparisons.differences` for these two rows. The difference of the normalised
    gains has Fieller's set, as the normalised gain itself.

    Args:
        one: of a row.
        other: of another row at the same benchmark and budget.
        confidence: of each interval, two-sided; where several pairs are compared, that of one of them.
        power: of `needed_units`, at the measured difference and spread.
        fewest_shared: as in `comparisons.differences`.
    """
    shared = _shared_units(one, other)
    if 0 < len(shared) < fewest_shared:
        reason = FEW_SHARED.format(found=len(shared), needed=fewest_shared)
        return Pair(None, None, None, None, _counts(one, other), False, None, reason)
    if shared:
        one, other = only(one, shared), only(other, shared)
    found = comparisons.differences([one, other], confidence, fewest_shared)
    estimate, half = float(found.estimate[0, 1]), float(found.half_width[0, 1])
    known = np.isfinite(half)
    points = Interval(
        estimate, estimate - half if known else None, estimate + half if known else None, confidence
    )
    shown = ABOVE if found.above[0, 1] else BELOW if found.above[1, 0] else None
    parts = contrasts.parts(_difference(one, other))
    needed = None if shown or not known else intervals.needed_units(parts, confidence, power)
    return Pair(
        points,
        _normalised(one, other, confidence) if known else None,
        _improvement(one, other, confidence),
        shown,
        _counts(one, other),
        bool(shared),
        needed,
        None if shown or needed is not None else _unknown(parts, estimate),
    )


def _unknown(parts: list[intervals.Moments], estimate: float) -> str:
    """Return why it is not known how many units would tell two rows apart."""
    if estimate == 0:
        return EQUAL
    if any(part.variance is None for part in parts):
        return ONE_UNIT
    return TOO_MANY if any(part.variance for part in parts) else NO_SPREAD


def only(row: Comparable, units: tuple[str, ...]) -> Comparable:
    """Return a row of a method claim, and its reference, restricted to some of its units."""
    reference = row.reference
    if reference is not None and set(units) <= set(reference.end.units):
        reference = reference.only(units)
    return Comparable(row.claim, tuple(sample.only(units) for sample in row.samples), reference)


def _shared_units(one: Comparable, other: Comparable) -> tuple[str, ...]:
    if one.shared is None or other.shared is None:
        return ()
    return contrasts.common_units(one.shared, other.shared)


def _counts(one: Comparable, other: Comparable) -> tuple[int, int]:
    return min(len(x.units) for x in one.samples), min(len(x.units) for x in other.samples)


def _difference(one: Comparable, other: Comparable) -> list[Term]:
    """Return one - other as terms of a contrast; the lanes of a checkpoint claim are nobody else's."""
    signed = [
        (sign, row, part) for sign, row in ((1.0, one), (-1.0, other)) for part in range(len(row.samples))
    ]
    return [
        (sign, row.samples[part] if row.claim == METHOD else row.moments[part]) for sign, row, part in signed
    ]


def _normalised(one: Comparable, other: Comparable, confidence: float) -> Interval | None:
    """Return (gain - other gain) / teacher's gain with Fieller's set; None without one reference of both."""
    reference = one.reference
    if reference is None or other.reference is None or not _same(reference, other.reference):
        return None
    difference = _difference(one, other)
    teacher_gain = contrasts.contrast(reference.terms(1.0, -1.0), confidence)
    bounds = intervals.fieller_set(
        lambda share: contrasts.contrast([*difference, *reference.terms(-share, share)], confidence),
        teacher_gain,
    )
    if bounds is None:
        return None
    return Interval(gains.mean(difference) / teacher_gain.estimate, *bounds, confidence)


def _same(one: Reference, other: Reference) -> bool:
    return (one.end, one.start, one.published) == (other.end, other.start, other.published)


def _improvement(one: Comparable, other: Comparable, confidence: float) -> Interval | None:
    samples = [row.samples[0] if len(row.samples) == 1 else None for row in (one, other)]
    first, second = samples
    if first is None or second is None:
        return None
    if _shared_units(one, other):
        return improvement_probability.paired(first.values, second.values, confidence)
    return improvement_probability.independent(first.values, second.values, confidence)
