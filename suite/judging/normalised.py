"""Normalised scores: where each unit ends on the way from its ruler's start (0) to its ruler's end (1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from understudy.suite.judging import gain_verdicts, rulers
from understudy.suite.judging import gains as gains_of
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.rulers import Ruler
from understudy.suite.judging.rules import Rules


@dataclass(frozen=True)
class Normalised:
    """One score a unit: (its end - the ruler's mean start) / the ruler's mean gain."""

    claim: str  # whose units these are
    units: tuple[str, ...]  # sorted
    scores: tuple[float, ...]  # [n] in the units' order

    @property
    def column(self) -> np.ndarray:
        """The scores as `aggregates` takes them: float64 [n, 1], all units in one stratum.

        A benchmark's scored games are one game, or goals that are units themselves.
        """
        return np.array(self.scores)[:, None]


def measure(evidence: Evidence, rules: Rules, ruler: Ruler) -> Normalised | None:
    """Return the scores of the lives that answer improvement or transfer; None where no ruler can be used.

    The divisor is one number for all units, the ruler's mean gain, and that is clearly above 0: no ratio is
    averaged. Arguments and errors are those of `horizon.measure`.
    """
    if gain_verdicts.unjudged(evidence, rules):
        return None
    gains = gains_of.measure(evidence, rules, ruler)
    if rulers.unusable(gains.ruler, rules):
        return None
    start, gain = gains_of.mean(gains.ruler.terms(0.0, 1.0)), gains_of.mean(gains.gain())
    scores = tuple((value - start) / gain for value in gains.end.values)
    return Normalised(evidence.claim, gains.end.units, scores)
