"""Verdicts on a gain, and every reason, from lives whose skills are known by hand; conformance of tasks."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats as scipy_stats

from understudy.suite import tasks, verdicts
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.rules import PublishedRuler
from understudy.suite.testing.known_lives import (
    RULES,
    SPREAD,
    VERIFIED,
    evidence,
    life,
    one_a_lane,
    one_a_unit,
)
from understudy.suite.testing.tasks import check_task

IMPROVEMENT, TRANSFER = tasks.load("improvement"), tasks.load("transfer")
GAIN_TASKS = [IMPROVEMENT, TRANSFER]


# Verdicts on a gain


@pytest.mark.parametrize("task", GAIN_TASKS)
@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (5.0, 15.0, "yes"),  # own 10 and level 10 of a gain of 10
        (5.0, 5.0, "no"),  # gains nothing
        (5.0, 2.0, "no"),  # gets worse
        (0.0, 4.0, "no"),  # own 4, but level -1: begins below the ruler and stays there
        (5.0, 8.5, "partial"),  # own and level 3.5: above 1, below 5
        (5.0, 10.2, "undecided"),  # 5.2 is not clearly apart from 5
        (9.8, 15.0, "undecided"),  # level 10, but own 5.2 is not clearly above 5
    ],
)
def test_verdicts(task, start, end, expected):
    found = task.verdict(evidence(start, end, **VERIFIED), RULES)
    assert found.answer == expected
    assert found.reason is None
    assert (found.needed_lives is not None) == (expected == "undecided")


@pytest.mark.parametrize("claim", ["method", "checkpoint"])
def test_more_lives_settle_what_was_undecided(claim):
    case = evidence(5.0, 10.3, claim=claim)  # own and level 5.3 of 10, spread about 0.5
    few = {name: getattr(case, name)[:4] for name in ("lives", "starts", "ruler_lives", "ruler_starts")}
    found = IMPROVEMENT.verdict(dataclasses.replace(case, **few), RULES)
    assert found.answer == "undecided"
    assert 4 < found.needed_lives < 200
    assert found.label == f"undecided: {found.needed_lives} lives would settle it"


@pytest.mark.parametrize("task", GAIN_TASKS)
def test_no_room_for_a_player_that_begins_near_the_rulers_end(task):
    found = task.verdict(evidence(10.5, 10.5), RULES)
    assert (found.answer, found.reason) == ("undecided", verdicts.NO_ROOM)
    assert task.verdict(evidence(9.5, 9.5), RULES).answer == "no"


@pytest.mark.parametrize("task", GAIN_TASKS)
def test_no_ruler(task):
    flat = task.verdict(evidence(5.0, 15.0, gain=0.3), RULES)
    assert (flat.answer, flat.reason) == ("undecided", verdicts.NO_RULER)
    assert flat.numbers["f"] is None
    assert flat.numbers["gain"].estimate == pytest.approx(0.3)
    case = evidence(5.0, 15.0, claim="checkpoint")
    few = task.verdict(dataclasses.replace(case, ruler_lives=case.ruler_lives[:3]), RULES)
    assert (few.answer, few.reason, few.m) == ("undecided", verdicts.NO_RULER, 3)
    none = task.verdict(dataclasses.replace(case, ruler_lives=()), RULES)
    assert (none.answer, none.reason, none.m) == ("undecided", verdicts.NO_RULER, 0)
    assert none.numbers["own"].estimate == pytest.approx(10.0)


def test_short_ruler_lives_are_left_out_and_said_so():
    case = evidence(5.0, 15.0)
    cut = life("life-4", 15.0, moves=199)
    found = IMPROVEMENT.verdict(dataclasses.replace(case, ruler_lives=(*case.ruler_lives[:4], cut)), RULES)
    assert (found.n, found.m) == (4, 4)
    assert "ruler lives left out: 1" in found.marks


def test_a_method_claim_needs_four_teacher_lives():
    case = evidence(5.0, 15.0)
    found = IMPROVEMENT.verdict(
        dataclasses.replace(case, lives=case.lives[:3], starts=case.starts[:3]), RULES
    )
    assert (found.answer, found.reason) == (None, "fewer than 4 units")
    many_lanes = {name: one_a_lane(15 + SPREAD) for name in ("lives", "starts")}
    assert IMPROVEMENT.verdict(dataclasses.replace(case, **many_lanes), RULES).reason == "fewer than 4 units"


@pytest.mark.parametrize("task", GAIN_TASKS)
def test_incomplete_lives_give_no_verdict(task):
    case = evidence(5.0, 15.0)
    teacher = task.verdict(dataclasses.replace(case, watched_moves=99), RULES)
    assert (teacher.answer, teacher.reason) == (None, "teacher life incomplete: 99 of 100")
    short = dataclasses.replace(case, lives=(*case.lives[:4], life("life-4", 1.0, moves=120)))
    assert task.verdict(short, RULES).reason == "life incomplete: 120 of 200"
    assert task.verdict(dataclasses.replace(case, starts=()), RULES).reason == verdicts.NOT_PLAYED


def test_too_short_a_window_gives_no_verdict():
    rules = dataclasses.replace(RULES, episode_cap_moves=6)  # 50 moves are 8 caps, and hold 10 ends
    assert IMPROVEMENT.verdict(evidence(5.0, 15.0), rules).reason == verdicts.FEW_ENDS
    rules = dataclasses.replace(rules, end_moves=100)  # 20 ends
    assert IMPROVEMENT.verdict(evidence(5.0, 15.0), rules).answer == verdicts.YES_UNVERIFIED


def test_a_checkpoint_claim_is_about_one_set_of_weights():
    mixed = tuple(life("life-0", value, lane, checkpoint=lane % 2) for lane, value in enumerate(SPREAD))
    with pytest.raises(InputError, match="expected one checkpoint, found 2"):
        Evidence("checkpoint", lives=mixed)
    assert Evidence("method", lives=mixed).lives == mixed


def test_few_ends_are_marked():
    case = evidence(5.0, 15.0)
    stuck = dataclasses.replace(case.lives[0], ended=np.zeros(200, bool))
    found = IMPROVEMENT.verdict(dataclasses.replace(case, lives=(stuck, *case.lives[1:])), RULES)
    assert verdicts.FEW_ENDS in found.marks
    assert verdicts.FEW_ENDS not in IMPROVEMENT.verdict(case, RULES).marks


@pytest.mark.parametrize(
    ("skill", "bracketed"), [("yes", False), ("above", False), ("no", True), (None, True)]
)
def test_improvement_stands_in_brackets_unless_the_player_has_the_teachers_skill(skill, bracketed):
    found = IMPROVEMENT.verdict(evidence(5.0, 5.0, skill_answer=skill), RULES)
    assert found.bracketed == bracketed
    assert found.label == ("(no)" if bracketed else "no")
    assert not TRANSFER.verdict(evidence(5.0, 5.0, skill_answer=skill), RULES).bracketed


def test_start_jobs_of_other_teacher_lives_are_refused():
    case = evidence(5.0, 15.0)
    with pytest.raises(InputError, match="start jobs are of"):
        IMPROVEMENT.verdict(dataclasses.replace(case, starts=case.starts[:4]), RULES)


# The published ruler

PUBLISHED = dataclasses.replace(
    RULES,
    published=PublishedRuler(
        "g", lives=5, start_mean=5.0, start_sd=0.4, end_mean=15.0, end_sd=1.2, gain_sd=1.3, fewest_ends=20
    ),
)


def test_published_figures_rule_provisionally_where_own_lives_are_few():
    case = dataclasses.replace(evidence(5.0, 15.0), ruler_lives=())
    found = IMPROVEMENT.verdict(case, PUBLISHED)
    assert verdicts.PROVISIONAL in found.marks
    assert (found.answer, found.m) == ("yes (unverified)", 5)
    gain = found.numbers["gain"]
    half = scipy_stats.t.ppf(0.975, 4) * 1.3 / np.sqrt(5)
    assert (gain.low, gain.high) == pytest.approx((10 - half, 10 + half))
    assert verdicts.PROVISIONAL not in IMPROVEMENT.verdict(evidence(5.0, 15.0), PUBLISHED).marks


def test_published_moments_are_those_of_lives_that_have_them():
    start, end = 5 + np.array([0.1, -0.4, 0.3, 0.0]), 15 + np.array([1.0, -1.0, 2.0, 0.5])
    figures = PublishedRuler(
        "g", 4, start.mean(), start.std(ddof=1), end.mean(), end.std(ddof=1), (end - start).std(ddof=1), 20
    )
    case = dataclasses.replace(
        evidence(5.0, 12.0, claim="checkpoint"), ruler_lives=one_a_unit(end), ruler_starts=one_a_unit(start)
    )
    own = IMPROVEMENT.verdict(case, RULES)
    published = IMPROVEMENT.verdict(
        dataclasses.replace(case, ruler_lives=()), dataclasses.replace(RULES, published=figures)
    )
    for name, interval in own.numbers.items():
        expected = [interval.estimate, interval.low, interval.high]
        found = published.numbers[name]
        assert [found.estimate, found.low, found.high] == pytest.approx(expected, abs=1e-4), name


# All tasks


@pytest.mark.parametrize("name", tasks.names())
def test_conformance(name):
    check_task(tasks.load(name))


def test_the_kit_notices_a_task_that_depends_on_order():
    class FirstLife:
        name, question, kinds = "improvement", "Which came first?", ("start",)

        def verdict(self, evidence, rules):
            unit = evidence.lives[0].unit + str(evidence.lives[0].lane) if evidence.lives else "none"
            return verdicts.Verdict(self.name, evidence.claim, None, unit)

    with pytest.raises(CheckFailed, match="any order of lives"):
        check_task(FirstLife())


def test_the_kit_notices_a_task_that_changes_its_lives():
    class Greedy:
        name, question, kinds = "improvement", "Is it mine?", ("start",)

        def verdict(self, evidence, rules):
            for one in evidence.lives:
                one.reward[0] += 1.0
            return verdicts.Verdict(self.name, evidence.claim, "no")

    with pytest.raises(CheckFailed, match="unchanged"):
        check_task(Greedy())


def test_a_verdict_survives_json_and_holds_no_nan():
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0), RULES)
    read = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert read["answer"] == "yes (unverified)"
    assert read["numbers"]["own"]["estimate"] == found.numbers["own"].estimate
    with pytest.raises(ValueError, match="not finite"):
        dataclasses.replace(
            found, numbers={"own": dataclasses.replace(found.numbers["own"], low=float("nan"))}
        )


def test_unknown_answers_tasks_and_claims_are_refused():
    with pytest.raises(ValueError, match="expected an answer"):
        verdicts.Verdict("skill", "method", "maybe")
    with pytest.raises(ValueError, match="needs a reason"):
        verdicts.Verdict("skill", "method", None)
    with pytest.raises(InputError, match="did you mean 'improvement'"):
        tasks.load("improvment")
    with pytest.raises(InputError, match="expected a claim"):
        Evidence("anecdote")
    with pytest.raises(InputError, match="two lives of one unit"):
        Evidence("method", lives=(life("a", 1.0), life("a", 2.0)))
