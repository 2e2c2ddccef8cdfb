"""Horizon H50: the run lengths up to which an imitator's gain is shown to follow the teacher's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from understudy.suite.scoring import contrasts, gain_verdicts, gains, references, verdicts
from understudy.suite.scoring.contrasts import METHOD, Sample
from understudy.suite.scoring.evidence import Evidence
from understudy.suite.scoring.gains import Gains
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.references import Reference
from understudy.suite.scoring.rules import Rules

NUM_WINDOWS = 8  # they end at h = N / 2^k, k = 0 ... 7
GAIN_UNCLEAR = "teacher's gain not above 0"
PUBLISHED_ONLY = "published reference without runs"


@dataclass(frozen=True)
class HorizonWindow:
    """Gains by move h: skill over the window [h/2, h) minus the start, of imitator and teacher."""

    moves: int  # h
    begin: int  # first move of the window
    gain: Interval  # of the imitator, points an episode, as all below
    end_above_start: Interval  # end above the teacher's start
    teacher_gain: Interval
    gain_beyond: Interval  # gain - share x teacher's gain
    end_above_start_beyond: Interval  # end above the teacher's start - share x teacher's gain
    left_out: str | None = None  # why it does not count: few ends, or teacher's gain not above 0

    @property
    def demonstrated(self) -> bool:
        """Whether gain and end above the teacher's start both exceed the share of the teacher's gain."""
        return not self.left_out and self.gain_beyond.above(0) and self.end_above_start_beyond.above(0)

    @property
    def refuted(self) -> bool:
        """Whether the gain is below the share of the teacher's gain."""
        return not self.left_out and self.gain_beyond.below(0)


@dataclass(frozen=True)
class Horizon:
    """H50, a pair of run lengths, with every number behind it."""

    share: float  # of the teacher's gain that gain and end above the teacher's start are compared with: 0.5
    windows: tuple[HorizonWindow, ...] = ()  # in increasing order of h, including those left out
    reason: str | None = None  # why nothing was measured; there are no windows then

    @property
    def refuted_from(self) -> int | None:
        """The first h at which the gain is below the share of the teacher's gain."""
        return next((window.moves for window in self.windows if window.refuted), None)

    @property
    def demonstrated_to(self) -> int | None:
        """The last h before `refuted_from` at which the gain is demonstrated."""
        end = self.refuted_from or math.inf
        return max(
            (window.moves for window in self.windows if window.demonstrated and window.moves < end),
            default=None,
        )

    @property
    def text(self) -> str:
        """Demonstrated to / refuted from, in moves, e.g. `160k / 640k`; `-` for none."""
        return f"{_short(self.demonstrated_to)} / {_short(self.refuted_from)}"

    @property
    def rank(self) -> int:
        """Number by which rows are ranked, higher is better: `demonstrated_to`, or 0 for none."""
        return self.demonstrated_to or 0

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values, with null for unknown."""
        return {
            "share": self.share,
            "demonstrated_to": self.demonstrated_to,
            "refuted_from": self.refuted_from,
            "reason": self.reason,
            "windows": [dataclasses.asdict(window) for window in self.windows],
        }


def measure(evidence: Evidence, rules: Rules, reference: Reference) -> Horizon:
    """Return the horizon of a row's improvement or transfer runs.

    A window counts only if it holds `rules.minima.window_ends` episode ends in every unit and checkpoint,
    lanes pooled, of imitator and reference alike.

    Args:
        evidence: of the row; its runs and reference runs hold `rules.moves` moves.
        rules: of the benchmark at one budget.
        reference: of the same evidence, from `references.continuations` or `references.runs_from_scratch`.

    Raises InputError where runs do not belong together.
    """
    share = rules.thresholds.yes_share
    reason = gain_verdicts.not_scored(evidence, rules)
    if reason:
        return Horizon(share, reason=reason)
    measured = gains.measure(evidence, rules, reference)
    reason = _too_few_runs(evidence, rules, measured)
    if reason:
        return Horizon(share, reason=reason)
    halves = [rules.moves // 2**k for k in reversed(range(NUM_WINDOWS))]
    return Horizon(
        share, tuple(_measure_window(moves, evidence, rules, measured) for moves in halves if moves)
    )


def _too_few_runs(evidence: Evidence, rules: Rules, measured: Gains) -> str | None:
    """Return why there are too few runs for a horizon, otherwise None."""
    if evidence.claim == METHOD and len(measured.end.units) < rules.minima.method_units:
        return verdicts.FEW_UNITS.format(minimum=rules.minima.method_units)
    if measured.reference.published:
        return PUBLISHED_ONLY
    return verdicts.NO_REFERENCE if measured.reference.m < rules.minima.reference_runs else None


def _measure_window(moves: int, evidence: Evidence, rules: Rules, measured: Gains) -> HorizonWindow:
    begin, confidence, share = moves // 2, rules.thresholds.confidence, rules.thresholds.yes_share
    imitator_runs = [
        run for run in evidence.runs if evidence.claim != METHOD or run.unit in measured.end.units
    ]
    reference_runs = references.long_enough(
        [run for run in evidence.reference_runs if run.unit in measured.reference.end.units], rules
    )
    claim = evidence.claim
    imitator, too_few = _skill(
        lambda ends: contrasts.window_sample(imitator_runs, claim, "imitator", begin, moves, ends), rules
    )
    reference, too_few_in_reference = _skill(
        lambda ends: contrasts.of_reference(
            contrasts.window_sample, tuple(reference_runs), begin, moves, ends
        ),
        rules,
    )
    by_h = dataclasses.replace(
        measured, end=imitator, reference=dataclasses.replace(measured.reference, end=reference)
    )
    teacher_gain = contrasts.contrast(by_h.teacher_gain(), confidence)
    left_out = None if teacher_gain.above(0) else GAIN_UNCLEAR
    return HorizonWindow(
        moves,
        begin,
        gain=contrasts.contrast(by_h.gain(0.0), confidence),
        end_above_start=contrasts.contrast(by_h.end_above_start(0.0), confidence),
        teacher_gain=teacher_gain,
        gain_beyond=contrasts.contrast(by_h.gain(share), confidence),
        end_above_start_beyond=contrasts.contrast(by_h.end_above_start(share), confidence),
        left_out=verdicts.FEW_ENDS if too_few or too_few_in_reference else left_out,
    )


def _skill(sample: Callable[[int], Sample], rules: Rules) -> tuple[Sample, bool]:
    """Return the skill in a window, and whether some value rests on few ends.

    `sample` returns it, lanes pooled, for the number of ends below which a value is of few ends.
    """
    return sample(rules.minima.ends), sample(rules.minima.window_ends).few_ends > 0


def _short(moves: int | None) -> str:
    """Format moves with three digits: 812, 1.62k, 625k, 10M; `-` for none."""
    if moves is None:
        return "-"
    rounded = float(f"{moves:.3g}")
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if rounded >= size:
            return f"{rounded / size:g}{letter}"
    return f"{rounded:g}"
