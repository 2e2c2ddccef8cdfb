"""The verdict on a gain, shared by improvement and transfer: own and level against the ruler's gain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from understudy.suite import stats, verdicts
from understudy.suite.judging import conditions, contrasts, rulers
from understudy.suite.judging import gains as gains_of
from understudy.suite.judging.contrasts import METHOD
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.gains import Gains, contrast_name
from understudy.suite.judging.rulers import Ruler
from understudy.suite.judging.rules import Rules, Thresholds
from understudy.suite.stats import Moments
from understudy.suite.verdicts import Verdict


def judge(
    task: str, evidence: Evidence, rules: Rules, measure_ruler: Callable[[Evidence, Rules], Ruler]
) -> Verdict:
    """Answer a question about a gain, or say why not; `measure_ruler` is one of `rulers`.

    Raises InputError where lives don't belong together.
    """
    missing = unjudged(evidence, rules)
    if missing:
        return Verdict(task, evidence.claim, None, missing)
    gains = gains_of.measure(evidence, rules, measure_ruler(evidence, rules))
    found = Verdict(
        task,
        evidence.claim,
        verdicts.UNDECIDED,
        marks=_marks(gains),
        numbers=gains_of.numbers(gains, rules.thresholds),
        n=len(gains.end.units),
        m=gains.ruler.m,
    )
    if found.claim == METHOD and len(gains.end.units) < rules.minima.method_units:
        few = verdicts.FEW_UNITS.format(minimum=rules.minima.method_units)
        return replace(found, answer=None, reason=few)
    unusable = rulers.unusable(gains.ruler, rules)
    if unusable:
        return replace(found, reason=unusable)
    if not gains.has_room(rules.thresholds.yes_share):
        return replace(found, reason=verdicts.NO_ROOM)
    found = replace(found, answer=_answer(found, rules.thresholds))
    if found.answer == verdicts.UNDECIDED:
        return replace(found, needed_lives=_needed_lives(gains, rules.thresholds))
    if found.answer == verdicts.YES:
        return conditions.examine(found, evidence, rules, gains)
    return found


def unjudged(evidence: Evidence, rules: Rules) -> str | None:
    """Return why there is nothing to judge: incomplete teacher data, or lives not played to their end."""
    missing = rulers.watched_incomplete(evidence, rules)
    if missing:
        return missing
    if not evidence.lives or not evidence.starts:
        return verdicts.NOT_PLAYED
    shortest = min(life.num_moves for life in (*evidence.lives, *evidence.yoked, *evidence.flipped))
    if shortest < rules.moves:
        return verdicts.LIFE_INCOMPLETE.format(found=shortest, expected=rules.moves)
    return None


def _marks(gains: Gains) -> tuple[str, ...]:
    marks = [verdicts.PROVISIONAL] if gains.ruler.published else []
    if gains.end.few_ends or gains.start.few_ends or gains.ruler.end.few_ends or gains.ruler.start.few_ends:
        marks.append(verdicts.FEW_ENDS)
    if gains.ruler.left_out:
        marks.append(f"ruler lives left out: {gains.ruler.left_out}")
    return tuple(marks)


def _answer(found: Verdict, thresholds: Thresholds) -> str:
    """Compare own and level with the shares of the gain from which yes, no and partial begin."""
    yes, no = thresholds.yes_share, thresholds.no_share
    past_yes = [found.numbers[contrast_name(kind, yes)] for kind in ("own", "level")]
    past_no = [found.numbers[contrast_name(kind, no)] for kind in ("own", "level")]
    short = [found.numbers[contrast_name(kind, no, thresholds.no_confidence)] for kind in ("own", "level")]
    if all(interval is not None and interval.above(0) for interval in past_yes):
        return verdicts.YES
    if any(interval is not None and interval.below(0) for interval in short):
        return verdicts.NO
    if all(interval is not None and interval.above(0) for interval in past_no) and any(
        interval is not None and interval.below(0) for interval in past_yes
    ):
        return verdicts.PARTIAL
    return verdicts.UNDECIDED


def _needed_lives(gains: Gains, thresholds: Thresholds) -> int | None:
    """Return the fewest units a sample that would give some verdict, were today's means and spreads true."""
    past_yes = [contrasts.parts(minus(thresholds.yes_share)) for minus in (gains.own, gains.level)]
    past_no = [contrasts.parts(minus(thresholds.no_share)) for minus in (gains.own, gains.level)]
    power = thresholds.power

    def to_show(parts: list[Moments], sign: int, confidence: float = thresholds.confidence) -> float:
        if sign * sum(part.mean for part in parts) <= 0:
            return float("inf")
        return stats.needed_units(parts, confidence, power) or float("inf")

    yes = max(to_show(parts, 1) for parts in past_yes)
    no = min(to_show(parts, -1, thresholds.no_confidence) for parts in past_no)
    short_of_yes = min(to_show(parts, -1) for parts in past_yes)
    partial = max(short_of_yes, *(to_show(parts, 1) for parts in past_no))
    needed = min(yes, no, partial)
    return None if needed == float("inf") else int(needed)
