"""Gains: start and end of an imitator beside its ruler's, and the contrasts that compare them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from understudy.suite import stats
from understudy.suite.errors import InputError
from understudy.suite.judging import contrasts
from understudy.suite.judging.contrasts import METHOD, Sample, Term
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.lives import Life
from understudy.suite.judging.rulers import Ruler
from understudy.suite.judging.rules import Rules, Thresholds
from understudy.suite.stats import Interval


@dataclass(frozen=True)
class Gains:
    """What an imitator and its ruler gained; every contrast of a verdict is a weighted sum of these."""

    end: Sample  # S(end) of the imitator
    start: Sample  # S(start) of the imitator
    ruler: Ruler

    def own(self, share: float) -> list[Term]:
        """Return own - share G: the imitator's end - start, minus a share of the ruler's gain."""
        return [(1.0, self.end), (-1.0, self.start), *self.ruler.terms(-share, share)]

    def level(self, share: float) -> list[Term]:
        """Return level - share G: the imitator's end - the ruler's start, minus a share of its gain."""
        return [(1.0, self.end), *self.ruler.terms(-share, share - 1.0)]

    def gain(self) -> list[Term]:
        """Return G, the ruler's end - start."""
        return self.ruler.terms(1.0, -1.0)

    def has_room(self, share: float) -> bool:
        """Whether the imitator's start isn't past the ruler's start + share G already."""
        reached = mean(self.ruler.terms(share, 1.0 - share))
        return self.start.mean <= reached

    def with_start_at_least(self, other: Sample) -> Gains:
        """Return these gains with the start raised, unit by unit, to another skill where that is greater."""
        if other.units != self.start.units:
            raise InputError(
                "yoked and flipped lives must be the scored lives told another reward, each with its start "
                "lane; "
                f"expected {', '.join(self.start.units)}; found {', '.join(other.units)}"
            )
        raised = tuple(max(pair) for pair in zip(self.start.values, other.values, strict=True))
        return replace(self, start=replace(self.start, values=raised))


def measure(evidence: Evidence, rules: Rules, ruler: Ruler) -> Gains:
    """Return start and end of imitator and ruler; in a method claim, over the units that both have.

    Raises InputError if a method claim's start jobs and lives are not of the same units.
    """
    claim, ends = evidence.claim, rules.minima.ends
    end = contrasts.end_sample(evidence.lives, claim, "imitator", rules.moves, rules.end_moves, ends)
    start = contrasts.start_sample(evidence.starts, claim, "imitator", ends)
    if claim == METHOD:
        if start.units != end.units:
            raise InputError(f"start jobs are of {', '.join(start.units)}; lives of {', '.join(end.units)}")
        shared = contrasts.common_units(end, ruler.end)
        if shared:
            return Gains(end.only(shared), start.only(shared), ruler.only(shared))
    elif start.units != end.units:  # another number of lanes: independent of the lives then
        start = contrasts.start_sample(evidence.starts, claim, "imitator start", ends)
    return Gains(end, start, ruler)


def own_alone(lives: Sequence[Life], starts: Sequence[Life], claim: str, rules: Rules) -> Interval:
    """Return own, end minus start, of lives and their start jobs; no ruler is looked at."""
    end = contrasts.end_sample(lives, claim, "imitator", rules.moves, rules.end_moves, rules.minima.ends)
    role = "imitator" if claim == METHOD else "imitator start"
    start = contrasts.start_sample(starts, claim, role, rules.minima.ends)
    if claim == METHOD:
        start = start.only(end.units)
    return contrasts.contrast([(1.0, end), (-1.0, start)], rules.thresholds.confidence)


def mean(terms: list[Term]) -> float:
    """Return the weighted sum of means."""
    return float(sum(part.mean for part in contrasts.parts(terms)))


def numbers(gains: Gains, thresholds: Thresholds) -> dict[str, Interval | None]:
    """Return every number that a verdict on gains rests on, by the protocol's names.

    Without any ruler, those of the imitator alone.
    """
    confidence = thresholds.confidence
    found: dict[str, Interval | None] = {
        "imitator start": contrasts.contrast([(1.0, gains.start)], confidence),
        "imitator end": contrasts.contrast([(1.0, gains.end)], confidence),
        "own": contrasts.contrast(gains.own(0.0), confidence),
    }
    if gains.ruler.m == 0:
        return found
    gain = contrasts.contrast(gains.gain(), confidence)
    found |= {
        "ruler start": contrasts.contrast(gains.ruler.terms(0.0, 1.0), confidence),
        "ruler end": contrasts.contrast(gains.ruler.terms(1.0, 0.0), confidence),
        "gain": gain,
        "level": contrasts.contrast(gains.level(0.0), confidence),
        "f": share_of_gain(gains, gain, confidence),
    }
    found["detection limit"] = detection_limit(gains, gain, thresholds)
    for kind, minus in (("own", gains.own), ("level", gains.level)):
        for share in (thresholds.yes_share, thresholds.no_share):
            found[contrast_name(kind, share)] = contrasts.contrast(minus(share), confidence)
        found[contrast_name(kind, thresholds.no_share, thresholds.no_confidence)] = contrasts.contrast(
            minus(thresholds.no_share), thresholds.no_confidence
        )
    return found


def detection_limit(gains: Gains, gain: Interval, thresholds: Thresholds) -> Interval | None:
    """Return how far from a threshold f must truly be to be told from it, with the power; a share of G.

    At today's numbers of lives and their spread around own - yes_share G. None where G isn't above 0.
    """
    parts = contrasts.parts(gains.own(thresholds.yes_share))
    effect = stats.detectable_effect(parts, thresholds.confidence, thresholds.power)
    if effect is None or not gain.above(0):
        return None
    return Interval(effect / gain.estimate, None, None, thresholds.confidence)


def contrast_name(kind: str, share: float, confidence: float | None = None) -> str:
    """Return the name under which a contrast is reported, e.g. `own - 0.5 G`."""
    at = f" at {confidence:.1%}" if confidence is not None else ""
    return f"{kind} - {share:g} G{at}"


def share_of_gain(gains: Gains, gain: Interval, confidence: float) -> Interval | None:
    """Return f = mean(own) / mean(G) with its Fieller set; None where the set is unbounded."""
    bounds = stats.fieller_set(lambda share: contrasts.contrast(gains.own(share), confidence), gain)
    if bounds is None:
        return None
    return Interval(mean(gains.own(0.0)) / gain.estimate, *bounds, confidence)
