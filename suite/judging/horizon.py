"""Horizon H50: over how many moves an imitator's gain is shown to follow its ruler's, and from where not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from understudy.suite import verdicts
from understudy.suite.judging import contrasts, gain_verdicts, rulers
from understudy.suite.judging import gains as gains_of
from understudy.suite.judging.contrasts import METHOD, Sample
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.gains import Gains
from understudy.suite.judging.lives import Life
from understudy.suite.judging.rulers import Ruler
from understudy.suite.judging.rules import Rules
from understudy.suite.stats import Interval

NUM_STEPS = 8  # h = N / 2^k, k = 0 ... 7
GAIN_UNCLEAR = "gain not above 0"
PUBLISHED_ONLY = "published ruler without lives"


@dataclass(frozen=True)
class Step:
    """What was gained by move h: skill over [h/2, h) minus the start, of imitator and ruler."""

    moves: int  # h
    begin: int  # of the window that ends at h
    own: Interval  # points an episode, as all below
    level: Interval
    gain: Interval  # G(h)
    own_beyond: Interval  # own - a share of G(h)
    level_beyond: Interval
    left_out: str | None = None  # why it counts neither way: few ends, or G(h) not above 0

    @property
    def demonstrated(self) -> bool:
        """Whether own and level are both above their share of the ruler's gain."""
        return not self.left_out and self.own_beyond.above(0) and self.level_beyond.above(0)

    @property
    def refuted(self) -> bool:
        """Whether own is below its share of the ruler's gain."""
        return not self.left_out and self.own_beyond.below(0)


@dataclass(frozen=True)
class Horizon:
    """H50 as a pair, with every number it rests on."""

    share: float  # of the ruler's gain that own and level are compared with: 0.5
    steps: tuple[Step, ...] = ()  # in rising order of h, those that are left out among them
    reason: str | None = None  # why nothing was measured; there are no steps then

    @property
    def refuted_from(self) -> int | None:
        """The first h at which own is below its share of the ruler's gain."""
        return next((step.moves for step in self.steps if step.refuted), None)

    @property
    def demonstrated_to(self) -> int | None:
        """The last h before `refuted_from` at which own and level are above their share of it."""
        end = self.refuted_from or math.inf
        return max(
            (step.moves for step in self.steps if step.demonstrated and step.moves < end), default=None
        )

    @property
    def text(self) -> str:
        """Demonstrated to / refuted from, in moves: `160k / 640k`, `-` where there is none."""
        return f"{_short(self.demonstrated_to)} / {_short(self.refuted_from)}"

    @property
    def rank(self) -> int:
        """What rows are ranked by, more is better: the moves demonstrated; 0 where there are none."""
        return self.demonstrated_to or 0

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values; null for what is unknown."""
        return {
            "share": self.share,
            "demonstrated_to": self.demonstrated_to,
            "refuted_from": self.refuted_from,
            "reason": self.reason,
            "steps": [dataclasses.asdict(step) for step in self.steps],
        }


def measure(evidence: Evidence, rules: Rules, ruler: Ruler) -> Horizon:
    """Return the horizon of the lives that answer improvement or transfer.

    A step counts only where every value behind it, one a unit and checkpoint with lanes pooled, rests on
    `rules.minima.window_ends` ends, in imitator and ruler alike.

    Args:
        evidence: of the row; its lives and ruler lives reach over `rules.moves`.
        rules: of the benchmark at one budget.
        ruler: what `rulers.continuations` or `rulers.lives_from_scratch` found in the same evidence.

    Raises InputError where lives don't belong together.
    """
    share = rules.thresholds.yes_share
    reason = gain_verdicts.unjudged(evidence, rules)
    if reason:
        return Horizon(share, reason=reason)
    gains = gains_of.measure(evidence, rules, ruler)
    reason = _too_little(evidence, rules, gains)
    if reason:
        return Horizon(share, reason=reason)
    halves = [rules.moves // 2**k for k in reversed(range(NUM_STEPS))]
    return Horizon(share, tuple(_step(moves, evidence, rules, gains) for moves in halves if moves))


def _too_little(evidence: Evidence, rules: Rules, gains: Gains) -> str | None:
    """Return why these lives can have no horizon, whatever they scored."""
    if evidence.claim == METHOD and len(gains.end.units) < rules.minima.method_units:
        return verdicts.FEW_UNITS.format(minimum=rules.minima.method_units)
    if gains.ruler.published:
        return PUBLISHED_ONLY
    return verdicts.NO_RULER if gains.ruler.m < rules.minima.ruler_lives else None


def _step(moves: int, evidence: Evidence, rules: Rules, gains: Gains) -> Step:
    begin, confidence, share = moves // 2, rules.thresholds.confidence, rules.thresholds.yes_share
    imitating = [life for life in evidence.lives if evidence.claim != METHOD or life.unit in gains.end.units]
    ruling = rulers.long_enough(
        [life for life in evidence.ruler_lives if life.unit in gains.ruler.end.units], rules
    )
    imitator, too_few = _window(imitating, evidence.claim, "imitator", begin, moves, rules)
    ruler, too_few_in_ruler = _window(ruling, METHOD, "ruler", begin, moves, rules)
    there = dataclasses.replace(gains, end=imitator, ruler=dataclasses.replace(gains.ruler, end=ruler))
    gain = contrasts.contrast(there.gain(), confidence)
    left_out = None if gain.above(0) else GAIN_UNCLEAR
    return Step(
        moves,
        begin,
        own=contrasts.contrast(there.own(0.0), confidence),
        level=contrasts.contrast(there.level(0.0), confidence),
        gain=gain,
        own_beyond=contrasts.contrast(there.own(share), confidence),
        level_beyond=contrasts.contrast(there.level(share), confidence),
        left_out=verdicts.FEW_ENDS if too_few or too_few_in_ruler else left_out,
    )


def _window(
    lives: Sequence[Life], claim: str, role: str, begin: int, moves: int, rules: Rules
) -> tuple[Sample, bool]:
    """Skill in moves [begin, moves), lanes pooled as in a start job, and whether some value has few ends."""
    cut = [
        dataclasses.replace(life, reward=life.reward[begin:moves], ended=life.ended[begin:moves])
        for life in lives
    ]
    few_ends = contrasts.start_sample(cut, claim, role, rules.minima.window_ends).few_ends
    return contrasts.start_sample(cut, claim, role, rules.minima.ends), few_ends > 0


def _short(moves: int | None) -> str:
    """Moves to three digits: 812, 1.62k, 625k, 10M; `-` for none."""
    if moves is None:
        return "-"
    rounded = float(f"{moves:.3g}")
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if rounded >= size:
            return f"{rounded / size:g}{letter}"
    return f"{rounded:g}"
