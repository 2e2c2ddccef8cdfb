"""Q1, skill and likeness: every verdict, and every reason why there is none, on moves known by hand."""

import dataclasses

import numpy as np
import pytest
from scipy import stats as scipy_stats

from understudy.suite import tasks, verdicts
from understudy.suite.judging.evidence import Evidence, Likeness
from understudy.suite.testing.known_lives import RULES, SPREAD, life, one_a_lane, one_a_unit

SKILL = tasks.load("skill")


def likeness(agreement: float, ceiling: float = 0.9, unit: str = "life-0", n: int = 400) -> Likeness:
    """Half of the moves are action 0, so that the best constant player agrees in half of them."""
    rng = np.random.default_rng(int(1000 * agreement))
    chosen = rng.permutation(np.arange(n) % 2)
    predicted = np.where(rng.permutation(n) < round(agreement * n), chosen, 1 - chosen)
    ceilings = (rng.permutation(n) < round(ceiling * n)).astype(float)
    return Likeness(unit, 0, chosen, np.zeros(n, bool), predicted, np.full(n, 0.4), ceilings, np.zeros(n))


def first_moves(imitator: float, teacher: float = 10.0, agreement: float = 0.85, **others) -> Evidence:
    return Evidence(
        "checkpoint",
        starts=one_a_lane(imitator + 0.5 * SPREAD),
        **{
            "ruler_starts": one_a_lane(teacher + 0.5 * SPREAD[::-1]),
            "random_starts": one_a_lane([0.9, 1.0, 1.1], unit="random"),
            "likeness": (likeness(agreement),),
            "watched_moves": 100,
            **others,
        },
    )


@pytest.mark.parametrize(
    ("imitator", "expected"),
    [(10.0, "yes"), (15.0, "above"), (5.0, "no"), (8.4, "undecided"), (12.0, "undecided")],
)
def test_skill_verdicts(imitator, expected):
    found = SKILL.verdict(first_moves(imitator), RULES)
    assert found.part("skill").answer == expected
    assert found.part("likeness").answer == "yes"
    assert found.answer == expected
    assert (found.needed_lives is not None) == (expected == "undecided")


@pytest.mark.parametrize(("agreement", "expected"), [(0.85, "yes"), (0.55, "no"), (0.70, "undecided")])
def test_likeness_verdicts(agreement, expected):
    found = SKILL.verdict(first_moves(10.0, agreement=agreement), RULES)
    assert found.part("likeness").answer == expected
    assert found.answer == expected
    share = found.numbers["likeness"]
    assert share.estimate == pytest.approx((agreement - 0.5) / 0.4)
    assert found.numbers["loss_nats"].estimate == pytest.approx(0.4)
    assert found.numbers["floor_nats"].estimate == 0.0


def test_skill_contrast_is_of_three_samples():
    found = SKILL.verdict(first_moves(8.4), RULES).part("skill")
    contrast = found.numbers["imitator - random - 0.8 (teacher - random)"]
    random = np.array([0.9, 1.0, 1.1])
    errors = [
        np.var(0.5 * SPREAD, ddof=1) / 5,
        0.64 * np.var(0.5 * SPREAD, ddof=1) / 5,
        0.04 * random.var(ddof=1) / 3,
    ]
    free = sum(errors) ** 2 / (errors[0] ** 2 / 4 + errors[1] ** 2 / 4 + errors[2] ** 2 / 2)
    half = scipy_stats.t.ppf(0.975, free) * np.sqrt(sum(errors))
    assert (contrast.low, contrast.high) == pytest.approx((0.2 - half, 0.2 + half), abs=1e-5)


def test_explored_moves_are_no_part_of_likeness():
    one = likeness(0.85)
    explored = np.arange(400) < 100
    noisy = dataclasses.replace(one, explored=explored, predicted=np.where(explored, -1, one.predicted))
    found = SKILL.verdict(first_moves(10.0, likeness=(noisy,)), RULES)
    kept = (one.predicted == one.chosen)[100:].mean()
    assert found.numbers["agreement"].estimate == pytest.approx(kept)


def test_a_method_claim_pairs_skill_by_teacher_life():
    starts = one_a_unit(10 + SPREAD)
    case = Evidence(
        "method",
        starts=starts,
        ruler_starts=one_a_unit(10 + SPREAD),
        random_starts=one_a_lane([0.9, 1.0, 1.1], unit="random"),
        likeness=tuple(likeness(0.8 + 0.01 * i, unit=f"life-{i}") for i in range(5)),
    )
    found = SKILL.verdict(case, RULES)
    assert (found.answer, found.n, found.part("likeness").n) == ("yes", 5, 5)
    few = dataclasses.replace(case, starts=starts[:3], likeness=case.likeness[:3])
    assert SKILL.verdict(few, RULES).reason == "fewer than 4 units, fewer than 4 units"


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ({"watched_moves": 3}, "teacher life incomplete: 3 of 100"),
        ({"ruler_starts": one_a_lane(1.0 + SPREAD)}, "no ruler"),
        ({"ruler_starts": ()}, "no ruler"),
        ({"random_starts": ()}, "no ruler"),
        ({"likeness": ()}, "likeness not measured"),
        ({"likeness": (likeness(0.85, ceiling=0.5),)}, "ceiling not above the best constant player"),
        ({"likeness": (likeness(0.85, n=19),)}, "likeness not measured"),
    ],
)
def test_reasons_why_q1_has_no_verdict(others, reason):
    found = SKILL.verdict(first_moves(10.0, **others), RULES)
    assert (found.answer, found.reason) == (None, reason)


def test_a_teachers_start_job_that_is_too_short_gives_no_verdict():
    short = tuple(life("life-0", 10.0 + lane, lane, moves=15) for lane in range(5))
    found = SKILL.verdict(
        first_moves(10.0, ruler_starts=short), dataclasses.replace(RULES, episode_cap_moves=8)
    )
    assert found.reason == verdicts.FEW_ENDS


def test_no_likeness_is_no_whatever_else_is_unknown():
    assert SKILL.verdict(first_moves(10.0, agreement=0.5, ruler_starts=()), RULES).answer == "no"


def test_nothing_played_is_said():
    assert SKILL.verdict(Evidence("method"), RULES).reason == verdicts.NOT_PLAYED
