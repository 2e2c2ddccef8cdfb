"""Gains of imitator and teacher, and the contrasts that compare them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from understudy.suite.errors import InputError
from understudy.suite.scoring import contrasts, intervals
from understudy.suite.scoring.contrasts import METHOD, Sample, Term
from understudy.suite.scoring.evidence import Evidence
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.references import Reference
from understudy.suite.scoring.rules import Rules, Thresholds
from understudy.suite.scoring.scored_runs import ScoredRun

# Keys of `Verdict.numbers`.
GAIN = "gain"  # the imitator's end - the imitator's start, in points an episode
TEACHER_GAIN = "teacher's gain"  # the teacher's end - the teacher's start
END_ABOVE_START = "end above the teacher's start"  # the imitator's end - the teacher's start
NORMALISED_GAIN = "normalised gain"  # gain / teacher's gain


@dataclass(frozen=True)
class Gains:
    """Start and end of imitator and reference; every contrast of a verdict is a weighted sum of them."""

    end: Sample  # the imitator's skill at the end
    start: Sample  # the imitator's skill at the start
    reference: Reference

    def gain(self, share: float) -> list[Term]:
        """Return gain - share x teacher's gain."""
        return [(1.0, self.end), (-1.0, self.start), *self.reference.terms(-share, share)]

    def end_above_start(self, share: float) -> list[Term]:
        """Return end above the teacher's start - share x teacher's gain."""
        return [(1.0, self.end), *self.reference.terms(-share, share - 1.0)]

    def teacher_gain(self) -> list[Term]:
        """Return the teacher's end - the teacher's start."""
        return self.reference.terms(1.0, -1.0)

    def has_room(self, share: float) -> bool:
        """Whether the imitator starts no higher than the teacher's start + share x teacher's gain."""
        threshold = mean(self.reference.terms(share, 1.0 - share))
        return self.start.mean <= threshold

    def with_start_at_least(self, other: Sample) -> Gains:
        """Return these gains with the start of each unit replaced by max(start, other).

        Raises InputError if `other` has other units.
        """
        if other.units != self.start.units:
            raise InputError(
                "yoked and flipped runs must be the scored runs under another reward, each with its start "
                f"lane; expected {', '.join(self.start.units)}; found {', '.join(other.units)}"
            )
        raised = tuple(max(pair) for pair in zip(self.start.values, other.values, strict=True))
        return replace(self, start=replace(self.start, values=raised))


def measure(evidence: Evidence, rules: Rules, reference: Reference) -> Gains:
    """Return start and end of imitator and reference; in a method claim, over the units that both have.

    Raises InputError if start jobs and runs of a method claim have different units.
    """
    claim, ends = evidence.claim, rules.minima.ends
    end = contrasts.end_sample(evidence.runs, claim, "imitator", rules.moves, rules.end_moves, ends)
    start = contrasts.start_sample(evidence.starts, claim, "imitator", ends)
    if claim == METHOD:
        if start.units != end.units:
            raise InputError(f"start jobs are of {', '.join(start.units)}; runs of {', '.join(end.units)}")
        shared = contrasts.common_units(end, reference.end)
        if shared:
            return Gains(end.only(shared), start.only(shared), reference.only(shared))
    elif start.units != end.units:  # different numbers of lanes: the two samples are then independent
        start = contrasts.start_sample(evidence.starts, claim, "imitator start", ends)
    return Gains(end, start, reference)


def gain_without_reference(
    runs: Sequence[ScoredRun], starts: Sequence[ScoredRun], claim: str, rules: Rules
) -> Interval:
    """Return the gain, end - start, of runs and their start jobs."""
    end = contrasts.end_sample(runs, claim, "imitator", rules.moves, rules.end_moves, rules.minima.ends)
    role = "imitator" if claim == METHOD else "imitator start"
    start = contrasts.start_sample(starts, claim, role, rules.minima.ends)
    if claim == METHOD:
        start = start.only(end.units)
    return contrasts.contrast([(1.0, end), (-1.0, start)], rules.thresholds.confidence)


def mean(terms: list[Term]) -> float:
    """Return the weighted sum of the terms' means."""
    return float(sum(part.mean for part in contrasts.parts(terms)))


def numbers(gains: Gains, thresholds: Thresholds) -> dict[str, Interval | None]:
    """Return every number behind a verdict on a gain, by the name that the protocol gives it.

    Without a reference, only the imitator's numbers are returned.
    """
    confidence = thresholds.confidence
    found: dict[str, Interval | None] = {
        "imitator start": contrasts.contrast([(1.0, gains.start)], confidence),
        "imitator end": contrasts.contrast([(1.0, gains.end)], confidence),
        GAIN: contrasts.contrast(gains.gain(0.0), confidence),
    }
    if gains.reference.m == 0:
        return found
    teacher_gain = contrasts.contrast(gains.teacher_gain(), confidence)
    found |= {
        "reference start": contrasts.contrast(gains.reference.terms(0.0, 1.0), confidence),
        "reference end": contrasts.contrast(gains.reference.terms(1.0, 0.0), confidence),
        TEACHER_GAIN: teacher_gain,
        END_ABOVE_START: contrasts.contrast(gains.end_above_start(0.0), confidence),
        NORMALISED_GAIN: normalised_gain(gains, teacher_gain, confidence),
    }
    found["detection limit"] = detection_limit(gains, teacher_gain, thresholds)
    for quantity, minus in ((GAIN, gains.gain), (END_ABOVE_START, gains.end_above_start)):
        for share in (thresholds.yes_share, thresholds.no_share):
            found[contrast_name(quantity, share)] = contrasts.contrast(minus(share), confidence)
        found[contrast_name(quantity, thresholds.no_share, thresholds.no_confidence)] = contrasts.contrast(
            minus(thresholds.no_share), thresholds.no_confidence
        )
    return found


def detection_limit(gains: Gains, teacher_gain: Interval, thresholds: Thresholds) -> Interval | None:
    """Return the smallest true distance from a threshold that is detected with the power of `thresholds`.

    The distance is a share of the teacher's gain. It follows from the present numbers of units and the spread
    of gain - yes_share x teacher's gain. None where the teacher's gain is not clearly above 0.
    """
    parts = contrasts.parts(gains.gain(thresholds.yes_share))
    effect = intervals.detectable_effect(parts, thresholds.confidence, thresholds.power)
    if effect is None or not teacher_gain.above(0):
        return None
    return Interval(effect / teacher_gain.estimate, None, None, thresholds.confidence)


def contrast_name(quantity: str, share: float, confidence: float | None = None) -> str:
    """Return the key of a contrast in `Verdict.numbers`, e.g. `gain - 0.5 x teacher's gain`."""
    at = f" at {confidence:.1%}" if confidence is not None else ""
    return f"{quantity} - {share:g} x {TEACHER_GAIN}{at}"


def normalised_gain(gains: Gains, teacher_gain: Interval, confidence: float) -> Interval | None:
    """Return mean gain / mean teacher's gain with its Fieller set; None where that is unbounded."""
    bounds = intervals.fieller_set(
        lambda share: contrasts.contrast(gains.gain(share), confidence), teacher_gain
    )
    if bounds is None:
        return None
    return Interval(mean(gains.gain(0.0)) / teacher_gain.estimate, *bounds, confidence)
