"""What a yes needs besides its gain: isolation, rewards that matter, and a rule that was learned."""

import numpy as np
import pytest
from support.known_runs import RULES, VERIFIED, evidence, one_a_unit

from understudy.suite import tasks
from understudy.suite.errors import InputError
from understudy.suite.scoring import verdicts

IMPROVEMENT = tasks.load("improvement")


def test_a_yes_is_unverified_until_everything_is_measured():
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0), RULES)
    assert (found.answer, found.decided) == ("yes (unverified)", True)
    assert found.reason == "not measured: isolation, reward, learned rule, retrained"
    draws = VERIFIED["gains_of_draws"]
    two_draws = {**VERIFIED, "gains_of_draws": {**draws, "redrawn": (0.0, 0.0)}}
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, **two_draws), RULES)
    assert (found.answer, found.reason) == ("yes (unverified)", "not measured: learned rule")


def test_a_gain_that_needs_no_reward_is_no_yes():
    late_skill = {**VERIFIED, "yoked": one_a_unit(np.full(5, 12.0))}
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, **late_skill), RULES)
    assert (found.answer, found.reason) == ("undecided", verdicts.REWARD_FREE)
    # the raised start of a unit is max(5, 12), so the gain is 3; the teacher's is 10
    assert found.numbers["gain - 0.5 x teacher's gain, yoked"].estimate == pytest.approx(-2.0)


@pytest.mark.parametrize(
    ("flipped", "answer", "reason", "marks"),
    [
        ((), "yes (unverified)", "not measured: flipped reward", ()),
        (one_a_unit(np.full(5, 6.0)), "yes", None, ("survival",)),
        (one_a_unit(np.full(5, 12.0)), "undecided", verdicts.REWARD_FREE, ()),
    ],
)
def test_survival_may_be_learned_from_yoked_rewards_where_episodes_end_by_failure(
    flipped, answer, reason, marks
):
    yoked = {**VERIFIED, "yoked": one_a_unit(np.full(5, 12.0)), "flipped": flipped}
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, **yoked, ends_by_failure=True), RULES)
    assert (found.answer, found.reason, found.marks) == (answer, reason, marks)
    assert found.numbers["gain - 0.5 x teacher's gain, yoked"].estimate == pytest.approx(15.0 - 12.0 - 5.0)
    if flipped:
        expected = 15.0 - flipped[0].reward.max() - 5.0
        assert found.numbers["gain - 0.5 x teacher's gain, flipped"].estimate == pytest.approx(expected)
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, **yoked), RULES)  # no failure ends an episode
    assert (found.answer, found.reason) == ("undecided", verdicts.REWARD_FREE)


@pytest.mark.parametrize(
    ("blanked", "answer", "reason"),
    [
        ((), "yes (unverified)", "not measured: blanked score"),
        (one_a_unit(np.full(5, 14.0)), "yes", None),
        (one_a_unit(np.full(5, 9.0)), "undecided", verdicts.SCORE_READ),
    ],
)
def test_a_gain_must_survive_a_blanked_score_where_other_rewards_come_with_one(blanked, answer, reason):
    """Yoked runs get the rewards of another lane and see no score: either might end a gain."""
    shown = {**VERIFIED, "shows_score": True, "blanked": blanked}
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, **shown), RULES)
    assert (found.answer, found.reason) == (answer, reason)
    if blanked:
        expected = blanked[0].reward.max() - 5.0 - 5.0
        assert found.numbers["gain - 0.5 x teacher's gain, blanked"].estimate == pytest.approx(expected)


def test_survival_is_shown_beside_the_answer():
    marked = {**VERIFIED, "yoked": one_a_unit(np.full(5, 12.0)), "flipped": one_a_unit(np.full(5, 6.0))}
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, **marked, ends_by_failure=True), RULES)
    assert found.label == "yes: survival"


@pytest.mark.parametrize("intervention", ["yoked", "flipped"])
def test_runs_of_other_units_under_an_intervention_are_refused(intervention):
    runs = {"yoked": one_a_unit(np.full(5, 12.0)), intervention: one_a_unit([1.0, 2.0])}
    with pytest.raises(InputError, match="must be the scored runs"):
        IMPROVEMENT.verdict(evidence(5.0, 15.0, **runs, ends_by_failure=True), RULES)


@pytest.mark.parametrize(
    ("retrained", "answer", "reason"),
    [
        ((5.2, 5.0, 5.1), "yes", None),  # mean 5.1 of a gain of 10
        ((4.8, 5.0, 4.9), "undecided", verdicts.NOT_RETRAINED),
        ((9.0, 9.0), "yes (unverified)", "not measured: retrained"),
    ],
)
def test_more_than_half_of_the_gain_is_there_after_training_anew(retrained, answer, reason):
    gains = {**VERIFIED["gains_of_draws"], "retrained": retrained}
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, **{**VERIFIED, "gains_of_draws": gains}), RULES)
    assert (found.answer, found.reason) == (answer, reason)


@pytest.mark.parametrize(
    ("drawn", "others", "answer"),
    [
        ((0.0, 0.1, 0.2), {}, "yes (not retrained)"),
        ((0.0, 0.1), {}, "yes (unverified)"),  # redrawn parameters need no training
        ((0.0, 0.1, 0.2), {"isolation_holds": None}, "yes (unverified)"),
        ((6.0, 6.0, 6.0), {}, "yes"),  # built in, and marked so
    ],
)
def test_without_declared_training_a_yes_is_not_retrained(drawn, others, answer):
    undeclared = {**VERIFIED, "gains_of_draws": {"redrawn": drawn}, "declares_training": False, **others}
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, **undeclared), RULES)
    assert (found.answer, found.decided) == (answer, True)
    if answer == "yes (not retrained)":
        assert found.reason == f"{verdicts.NO_TRAINING}: not measured: learned rule, retrained"


@pytest.mark.parametrize("control", ["redrawn", "shuffled"])
def test_a_rule_that_survives_redrawing_is_built_in(control):
    gains = {**VERIFIED["gains_of_draws"], control: (6.0, 5.0, 5.0)}  # mean 5.33 of a gain of 10
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, **{**VERIFIED, "gains_of_draws": gains}), RULES)
    assert found.answer == "yes"
    assert found.marks == (verdicts.BUILT_IN,)
    assert found.label == "yes: built-in"


def test_a_player_that_is_not_isolated_gets_no_yes():
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, **{**VERIFIED, "isolation_holds": False}), RULES)
    assert (found.answer, found.reason) == ("undecided", verdicts.NOT_ISOLATED)


def test_a_no_needs_no_condition():
    assert IMPROVEMENT.verdict(evidence(5.0, 5.0, isolation_holds=False), RULES).answer == "no"
