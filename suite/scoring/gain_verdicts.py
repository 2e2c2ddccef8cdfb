"""Verdicts on a gain, shared by improvement and transfer.

Gain and end above the teacher's start are both compared with shares of the teacher's gain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from understudy.suite.scoring import (
    comparisons,
    conditions,
    contrasts,
    gains,
    intervals,
    references,
    verdicts,
)
from understudy.suite.scoring.comparisons import Comparable
from understudy.suite.scoring.contrasts import METHOD
from understudy.suite.scoring.evidence import Evidence
from understudy.suite.scoring.gains import END_ABOVE_START, GAIN, Gains, contrast_name
from understudy.suite.scoring.intervals import Moments
from understudy.suite.scoring.references import Reference
from understudy.suite.scoring.rules import Rules, Thresholds
from understudy.suite.scoring.verdicts import Verdict


def verdict(
    task: str, evidence: Evidence, rules: Rules, measure_reference: Callable[[Evidence, Rules], Reference]
) -> Verdict:
    """Return the verdict of a gain task, with a reason where there is no answer.

    Args:
        task: name of the task.
        evidence: of one row.
        rules: of the benchmark at one budget.
        measure_reference: `references.continuations` or `references.runs_from_scratch`.

    Raises InputError where runs do not belong together.
    """
    missing = not_scored(evidence, rules)
    if missing:
        return Verdict(task, evidence.claim, None, missing)
    measured = gains.measure(evidence, rules, measure_reference(evidence, rules))
    found = Verdict(
        task,
        evidence.claim,
        verdicts.UNDECIDED,
        marks=_marks(measured),
        numbers=gains.numbers(measured, rules.thresholds),
        n=len(measured.end.units),
        m=measured.reference.m,
    )
    if found.claim == METHOD and len(measured.end.units) < rules.minima.method_units:
        few = verdicts.FEW_UNITS.format(minimum=rules.minima.method_units)
        return replace(found, answer=None, reason=few)
    missing = references.incomplete(measured.reference.pinned)
    if missing:
        return replace(found, answer=None, reason=missing)
    unusable = references.unusable(measured.reference, rules)
    if unusable:
        return replace(found, reason=unusable)
    if not measured.has_room(rules.thresholds.yes_share):
        return replace(found, reason=verdicts.NO_ROOM)
    found = replace(found, answer=_answer(found, rules.thresholds))
    if found.answer == verdicts.UNDECIDED:
        return replace(found, needed_runs=_needed_runs(measured, rules.thresholds))
    if found.answer == verdicts.YES:
        return conditions.examine(found, evidence, rules, measured)
    return found


def comparable(
    evidence: Evidence, rules: Rules, measure_reference: Callable[[Evidence, Rules], Reference]
) -> Comparable | None:
    """Return the gain of each unit, over the units of the verdict; None if it was not played to its end.

    Arguments and errors are those of `verdict`.
    """
    if not_scored(evidence, rules):
        return None
    measured = gains.measure(evidence, rules, measure_reference(evidence, rules))
    reference = measured.reference if measured.reference.m else None
    return comparisons.of_gain(evidence.claim, measured.end, measured.start, reference)


def not_scored(evidence: Evidence, rules: Rules) -> str | None:
    """Return why nothing can be scored, otherwise None.

    The teacher data is incomplete, or the row's runs are missing or unfinished.
    """
    missing = references.watched_incomplete(evidence, rules)
    if missing:
        return missing
    if not evidence.runs or not evidence.starts:
        return verdicts.NOT_PLAYED
    shortest = min(run.num_moves for run in (*evidence.runs, *evidence.yoked, *evidence.flipped))
    if shortest < rules.moves:
        return verdicts.RUN_INCOMPLETE.format(found=shortest, expected=rules.moves)
    return None


def _marks(measured: Gains) -> tuple[str, ...]:
    reference = measured.reference
    marks = [verdicts.PROVISIONAL] if reference.published else []
    samples = (measured.end, measured.start, reference.end, reference.start)
    if any(sample.few_ends for sample in samples):
        marks.append(verdicts.FEW_ENDS)
    if reference.left_out:
        marks.append(f"reference runs left out: {reference.left_out}")
    return tuple(marks)


def _answer(found: Verdict, thresholds: Thresholds) -> str:
    """Compare gain and end above the teacher's start with the shares that separate yes, partial and no."""
    yes, no = thresholds.yes_share, thresholds.no_share
    past_yes = [found.numbers[contrast_name(kind, yes)] for kind in (GAIN, END_ABOVE_START)]
    past_no = [found.numbers[contrast_name(kind, no)] for kind in (GAIN, END_ABOVE_START)]
    short = [
        found.numbers[contrast_name(kind, no, thresholds.no_confidence)] for kind in (GAIN, END_ABOVE_START)
    ]
    if all(interval is not None and interval.above(0) for interval in past_yes):
        return verdicts.YES
    if any(interval is not None and interval.below(0) for interval in short):
        return verdicts.NO
    if all(interval is not None and interval.above(0) for interval in past_no) and any(
        interval is not None and interval.below(0) for interval in past_yes
    ):
        return verdicts.PARTIAL
    return verdicts.UNDECIDED


def _needed_runs(measured: Gains, thresholds: Thresholds) -> int | None:
    """Return the fewest units a sample that would give a verdict, at the measured means and spreads."""
    quantities = (measured.gain, measured.end_above_start)
    past_yes = [contrasts.parts(minus(thresholds.yes_share)) for minus in quantities]
    past_no = [contrasts.parts(minus(thresholds.no_share)) for minus in quantities]
    power = thresholds.power

    def to_show(parts: list[Moments], sign: int, confidence: float = thresholds.confidence) -> float:
        if sign * sum(part.mean for part in parts) <= 0:
            return float("inf")
        return intervals.needed_units(parts, confidence, power) or float("inf")

    yes = max(to_show(parts, 1) for parts in past_yes)
    no = min(to_show(parts, -1, thresholds.no_confidence) for parts in past_no)
    short_of_yes = min(to_show(parts, -1) for parts in past_yes)
    partial = max(short_of_yes, *(to_show(parts, 1) for parts in past_no))
    needed = min(yes, no, partial)
    return None if needed == float("inf") else int(needed)
