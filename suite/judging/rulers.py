"""Rulers: what the teacher gained over the same moves, from its lives or from published figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from understudy.suite import verdicts
from understudy.suite.judging import contrasts
from understudy.suite.judging.contrasts import CHECKPOINT, METHOD, Sample, Term
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.lives import Life, end_skill
from understudy.suite.judging.rules import PublishedRuler, Rules
from understudy.suite.stats import Interval, Moments

NOTHING = Sample((), ())


@dataclass(frozen=True)
class Ruler:
    """Skill of the ruler at start and end: own lives (`published` is None), or published moments only."""

    end: Sample  # one value a teacher life or goal
    start: Sample  # over the same units, or the random player's over others
    fewest_ends: int | None = None  # in the end window of any of its lives; None: not known
    left_out: int = 0  # lives too short for the budget, or without a start job
    published: PublishedRuler | None = None

    @property
    def m(self) -> int:
        """How many units measure the gain."""
        if self.published:
            return self.published.lives
        return len(self.end.units) if self.start.units else 0

    def terms(self, end_weight: float, start_weight: float) -> list[Term]:
        """Return `end_weight * end + start_weight * start` as terms of a contrast."""
        if self.published:
            return [(1.0, _published_moments(self.published, end_weight, start_weight))]
        return [(end_weight, self.end), (start_weight, self.start)]

    def only(self, units: Sequence[str]) -> Ruler:
        """Return the ruler cut to some of its units; a start over other units stays as it is."""
        start = self.start.only(units) if set(units) <= set(self.start.units) else self.start
        return Ruler(self.end.only(units), start, self.fewest_ends, self.left_out)


def continuations(evidence: Evidence, rules: Rules) -> Ruler:
    """Return the ruler of improvement: teacher lives from W on, against their own networks at W, frozen."""
    lives = long_enough(evidence.ruler_lives, rules)
    starts = contrasts.start_sample(evidence.ruler_starts, METHOD, "ruler", rules.minima.ends)
    lives = [life for life in lives if life.unit in starts.units]
    end = _ends(lives, rules)
    left_out = len(evidence.ruler_lives) - len(lives)
    return _or_published(Ruler(end, starts.only(end.units), _fewest_ends(lives, rules), left_out), rules)


def lives_from_scratch(evidence: Evidence, rules: Rules) -> Ruler:
    """Return the ruler of transfer: teacher lives on the new game, against the random player."""
    lives = long_enough(evidence.ruler_lives, rules)
    end = _ends(lives, rules)
    start = random_sample(evidence, rules, end)
    left_out = len(evidence.ruler_lives) - len(lives)
    return _or_published(Ruler(end, start, _fewest_ends(lives, rules), left_out), rules)


def watched_incomplete(evidence: Evidence, rules: Rules) -> str | None:
    """Return that a watched teacher life is shorter than W, so that nothing can be judged; or None."""
    recorded = evidence.watched_moves
    if recorded is None or recorded >= rules.watched_moves:
        return None
    return verdicts.TEACHER_INCOMPLETE.format(found=recorded, expected=rules.watched_moves)


def gain(ruler: Ruler, rules: Rules) -> Interval | None:
    """Return G, the ruler's end - start, with its interval; None where nothing measures it."""
    return contrasts.contrast(ruler.terms(1.0, -1.0), rules.thresholds.confidence) if ruler.m else None


def unusable(ruler: Ruler, rules: Rules) -> str | None:
    """Return why a ruler allows no verdict: too few lives, no clear gain or too short a window; or None."""
    measured = gain(ruler, rules)
    if ruler.m < rules.minima.ruler_lives or measured is None or not measured.above(0):
        return verdicts.NO_RULER
    ends = ruler.fewest_ends
    if not rules.window_is_long and (ends is None or ends < rules.minima.window_ends):
        return verdicts.FEW_ENDS
    return None


def random_sample(evidence: Evidence, rules: Rules, like: Sample) -> Sample:
    """Return the random player's skill: over the units of `like` if it has them all, else a value a lane."""
    by_unit = contrasts.start_sample(evidence.random_starts, METHOD, "random", rules.minima.ends)
    if evidence.claim == METHOD and like.units and set(like.units) <= set(by_unit.units):
        return by_unit.only(like.units)
    return contrasts.start_sample(evidence.random_starts, CHECKPOINT, "random", rules.minima.ends)


def long_enough(lives: Sequence[Life], rules: Rules) -> list[Life]:
    """Return the lives that reach over all moves of the budget."""
    return [life for life in lives if life.num_moves >= rules.moves]


def _ends(lives: Sequence[Life], rules: Rules) -> Sample:
    return contrasts.end_sample(lives, METHOD, "ruler", rules.moves, rules.end_moves, rules.minima.ends)


def _fewest_ends(lives: Sequence[Life], rules: Rules) -> int | None:
    ends = [end_skill(life, rules.moves, rules.end_moves, rules.minima.ends).ends for life in lives]
    return min(ends, default=None)


def _or_published(ruler: Ruler, rules: Rules) -> Ruler:
    if rules.published is None or ruler.m >= rules.minima.ruler_lives:
        return ruler
    return Ruler(NOTHING, NOTHING, rules.published.fewest_ends, 0, rules.published)


def _published_moments(ruler: PublishedRuler, end_weight: float, start_weight: float) -> Moments:
    """Moments of a weighted sum within a life: the covariance follows from the gain's own spread."""
    covariance = (ruler.end_sd**2 + ruler.start_sd**2 - ruler.gain_sd**2) / 2
    mean = end_weight * ruler.end_mean + start_weight * ruler.start_mean
    variance = (
        (end_weight * ruler.end_sd) ** 2
        + (start_weight * ruler.start_sd) ** 2
        + 2 * end_weight * start_weight * covariance
    )
    return Moments(mean, max(variance, 0.0), ruler.lives)
