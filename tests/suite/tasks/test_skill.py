"""Q1, skill and agreement: each verdict, and each reason for none, on runs with known numbers."""

import dataclasses

import numpy as np
import pytest
from scipy import stats as scipy_stats
from support.known_runs import RULES, SPREAD, one_a_lane, one_a_unit, run

from understudy.suite import tasks
from understudy.suite.scoring import agreement_verdict, verdicts
from understudy.suite.scoring.evidence import Evidence, Predictions

SKILL = tasks.load("skill")


def predictions(agreement: float, ceiling: float = 0.9, unit: str = "run-0", n: int = 400) -> Predictions:
    """Return predictions with this agreement; the teacher takes action 0 in half of the moves."""
    rng = np.random.default_rng(int(1000 * agreement))
    chosen = rng.permutation(np.arange(n) % 2)
    predicted = np.where(rng.permutation(n) < round(agreement * n), chosen, 1 - chosen)
    ceilings = (rng.permutation(n) < round(ceiling * n)).astype(float)
    return Predictions(unit, 0, chosen, np.zeros(n, bool), predicted, np.full(n, 0.4), ceilings, np.zeros(n))


def first_moves(imitator: float, teacher: float = 10.0, agreement: float = 0.85, **others) -> Evidence:
    return Evidence(
        "checkpoint",
        starts=one_a_lane(imitator + 0.5 * SPREAD),
        **{
            "reference_starts": one_a_lane(teacher + 0.5 * SPREAD[::-1]),
            "random_starts": one_a_lane([0.9, 1.0, 1.1], unit="random"),
            "predictions": (predictions(agreement),),
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
    assert found.part("agreement").answer == "yes"
    assert found.answer == expected
    assert (found.needed_runs is not None) == (expected == "undecided")


@pytest.mark.parametrize(("agreement", "expected"), [(0.85, "yes"), (0.55, "no"), (0.70, "undecided")])
def test_agreement_verdicts(agreement, expected):
    found = SKILL.verdict(first_moves(10.0, agreement=agreement), RULES)
    assert found.part("agreement").answer == expected
    assert found.answer == expected
    assert found.numbers["agreement"].estimate == pytest.approx(agreement)
    normalised = found.numbers[agreement_verdict.NORMALISED_AGREEMENT]
    assert normalised.estimate == pytest.approx((agreement - 0.5) / 0.4)
    assert found.numbers["loss_nats"].estimate == pytest.approx(0.4)
    assert found.numbers["floor_nats"].estimate == 0.0


def test_the_skill_contrast_combines_three_samples():
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


def test_explored_moves_do_not_count_for_agreement():
    one = predictions(0.85)
    explored = np.arange(400) < 100
    noisy = dataclasses.replace(one, explored=explored, predicted=np.where(explored, -1, one.predicted))
    found = SKILL.verdict(first_moves(10.0, predictions=(noisy,)), RULES)
    kept = (one.predicted == one.chosen)[100:].mean()
    assert found.numbers["agreement"].estimate == pytest.approx(kept)


def test_a_method_claim_pairs_skill_by_teacher_run():
    starts = one_a_unit(10 + SPREAD)
    case = Evidence(
        "method",
        starts=starts,
        reference_starts=one_a_unit(10 + SPREAD),
        random_starts=one_a_lane([0.9, 1.0, 1.1], unit="random"),
        predictions=tuple(predictions(0.8 + 0.01 * i, unit=f"run-{i}") for i in range(5)),
    )
    found = SKILL.verdict(case, RULES)
    assert (found.answer, found.n, found.part("agreement").n) == ("yes", 5, 5)
    few = dataclasses.replace(case, starts=starts[:3], predictions=case.predictions[:3])
    assert SKILL.verdict(few, RULES).reason == "fewer than 4 units, fewer than 4 units"


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ({"watched_moves": 3}, "teacher run incomplete: 3 of 100"),
        ({"reference_starts": one_a_lane(1.0 + SPREAD)}, "no reference"),
        ({"reference_starts": ()}, "no reference"),
        ({"random_starts": ()}, "no reference"),
        ({"predictions": ()}, "agreement not measured"),
        ({"predictions": (predictions(0.85, ceiling=0.5),)}, "ceiling not above the best constant player"),
        ({"predictions": (predictions(0.85, n=19),)}, "agreement not measured"),
    ],
)
def test_reasons_for_no_skill_verdict(others, reason):
    found = SKILL.verdict(first_moves(10.0, **others), RULES)
    assert (found.answer, found.reason) == (None, reason)


def test_a_teacher_start_job_that_is_too_short_gives_no_verdict():
    short = tuple(run("run-0", 10.0 + lane, lane, moves=15) for lane in range(5))
    found = SKILL.verdict(
        first_moves(10.0, reference_starts=short), dataclasses.replace(RULES, episode_cap_moves=8)
    )
    assert found.reason == verdicts.FEW_ENDS


def test_a_no_on_agreement_decides_even_if_skill_is_unknown():
    assert SKILL.verdict(first_moves(10.0, agreement=0.5, reference_starts=()), RULES).answer == "no"


def test_a_row_without_runs_is_not_played():
    assert SKILL.verdict(Evidence("method"), RULES).reason == verdicts.NOT_PLAYED
