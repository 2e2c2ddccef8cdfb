"""References: the teacher's gain over the same moves, from stored runs or from published figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from understudy.suite.scoring import contrasts, verdicts
from understudy.suite.scoring.contrasts import CHECKPOINT, METHOD, Sample, Term
from understudy.suite.scoring.evidence import Evidence, PinnedCount
from understudy.suite.scoring.intervals import Interval, Moments
from understudy.suite.scoring.rules import PublishedReference, Rules
from understudy.suite.scoring.scored_runs import ScoredRun, end_skill

NOTHING = Sample((), ())


@dataclass(frozen=True)
class Reference:
    """Skill of a reference at start and end: from stored runs or, if `published` is set, from its moments."""

    end: Sample  # one value a unit: a teacher run or goal
    start: Sample  # over the same units; the random player's may be over others
    fewest_ends: int | None = None  # in the end window of any of its runs; None: unknown
    left_out: int = 0  # runs too short for the budget, or without a start job
    published: PublishedReference | None = None
    pinned: PinnedCount | None = None  # as in Evidence

    @property
    def m(self) -> int:
        """Number of units that measure the teacher's gain."""
        if self.published:
            return self.published.runs
        return len(self.end.units) if self.start.units else 0

    def terms(self, end_weight: float, start_weight: float) -> list[Term]:
        """Return `end_weight * end + start_weight * start` as terms of a contrast."""
        if self.published:
            return [(1.0, _published_moments(self.published, end_weight, start_weight))]
        return [(end_weight, self.end), (start_weight, self.start)]

    def only(self, units: Sequence[str]) -> Reference:
        """Return the reference restricted to some of its units; a start over other units is kept whole."""
        start = self.start.only(units) if set(units) <= set(self.start.units) else self.start
        return replace(self, end=self.end.only(units), start=start, published=None)


def continuations(evidence: Evidence, rules: Rules) -> Reference:
    """Return the reference of improvement: teachers from W on, with their frozen networks at W as start."""
    runs = long_enough(evidence.reference_runs, rules)
    starts = contrasts.start_sample(evidence.reference_starts, METHOD, "reference", rules.minima.ends)
    runs = [run for run in runs if run.unit in starts.units]
    end = _ends(runs, rules)
    left_out = len(evidence.reference_runs) - len(runs)
    start, fewest = starts.only(end.units), _fewest_ends(runs, rules)
    found = Reference(end, start, fewest, left_out, pinned=evidence.pinned)
    return _or_published(found, rules)


def runs_from_scratch(evidence: Evidence, rules: Rules) -> Reference:
    """Return the reference of transfer: teacher runs on the new game, with the random player as start."""
    runs = long_enough(evidence.reference_runs, rules)
    end = _ends(runs, rules)
    start = random_sample(evidence, rules, end)
    left_out = len(evidence.reference_runs) - len(runs)
    found = Reference(end, start, _fewest_ends(runs, rules), left_out, pinned=evidence.pinned)
    return _or_published(found, rules)


def watched_incomplete(evidence: Evidence, rules: Rules) -> str | None:
    """Return the reason for no verdict where a watched teacher run is shorter than W, otherwise None."""
    recorded = evidence.watched_moves
    if recorded is None or recorded >= rules.watched_moves:
        return None
    return verdicts.TEACHER_INCOMPLETE.format(found=recorded, expected=rules.watched_moves)


def incomplete(pinned: PinnedCount | None) -> str | None:
    """Return the reason for no verdict where pinned runs are not on this machine, otherwise None."""
    if pinned is None or pinned.here == pinned.total:
        return None
    return verdicts.REFERENCE_INCOMPLETE.format(found=pinned.here, expected=pinned.total)


def teacher_gain(reference: Reference, rules: Rules) -> Interval | None:
    """Return the teacher's gain, end - start, with its interval; None where no run measures it."""
    return (
        contrasts.contrast(reference.terms(1.0, -1.0), rules.thresholds.confidence) if reference.m else None
    )


def unusable(reference: Reference, rules: Rules) -> str | None:
    """Return why a reference allows no verdict, otherwise None.

    There are too few runs, the gain is not clearly above 0, or the end window is too short.
    """
    missing = incomplete(reference.pinned)
    if missing:
        return missing
    measured = teacher_gain(reference, rules)
    if reference.m < rules.minima.reference_runs or measured is None or not measured.above(0):
        return verdicts.NO_REFERENCE
    ends = reference.fewest_ends
    if not rules.window_is_long and (ends is None or ends < rules.minima.window_ends):
        return verdicts.FEW_ENDS
    return None


def random_sample(evidence: Evidence, rules: Rules, like: Sample) -> Sample:
    """Return the random player's skill: over the units of `like` if it played all of them, else by lane."""
    by_unit = contrasts.start_sample(evidence.random_starts, METHOD, "random", rules.minima.ends)
    if evidence.claim == METHOD and like.units and set(like.units) <= set(by_unit.units):
        return by_unit.only(like.units)
    return contrasts.start_sample(evidence.random_starts, CHECKPOINT, "random", rules.minima.ends)


def long_enough(runs: Sequence[ScoredRun], rules: Rules) -> list[ScoredRun]:
    """Return the runs that hold all moves of the budget."""
    return [run for run in runs if run.num_moves >= rules.moves]


def _ends(runs: Sequence[ScoredRun], rules: Rules) -> Sample:
    window = rules.moves, rules.end_moves, rules.minima.ends
    return contrasts.of_reference(contrasts.end_sample, tuple(runs), *window)


def _fewest_ends(runs: Sequence[ScoredRun], rules: Rules) -> int | None:
    ends = [end_skill(run, rules.moves, rules.end_moves, rules.minima.ends).ends for run in runs]
    return min(ends, default=None)


def _or_published(reference: Reference, rules: Rules) -> Reference:
    enough = reference.m >= rules.minima.reference_runs
    if rules.published is None or enough or incomplete(reference.pinned):
        return reference
    return Reference(NOTHING, NOTHING, rules.published.fewest_ends, 0, rules.published)


def _published_moments(reference: PublishedReference, end_weight: float, start_weight: float) -> Moments:
    """Return the moments of end_weight * end + start_weight * start; `gain_sd` gives the covariance."""
    covariance = (reference.end_sd**2 + reference.start_sd**2 - reference.gain_sd**2) / 2
    mean = end_weight * reference.end_mean + start_weight * reference.start_mean
    variance = (
        (end_weight * reference.end_sd) ** 2
        + (start_weight * reference.start_sd) ** 2
        + 2 * end_weight * start_weight * covariance
    )
    return Moments(mean, max(variance, 0.0), reference.runs)
