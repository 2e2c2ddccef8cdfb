"""Gain verdicts and their reasons, on runs whose skills are known by hand; conformance of all tasks."""

import dataclasses
import json
from unittest import mock

import numpy as np
import pytest
from scipy import stats as scipy_stats
from support.known_runs import RULES, SPREAD, VERIFIED, evidence, one_a_lane, one_a_unit, run

from understudy.suite import tasks
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.scoring import verdicts
from understudy.suite.scoring.evidence import Evidence, PinnedCount
from understudy.suite.scoring.rules import PublishedReference
from understudy.suite.testing.task_checks import check_task

IMPROVEMENT, TRANSFER = tasks.load("improvement"), tasks.load("transfer")
GAIN_TASKS = [IMPROVEMENT, TRANSFER]


# Gain verdicts


@pytest.mark.parametrize("task", GAIN_TASKS)
@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (5.0, 15.0, "yes"),  # gain and end above the teacher's start are 10, the teacher's gain is 10
        (5.0, 5.0, "no"),  # gains nothing
        (5.0, 2.0, "no"),  # gets worse
        (0.0, 4.0, "no"),  # gain 4, but the end is 1 below the teacher's start
        (5.0, 8.5, "partial"),  # both are 3.5: above 1, below 5
        (5.0, 10.2, "undecided"),  # 5.2 is not clearly different from 5
        (
            9.8,
            15.0,
            "undecided",
        ),  # the end is 10 above the teacher's start, but gain 5.2 is not clearly above 5
    ],
)
def test_gain_verdicts(task, start, end, expected):
    found = task.verdict(evidence(start, end, **VERIFIED), RULES)
    assert found.answer == expected
    assert found.reason is None
    assert (found.needed_runs is not None) == (expected == "undecided")


@pytest.mark.parametrize("claim", ["method", "checkpoint"])
def test_an_undecided_verdict_says_how_many_runs_it_needs(claim):
    case = evidence(
        5.0, 10.3, claim=claim
    )  # gain and end above the teacher's start are 5.3 of 10, spread about 0.5
    few = {name: getattr(case, name)[:4] for name in ("runs", "starts", "reference_runs", "reference_starts")}
    found = IMPROVEMENT.verdict(dataclasses.replace(case, **few), RULES)
    assert found.answer == "undecided"
    assert 4 < found.needed_runs < 200
    assert found.label == f"undecided (needs about {found.needed_runs} runs)"


def test_the_label_gives_needed_runs_before_reasons():
    undecided = verdicts.Verdict("improvement", "method", "undecided", needed_runs=1_487)
    assert undecided.label == "undecided (needs about 1,487 runs)"
    explained = dataclasses.replace(undecided, reason="skill undecided", marks=(verdicts.PROVISIONAL,))
    assert explained.label == "undecided (needs about 1,487 runs): skill undecided, provisional"


@pytest.mark.parametrize("task", GAIN_TASKS)
def test_no_room_for_a_player_that_starts_near_the_teachers_end(task):
    found = task.verdict(evidence(10.5, 10.5), RULES)
    assert (found.answer, found.reason) == ("undecided", verdicts.NO_ROOM)
    assert task.verdict(evidence(9.5, 9.5), RULES).answer == "no"


@pytest.mark.parametrize("task", GAIN_TASKS)
def test_a_flat_or_short_reference_is_no_reference(task):
    flat = task.verdict(evidence(5.0, 15.0, teacher_gain=0.3), RULES)
    assert (flat.answer, flat.reason) == ("undecided", verdicts.NO_REFERENCE)
    assert flat.numbers["normalised gain"] is None
    assert flat.numbers["teacher's gain"].estimate == pytest.approx(0.3)
    case = evidence(5.0, 15.0, claim="checkpoint")
    few = task.verdict(dataclasses.replace(case, reference_runs=case.reference_runs[:3]), RULES)
    assert (few.answer, few.reason, few.m) == ("undecided", verdicts.NO_REFERENCE, 3)
    none = task.verdict(dataclasses.replace(case, reference_runs=()), RULES)
    assert (none.answer, none.reason, none.m) == ("undecided", verdicts.NO_REFERENCE, 0)
    assert none.numbers["gain"].estimate == pytest.approx(10.0)


@pytest.mark.parametrize("task", GAIN_TASKS)
def test_starts_of_several_checkpoints_alone_are_a_method_that_has_not_played(task):
    """`score --task skill` of one checkpoint a teacher; at commit 2d5aaa29 its whole row was left out."""
    case = evidence(5.0, 15.0, claim="method")
    starts = tuple(dataclasses.replace(each, checkpoint=number) for number, each in enumerate(case.starts))
    row = mock.Mock(declares_training=True, learns_by_construction=False)
    row.of_role.side_effect = lambda role, *_: starts if role.startswith("start") else ()
    row.claim.side_effect = lambda role: "method" if role.startswith("start") else "checkpoint"
    row.gains_of_draws.return_value, row.isolation_holds.return_value = {}, None
    row.verdict.return_value = verdicts.Verdict("skill", "method", "yes", parts=())
    references = mock.Mock()
    references.shows_score.return_value = references.ends_by_failure.return_value = False
    references.starts.return_value = case.reference_starts
    references.continuations.return_value = references.runs_from_scratch.return_value = case.reference_runs
    references.watched_moves.return_value, references.pinned.return_value = 10_000, None
    found = task.verdict(task.evidence(row, references), RULES)
    assert (found.answer, found.reason) == (None, verdicts.NOT_PLAYED)


def test_short_reference_runs_are_left_out_and_counted_in_a_mark():
    case = evidence(5.0, 15.0)
    cut = run("run-4", 15.0, moves=199)
    found = IMPROVEMENT.verdict(
        dataclasses.replace(case, reference_runs=(*case.reference_runs[:4], cut)), RULES
    )
    assert (found.n, found.m) == (4, 4)
    assert "reference runs left out: 1" in found.marks


def test_a_method_claim_needs_four_teacher_runs():
    case = evidence(5.0, 15.0)
    found = IMPROVEMENT.verdict(dataclasses.replace(case, runs=case.runs[:3], starts=case.starts[:3]), RULES)
    assert (found.answer, found.reason) == (None, "fewer than 4 units")
    many_lanes = {name: one_a_lane(15 + SPREAD) for name in ("runs", "starts")}
    assert IMPROVEMENT.verdict(dataclasses.replace(case, **many_lanes), RULES).reason == "fewer than 4 units"


@pytest.mark.parametrize("task", GAIN_TASKS)
def test_incomplete_runs_give_no_verdict(task):
    case = evidence(5.0, 15.0)
    teacher = task.verdict(dataclasses.replace(case, watched_moves=99), RULES)
    assert (teacher.answer, teacher.reason) == (None, "teacher run incomplete: 99 of 100")
    short = dataclasses.replace(case, runs=(*case.runs[:4], run("run-4", 1.0, moves=120)))
    assert task.verdict(short, RULES).reason == "run incomplete: 120 of 200"
    assert task.verdict(dataclasses.replace(case, starts=()), RULES).reason == verdicts.NOT_PLAYED


@pytest.mark.parametrize("task", GAIN_TASKS)
def test_a_reference_without_some_of_its_pinned_runs_gives_no_verdict(task):
    case = dataclasses.replace(evidence(5.0, 15.0), pinned=PinnedCount(here=5, total=5))
    assert task.verdict(case, RULES).answer == verdicts.YES_UNVERIFIED
    found = task.verdict(dataclasses.replace(case, pinned=PinnedCount(here=5, total=6)), RULES)
    assert (found.answer, found.reason) == (None, "reference incomplete: 5 of 6")
    for here, total in ((6, 5), (-1, 5)):
        with pytest.raises(ValueError, match="expected 0 <= here <= total"):
            PinnedCount(here, total)


def test_a_window_that_is_too_short_gives_no_verdict():
    rules = dataclasses.replace(RULES, episode_cap_moves=6)  # 50 moves are 8 caps, and hold 10 ends
    assert IMPROVEMENT.verdict(evidence(5.0, 15.0), rules).reason == verdicts.FEW_ENDS
    rules = dataclasses.replace(rules, end_moves=100)  # 20 ends
    assert IMPROVEMENT.verdict(evidence(5.0, 15.0), rules).answer == verdicts.YES_UNVERIFIED


def test_a_checkpoint_claim_is_about_one_set_of_weights():
    mixed = tuple(run("run-0", value, lane, checkpoint=lane % 2) for lane, value in enumerate(SPREAD))
    with pytest.raises(InputError, match="expected one checkpoint, found 2"):
        Evidence("checkpoint", runs=mixed)
    assert Evidence("method", runs=mixed).runs == mixed


def test_few_ends_are_marked():
    case = evidence(5.0, 15.0)
    stuck = dataclasses.replace(case.runs[0], ended=np.zeros(200, bool))
    found = IMPROVEMENT.verdict(dataclasses.replace(case, runs=(stuck, *case.runs[1:])), RULES)
    assert verdicts.FEW_ENDS in found.marks
    assert verdicts.FEW_ENDS not in IMPROVEMENT.verdict(case, RULES).marks


@pytest.mark.parametrize(
    ("skill", "bracketed"), [("yes", False), ("above", False), ("no", True), (None, True)]
)
def test_improvement_is_bracketed_unless_the_player_has_the_teachers_skill(skill, bracketed):
    found = IMPROVEMENT.verdict(evidence(5.0, 5.0, skill_answer=skill), RULES)
    assert found.bracketed == bracketed
    assert found.label == ("(no)" if bracketed else "no")
    assert not TRANSFER.verdict(evidence(5.0, 5.0, skill_answer=skill), RULES).bracketed


def test_start_jobs_of_other_teacher_runs_are_refused():
    case = evidence(5.0, 15.0)
    with pytest.raises(InputError, match="start jobs are of"):
        IMPROVEMENT.verdict(dataclasses.replace(case, starts=case.starts[:4]), RULES)


# Published references

PUBLISHED = dataclasses.replace(
    RULES,
    published=PublishedReference(
        "g", runs=5, start_mean=5.0, start_sd=0.4, end_mean=15.0, end_sd=1.2, gain_sd=1.3, fewest_ends=20
    ),
)


def test_published_figures_replace_missing_reference_runs_provisionally():
    case = dataclasses.replace(evidence(5.0, 15.0), reference_runs=())
    found = IMPROVEMENT.verdict(case, PUBLISHED)
    assert verdicts.PROVISIONAL in found.marks
    assert (found.answer, found.m) == ("yes (unverified)", 5)
    teacher_gain = found.numbers["teacher's gain"]
    half = scipy_stats.t.ppf(0.975, 4) * 1.3 / np.sqrt(5)
    assert (teacher_gain.low, teacher_gain.high) == pytest.approx((10 - half, 10 + half))
    assert verdicts.PROVISIONAL not in IMPROVEMENT.verdict(evidence(5.0, 15.0), PUBLISHED).marks


def test_published_figures_give_the_numbers_of_the_runs_they_describe():
    start, end = 5 + np.array([0.1, -0.4, 0.3, 0.0]), 15 + np.array([1.0, -1.0, 2.0, 0.5])
    figures = PublishedReference(
        "g", 4, start.mean(), start.std(ddof=1), end.mean(), end.std(ddof=1), (end - start).std(ddof=1), 20
    )
    case = dataclasses.replace(
        evidence(5.0, 12.0, claim="checkpoint"),
        reference_runs=one_a_unit(end),
        reference_starts=one_a_unit(start),
    )
    from_runs = IMPROVEMENT.verdict(case, RULES)
    published = IMPROVEMENT.verdict(
        dataclasses.replace(case, reference_runs=()), dataclasses.replace(RULES, published=figures)
    )
    for name, interval in from_runs.numbers.items():
        expected = [interval.estimate, interval.low, interval.high]
        found = published.numbers[name]
        assert [found.estimate, found.low, found.high] == pytest.approx(expected, abs=1e-4), name


# All tasks


@pytest.mark.parametrize("name", tasks.names())
def test_conformance(name):
    check_task(tasks.load(name))


def test_check_task_detects_a_task_that_depends_on_order():
    class FirstRun:
        name, question, roles = "improvement", "Which came first?", ("start",)

        def verdict(self, evidence, rules):
            unit = evidence.runs[0].unit + str(evidence.runs[0].lane) if evidence.runs else "none"
            return verdicts.Verdict(self.name, evidence.claim, None, unit)

    with pytest.raises(CheckFailed, match="any order of runs"):
        check_task(FirstRun())


def test_check_task_detects_a_task_that_changes_its_runs():
    class ChangesRuns:
        name, question, roles = "improvement", "Is it mine?", ("start",)

        def verdict(self, evidence, rules):
            for one in evidence.runs:
                one.reward[0] += 1.0
            return verdicts.Verdict(self.name, evidence.claim, "no")

    with pytest.raises(CheckFailed, match="expected its runs unchanged"):
        check_task(ChangesRuns())


def test_a_verdict_is_plain_json_without_nan():
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0), RULES)
    read = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert read["answer"] == "yes (unverified)"
    assert read["numbers"]["gain"]["estimate"] == found.numbers["gain"].estimate
    with pytest.raises(ValueError, match="not finite"):
        dataclasses.replace(
            found, numbers={"gain": dataclasses.replace(found.numbers["gain"], low=float("nan"))}
        )


def test_unknown_answers_tasks_and_claims_are_refused():
    with pytest.raises(ValueError, match="expected an answer"):
        verdicts.Verdict("skill", "method", "maybe")
    with pytest.raises(ValueError, match="without an answer needs a reason"):
        verdicts.Verdict("skill", "method", None)
    with pytest.raises(InputError, match="did you mean 'improvement'"):
        tasks.load("improvment")
    with pytest.raises(InputError, match="expected a claim"):
        Evidence("anecdote")
    with pytest.raises(InputError, match="two runs of one unit"):
        Evidence("method", runs=(run("a", 1.0), run("a", 2.0)))
