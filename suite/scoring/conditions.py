"""Conditions of a yes besides its contrasts: isolation, reward dependence, a learned rule, retraining.

A condition examines a yes and returns a `ConditionResult`: it holds, it fails and changes the verdict, or
something was not measured. A new condition is one more function in `CONDITIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from understudy.suite.errors import InputError
from understudy.suite.scoring import contrasts, verdicts
from understudy.suite.scoring.contrasts import Sample
from understudy.suite.scoring.evidence import Evidence
from understudy.suite.scoring.gains import GAIN, Gains, contrast_name, mean
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.rules import Rules
from understudy.suite.scoring.scored_runs import ScoredRun
from understudy.suite.scoring.verdicts import Verdict

LEARNED_RULE_INTERVENTIONS = ("redrawn", "shuffled")  # parameters redrawn, or trained on shuffled actions
DRAWS = 3  # of each of them
RETRAINED = "retrained"  # parameters trained anew by the declared settings, as many draws
KEPT_SHARE = 0.5  # of the gain: what was not learned must keep at most this, what was retrained more
BLANKED_SCORE = "blanked score"  # needed where pixels show the score: interventions on the reward blank it
FLIPPED_REWARD = "flipped reward"  # needed where a gain survives yoked rewards and episodes end by failure


@dataclass(frozen=True)
class ConditionResult:
    """Result of one condition: the verdict after it, and the name of what was not measured, if anything."""

    verdict: Verdict
    not_measured: str = ""


def examine(verdict: Verdict, evidence: Evidence, rules: Rules, measured: Gains) -> Verdict:
    """Return the verdict after all conditions: yes, unverified with what was not measured, or undecided."""
    missing = []
    for condition in CONDITIONS:
        result = condition(verdict, evidence, rules, measured)
        verdict = result.verdict
        if result.not_measured:
            missing.append(result.not_measured)
        if verdict.answer != verdicts.YES:
            return verdict
    if not missing:
        return verdict
    redrawn = len(evidence.gains_of_draws.get("redrawn", ())) >= DRAWS
    if redrawn and not evidence.declares_training and set(missing) <= {"learned rule", RETRAINED}:
        reason = f"{verdicts.NO_TRAINING}: not measured: {', '.join(missing)}"
        return replace(verdict, answer=verdicts.YES_NOT_RETRAINED, reason=reason)
    return replace(verdict, answer=verdicts.YES_UNVERIFIED, reason=f"not measured: {', '.join(missing)}")


def reward(verdict: Verdict, evidence: Evidence, rules: Rules, measured: Gains) -> ConditionResult:
    """The gain must vanish under yoked rewards, with max(start, yoked end) as the start of each unit.

    Where episodes end by failure, another lane's rewards still make survival worth learning, and the DQN
    itself gains that way. If the gain survives yoked rewards there, it must vanish under negated rewards
    (`flipped`); such verdicts are marked `survival`. Where these runs have the score's pixels blanked, the
    gain must survive blanking alone, under the run's own reward: otherwise it may depend on those pixels.
    """
    name = contrast_name(GAIN, rules.thresholds.yes_share)
    if not evidence.yoked:
        return ConditionResult(verdict, "reward")
    if evidence.shows_score:
        if not evidence.blanked:
            return ConditionResult(verdict, BLANKED_SCORE)
        contrast = _gain_of(evidence.blanked, evidence, rules, measured)
        verdict = _with_number(verdict, f"{name}, blanked", contrast)
        if not contrast.above(0):
            return _undecided(verdict, verdicts.SCORE_READ)
    contrast = _gain_above(evidence.yoked, evidence, rules, measured)
    verdict = _with_number(verdict, f"{name}, yoked", contrast)
    if contrast.above(0):
        return ConditionResult(verdict)
    if not evidence.ends_by_failure:
        return _undecided(verdict, verdicts.REWARD_FREE)
    if not evidence.flipped:
        return ConditionResult(verdict, FLIPPED_REWARD)
    contrast = _gain_above(evidence.flipped, evidence, rules, measured)
    verdict = _with_number(verdict, f"{name}, flipped", contrast)
    if contrast.above(0):
        return _marked(verdict, verdicts.SURVIVAL)
    return _undecided(verdict, verdicts.REWARD_FREE)


def learned_rule(verdict: Verdict, evidence: Evidence, rules: Rules, measured: Gains) -> ConditionResult:
    """At most `KEPT_SHARE` of the gain may remain with redrawn or shuffled parameters.

    If more remains, the rule was built in rather than learned: the yes stands, marked `built-in`.
    """
    if evidence.learns_by_construction:
        return _marked(verdict, verdicts.BUILT_IN)
    gain = mean(measured.gain(0.0))
    by_draw = [evidence.gains_of_draws.get(intervention, ()) for intervention in LEARNED_RULE_INTERVENTIONS]
    if any(len(drawn) >= DRAWS and float(np.mean(drawn)) > KEPT_SHARE * gain for drawn in by_draw):
        return _marked(verdict, verdicts.BUILT_IN)
    if any(len(drawn) < DRAWS for drawn in by_draw):
        return ConditionResult(verdict, "learned rule")
    return ConditionResult(verdict)


def retrained(verdict: Verdict, evidence: Evidence, rules: Rules, measured: Gains) -> ConditionResult:
    """More than `KEPT_SHARE` of the gain must be there after training anew by the declared settings.

    Otherwise it comes from something in the weights that this training does not put there. A rule that is
    known to be built in is not asked where it comes from.
    """
    if verdicts.BUILT_IN in verdict.marks:
        return ConditionResult(verdict)
    drawn = evidence.gains_of_draws.get(RETRAINED, ())
    if len(drawn) < DRAWS:
        return ConditionResult(verdict, RETRAINED)
    if float(np.mean(drawn)) > KEPT_SHARE * mean(measured.gain(0.0)):
        return ConditionResult(verdict)
    return _undecided(verdict, verdicts.NOT_RETRAINED)


def isolation(verdict: Verdict, evidence: Evidence, rules: Rules, measured: Gains) -> ConditionResult:
    """Lanes in other batches, and alone, must answer the same and choose the logged moves."""
    if evidence.isolation_holds is None:
        return ConditionResult(verdict, "isolation")
    if evidence.isolation_holds:
        return ConditionResult(verdict)
    return _undecided(verdict, verdicts.NOT_ISOLATED)


def _undecided(verdict: Verdict, reason: str) -> ConditionResult:
    return ConditionResult(replace(verdict, answer=verdicts.UNDECIDED, reason=reason))


def _marked(verdict: Verdict, mark: str) -> ConditionResult:
    return ConditionResult(replace(verdict, marks=(*verdict.marks, mark)))


def _with_number(verdict: Verdict, name: str, number: Interval) -> Verdict:
    return replace(verdict, numbers={**verdict.numbers, name: number})


def _gain_above(
    intervened: Sequence[ScoredRun], evidence: Evidence, rules: Rules, measured: Gains
) -> Interval:
    """Return gain - yes_share x teacher's gain of the scored runs, from max(start, intervened end)."""
    raised = measured.with_start_at_least(_end(intervened, evidence, rules, measured))
    return contrasts.contrast(raised.gain(rules.thresholds.yes_share), rules.thresholds.confidence)


def _gain_of(intervened: Sequence[ScoredRun], evidence: Evidence, rules: Rules, measured: Gains) -> Interval:
    """Return gain - yes_share x teacher's gain of the intervened runs."""
    replaced = replace(measured, end=_end(intervened, evidence, rules, measured))
    return contrasts.contrast(replaced.gain(rules.thresholds.yes_share), rules.thresholds.confidence)


def _end(intervened: Sequence[ScoredRun], evidence: Evidence, rules: Rules, measured: Gains) -> Sample:
    """Return the skill at the end of the intervened runs, over the units of the scored ones.

    Raises InputError where they differ from the scored runs in unit, checkpoint or lane.
    """
    keys, scored = (
        {(one.unit, one.checkpoint, one.lane) for one in of} for of in (intervened, evidence.runs)
    )
    if keys != scored:
        raise InputError(
            "yoked, flipped and blanked runs must be the scored runs, each with its lane; expected "
            f"{len(scored)}, found {len(keys & scored)} of them and {len(keys - scored)} others; play them "
            "with the same --num-envs"
        )
    end = contrasts.end_sample(
        intervened, evidence.claim, "imitator", rules.moves, rules.end_moves, rules.minima.ends
    )
    return end.only(measured.end.units) if set(measured.end.units) < set(end.units) else end


CONDITIONS: tuple[Callable[[Verdict, Evidence, Rules, Gains], ConditionResult], ...] = (
    isolation,
    reward,
    learned_rule,
    retrained,
)
