"""Normalised scores: each unit's skill at the end, with the reference's start as 0 and its end as 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from understudy.suite.scoring import gain_verdicts, gains, references
from understudy.suite.scoring.evidence import Evidence
from understudy.suite.scoring.references import Reference
from understudy.suite.scoring.rules import Rules


@dataclass(frozen=True)
class Normalised:
    """One score a unit: (its end - the teacher's mean start) / the teacher's mean gain."""

    claim: str  # checkpoint or method; decides what a unit is
    units: tuple[str, ...]  # sorted
    scores: tuple[float, ...]  # [n] in the order of `units`

    @property
    def column(self) -> np.ndarray:
        """The scores as float64 [n, 1] for `aggregates`: all units are one stratum.

        A benchmark scores a single game, or goals that are units themselves.
        """
        return np.array(self.scores)[:, None]


def measure(evidence: Evidence, rules: Rules, reference: Reference) -> Normalised | None:
    """Return the normalised scores of a row's improvement or transfer runs; None without a usable reference.

    All units are divided by one number, the teacher's mean gain, which is clearly above 0. No ratios are
    averaged.
    Arguments and errors are those of `horizon.measure`.
    """
    if gain_verdicts.not_scored(evidence, rules):
        return None
    measured = gains.measure(evidence, rules, reference)
    if references.unusable(measured.reference, rules):
        return None
    teacher_start = gains.mean(measured.reference.terms(0.0, 1.0))
    teacher_gain = gains.mean(measured.teacher_gain())
    scores = tuple((value - teacher_start) / teacher_gain for value in measured.end.values)
    return Normalised(evidence.claim, measured.end.units, scores)
