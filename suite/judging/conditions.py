"""What a yes needs besides its contrasts: reward dependence, a learned rule, isolation.

A condition looks at a yes and says that it holds, that it doesn't (and what the verdict is then), or what
was not measured. A new condition is one more function in `CONDITIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from understudy.suite import verdicts
from understudy.suite.errors import InputError
from understudy.suite.judging import contrasts
from understudy.suite.judging.contrasts import Sample
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.gains import Gains, contrast_name, mean
from understudy.suite.judging.lives import Life
from understudy.suite.judging.rules import Rules
from understudy.suite.stats import Interval
from understudy.suite.verdicts import Verdict

LEARNED_RULE_CONTROLS = ("redrawn", "shuffled")  # parameters redrawn; trained on action-shuffled histories
DRAWS = 3  # of each control
BLANKED_SCORE = "blanked score"  # owed where pixels show the score, which a probe's lives have blanked
FLIPPED_REWARD = "flipped reward"  # owed where a gain stays with yoked rewards, and episodes end by failure
KEPT_SHARE = 0.5  # a control that keeps more of own shows that the rule was built in


@dataclass(frozen=True)
class Finding:
    """What one condition found: the verdict as it stands now, and what was not measured, if anything."""

    verdict: Verdict
    not_measured: str = ""


def examine(verdict: Verdict, evidence: Evidence, rules: Rules, gains: Gains) -> Verdict:
    """Return what is left of a yes: yes, unverified with the conditions not measured, or undecided."""
    missing = []
    for condition in CONDITIONS:
        finding = condition(verdict, evidence, rules, gains)
        verdict = finding.verdict
        if finding.not_measured:
            missing.append(finding.not_measured)
        if verdict.answer != verdicts.YES:
            return verdict
    if not missing:
        return verdict
    return replace(verdict, answer=verdicts.YES_UNVERIFIED, reason=f"not measured: {', '.join(missing)}")


def reward(verdict: Verdict, evidence: Evidence, rules: Rules, gains: Gains) -> Finding:
    """The gain goes when the player is told another lane's reward: start becomes max(start, yoked end).

    Where episodes end by failure, another's rewards still make it worthwhile to live on, and the DQN itself
    gains by that. There a gain that stays must go when each point is told as a punishment; it is marked.
    Where these lives have the score's pixels blanked, its own lives must keep the gain without them: else its
    going says no more than that the player needs the pixels.
    """
    if not evidence.yoked:
        return Finding(verdict, "reward")
    if evidence.shows_score:
        if not evidence.blanked:
            return Finding(verdict, BLANKED_SCORE)
        own = _own_of(evidence.blanked, evidence, rules, gains)
        verdict = _with_number(verdict, f"{contrast_name('own', rules.thresholds.yes_share)}, blanked", own)
        if not own.above(0):
            return Finding(replace(verdict, answer=verdicts.UNDECIDED, reason=verdicts.SCORE_READ))
    own = _own_beside(evidence.yoked, evidence, rules, gains)
    verdict = _with_number(verdict, f"{contrast_name('own', rules.thresholds.yes_share)}, yoked", own)
    if own.above(0):
        return Finding(verdict)
    if not evidence.ends_by_failure:
        return Finding(replace(verdict, answer=verdicts.UNDECIDED, reason=verdicts.REWARD_FREE))
    if not evidence.flipped:
        return Finding(verdict, FLIPPED_REWARD)
    own = _own_beside(evidence.flipped, evidence, rules, gains)
    verdict = _with_number(verdict, f"{contrast_name('own', rules.thresholds.yes_share)}, flipped", own)
    if own.above(0):
        return Finding(replace(verdict, marks=(*verdict.marks, verdicts.SURVIVAL)))
    return Finding(replace(verdict, answer=verdicts.UNDECIDED, reason=verdicts.REWARD_FREE))


def learned_rule(verdict: Verdict, evidence: Evidence, rules: Rules, gains: Gains) -> Finding:
    """Redrawn or shuffled controls keep at most half of own; otherwise the rule is built in, and marked."""
    if evidence.learns_by_construction:
        return Finding(replace(verdict, marks=(*verdict.marks, verdicts.BUILT_IN)))
    draws = [evidence.control_owns.get(control, ()) for control in LEARNED_RULE_CONTROLS]
    own = mean(gains.own(0.0))
    if any(len(owns) >= DRAWS and float(np.mean(owns)) > KEPT_SHARE * own for owns in draws):
        return Finding(replace(verdict, marks=(*verdict.marks, verdicts.BUILT_IN)))
    if any(len(owns) < DRAWS for owns in draws):
        return Finding(verdict, "learned rule")
    return Finding(verdict)


def isolation(verdict: Verdict, evidence: Evidence, rules: Rules, gains: Gains) -> Finding:
    """One lane, unrolled in a fresh process over its logged timesteps, makes the same moves."""
    if evidence.isolation_holds is None:
        return Finding(verdict, "isolation")
    if evidence.isolation_holds:
        return Finding(verdict)
    return Finding(replace(verdict, answer=verdicts.UNDECIDED, reason=verdicts.NOT_ISOLATED))


def _own_beside(probed: Sequence[Life], evidence: Evidence, rules: Rules, gains: Gains) -> Interval:
    """Return own - yes_share G, with start raised to the end of the same lives told another reward."""
    own = gains.with_start_at_least(_end(probed, evidence, rules, gains)).own(rules.thresholds.yes_share)
    return contrasts.contrast(own, rules.thresholds.confidence)


def _own_of(probed: Sequence[Life], evidence: Evidence, rules: Rules, gains: Gains) -> Interval:
    """Return own - yes_share G of these lives in the scored ones' place."""
    own = replace(gains, end=_end(probed, evidence, rules, gains)).own(rules.thresholds.yes_share)
    return contrasts.contrast(own, rules.thresholds.confidence)


def _end(probed: Sequence[Life], evidence: Evidence, rules: Rules, gains: Gains) -> Sample:
    """Return the skill at the end of the scored lives told another reward, of the same units.

    InputError where they are other lives: of another unit, checkpoint or lane.
    """
    keys, scored = ({(one.unit, one.checkpoint, one.lane) for one in of} for of in (probed, evidence.lives))
    if keys != scored:
        raise InputError(
            "yoked, flipped and blanked lives must be the scored lives, each with its lane; expected "
            f"{len(scored)}, found {len(keys & scored)} of them and {len(keys - scored)} others; play them "
            "with the same --lanes"
        )
    end = contrasts.end_sample(
        probed, evidence.claim, "imitator", rules.moves, rules.end_moves, rules.minima.ends
    )
    return end.only(gains.end.units) if set(gains.end.units) < set(end.units) else end


def _with_number(verdict: Verdict, name: str, number: Interval) -> Verdict:
    return replace(verdict, numbers={**verdict.numbers, name: number})


CONDITIONS: tuple[Callable[[Verdict, Evidence, Rules, Gains], Finding], ...] = (
    isolation,
    reward,
    learned_rule,
)
