"""Standings: what a ruler measures by itself, before any imitator, and whether a verdict may rest on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from understudy.suite import verdicts
from understudy.suite.judging import contrasts, rulers
from understudy.suite.judging.contrasts import METHOD, Sample
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.rulers import Ruler
from understudy.suite.judging.rules import Rules
from understudy.suite.stats import Interval

MEASURES: Final = {"improvement": rulers.continuations, "transfer": rulers.lives_from_scratch}


@dataclass(frozen=True)
class Standing:
    """One ruler: its lives, its skill at start and end, its gain."""

    lives: int  # that measure the gain; a game's lives count as one where there are several games
    recorded: int  # of those that there are, too short ones among them
    start: Interval | None  # points an episode, as below; None: not measured
    end: Interval | None
    gain: Interval | None
    provisional: bool  # from published figures, whose lives nobody can replay here
    reasons: tuple[str, ...]  # why no verdict may rest on it; none: one may

    @property
    def allows_verdict(self) -> bool:
        """Whether a verdict may rest on this ruler."""
        return not self.reasons


def standing(task: str, evidence: Evidence, rules: Rules) -> Standing:
    """Return how the ruler of a gain task stands.

    Args:
        task: improvement or transfer.
        evidence: of its ruler lives and their start jobs; an imitator's lives are not looked at.
        rules: of the benchmark at one budget.
    """
    ruler = MEASURES[task](evidence, rules)
    confidence = rules.thresholds.confidence
    start = contrasts.contrast(ruler.terms(0.0, 1.0), confidence) if ruler.m else None
    return Standing(
        lives=ruler.m,
        recorded=len({life.unit for life in evidence.ruler_lives}),
        start=start,
        end=_end(ruler, evidence, rules),
        gain=rulers.gain(ruler, rules),
        provisional=ruler.published is not None,
        reasons=tuple(
            filter(None, (rulers.watched_incomplete(evidence, rules), _reason(task, ruler, evidence, rules)))
        ),
    )


def _end(ruler: Ruler, evidence: Evidence, rules: Rules) -> Interval | None:
    """Return the skill at the end; of all lives that are long enough where no start was measured."""
    if ruler.m:
        return contrasts.contrast(ruler.terms(1.0, 0.0), rules.thresholds.confidence)
    lives = rulers.long_enough(evidence.ruler_lives, rules)
    if not lives:
        return None
    ends: Sample = contrasts.end_sample(
        lives, METHOD, "ruler", rules.moves, rules.end_moves, rules.minima.ends
    )
    return contrasts.contrast([(1.0, ends)], rules.thresholds.confidence)


def _reason(task: str, ruler: Ruler, evidence: Evidence, rules: Rules) -> str | None:
    unusable = rulers.unusable(ruler, rules)
    if unusable == verdicts.NO_RULER:
        return f"{unusable}: {_what_is_missing(task, ruler, evidence, rules)}"
    if unusable == verdicts.FEW_ENDS:
        return f"{unusable}: {ruler.fewest_ends} of {rules.minima.window_ends} ends"
    return unusable


def _what_is_missing(task: str, ruler: Ruler, evidence: Evidence, rules: Rules) -> str:
    minimum = rules.minima.ruler_lives
    if not evidence.ruler_lives and not ruler.published:
        return "no teacher life"
    reaching = len(rulers.long_enough(evidence.ruler_lives, rules))
    if reaching < minimum and not ruler.published:
        after = " after W" if task == "improvement" else ""
        longest = max(life.num_moves for life in evidence.ruler_lives)
        return f"{reaching} of {minimum} lives have {rules.moves:,} moves{after}, the longest {longest:,}"
    if ruler.m == 0:
        return "start not measured"
    if ruler.m < minimum:
        return f"start measured for {ruler.m} of {minimum} lives"
    return "gain not clearly above 0"
