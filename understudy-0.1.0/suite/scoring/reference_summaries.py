"""Summaries of references: skill, gain, and whether verdicts can be based on them. No imitator is needed."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.suite.scoring import contrasts, references, verdicts
from understudy.suite.scoring.contrasts import METHOD, Sample
from understudy.suite.scoring.evidence import Evidence
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.references import Reference
from understudy.suite.scoring.rules import Rules


@dataclass(frozen=True)
class ReferenceSummary:
    """Runs, skill at start and end, and gain of one reference."""

    runs: int  # units that measure the gain; with several games, the runs of a game are one unit
    recorded: int  # units recorded, including those whose runs are too short
    start: Interval | None  # points an episode, as below; None: not measured
    end: Interval | None
    gain: Interval | None
    provisional: bool  # from published figures, whose runs cannot be replayed
    reasons: tuple[str, ...]  # why it allows no verdict; empty: it does

    @property
    def allows_verdict(self) -> bool:
        """Whether a verdict can be based on this reference."""
        return not self.reasons


def summarise(reference: Reference, evidence: Evidence, rules: Rules, *, after_w: bool) -> ReferenceSummary:
    """Return the summary of a gain task's reference.

    Args:
        reference: as it was measured from the evidence.
        evidence: reference runs and their start jobs; an imitator's runs are ignored.
        rules: of the benchmark at one budget.
        after_w: whether the teachers' gain is measured from W on, rather than from their first move.
    """
    confidence = rules.thresholds.confidence
    start = contrasts.contrast(reference.terms(0.0, 1.0), confidence) if reference.m else None
    return ReferenceSummary(
        runs=reference.m,
        recorded=len({run.unit for run in evidence.reference_runs}),
        start=start,
        end=_end(reference, evidence, rules),
        gain=references.teacher_gain(reference, rules),
        provisional=reference.published is not None,
        reasons=tuple(
            filter(
                None,
                (
                    references.watched_incomplete(evidence, rules),
                    _reason(after_w, reference, evidence, rules),
                ),
            )
        ),
    )


def _end(reference: Reference, evidence: Evidence, rules: Rules) -> Interval | None:
    """Return the skill at the end; where no start was measured, of all runs that are long enough."""
    if reference.m:
        return contrasts.contrast(reference.terms(1.0, 0.0), rules.thresholds.confidence)
    runs = references.long_enough(evidence.reference_runs, rules)
    if not runs:
        return None
    ends: Sample = contrasts.end_sample(
        runs, METHOD, "reference", rules.moves, rules.end_moves, rules.minima.ends
    )
    return contrasts.contrast([(1.0, ends)], rules.thresholds.confidence)


def _reason(after_w: bool, reference: Reference, evidence: Evidence, rules: Rules) -> str | None:
    unusable = references.unusable(reference, rules)
    if unusable == verdicts.NO_REFERENCE:
        return f"{unusable}: {_missing(after_w, reference, evidence, rules)}"
    if unusable == verdicts.FEW_ENDS:
        return f"{unusable}: {reference.fewest_ends} of {rules.minima.window_ends} ends"
    return unusable


def _missing(after_w: bool, reference: Reference, evidence: Evidence, rules: Rules) -> str:
    minimum = rules.minima.reference_runs
    if not evidence.reference_runs and not reference.published:
        return "no teacher run"
    long_enough = len(references.long_enough(evidence.reference_runs, rules))
    if long_enough < minimum and not reference.published:
        after = " after W" if after_w else ""
        longest = max(run.num_moves for run in evidence.reference_runs)
        return f"{long_enough} of {minimum} runs have {rules.moves:,} moves{after}, the longest {longest:,}"
    if reference.m == 0:
        return "start not measured"
    if reference.m < minimum:
        return f"start measured for {reference.m} of {minimum} runs"
    return "gain not clearly above 0"
