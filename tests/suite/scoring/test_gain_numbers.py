"""The numbers of a gain: skill in windows, units, and the intervals of each contrast."""

import dataclasses

import numpy as np
import pytest
from scipy import stats as scipy_stats
from support.known_runs import RULES, SPREAD, evidence, one_a_lane, run

from understudy.suite import tasks
from understudy.suite.scoring import contrasts, scored_runs
from understudy.suite.scoring.scored_runs import ScoredRun

IMPROVEMENT, TRANSFER = tasks.load("improvement"), tasks.load("transfer")


# Skill, windows and units


def test_skill_counts_only_moves_inside_the_window():
    reward = np.array([1, 2, 4, 8, 16, 32], dtype=np.float32)
    ended = np.array([0, 1, 0, 1, 0, 1], dtype=bool)
    played = ScoredRun("u", 0, 0, reward, ended)
    found = scored_runs.skill([played], 1, 5, minimum_ends=1)
    assert (found.points, found.ends, found.value, found.few_ends) == (30.0, 2, 15.0, False)


def test_fewer_ends_than_the_minimum_count_as_the_minimum():
    played = ScoredRun("u", 0, 0, np.ones(10, np.float32), np.zeros(10, bool))
    found = scored_runs.skill([played], 0, 10, minimum_ends=5)
    assert (found.value, found.few_ends) == (2.0, True)


def test_start_lanes_are_pooled_not_averaged():
    # 12 points in 6 ends and 30 points in 30 ends: 42 / 36, not the mean of 2 and 1
    lanes = [run("u", 2.0, 0, moves=30), run("u", 1.0, 1, moves=150)]
    assert scored_runs.start_skill(lanes, 5).value == pytest.approx(42 / 36)


def test_twenty_blocks_tile_the_run():
    rng = np.random.default_rng(0)
    played = ScoredRun("u", 0, 0, rng.random(207).astype(np.float32), rng.random(207) < 0.3)
    found = scored_runs.blocks(played, 207, 1)
    assert len(found) == 20
    assert sum(block.points for block in found) == pytest.approx(played.reward.sum(dtype=np.float64))
    assert sum(block.ends for block in found) == played.ended.sum()


def test_a_window_outside_the_run_is_refused():
    with pytest.raises(ValueError, match=r"inside runs of 200 moves; found \[190, 201\)"):
        scored_runs.skill([run("u", 1.0)], 190, 201, 5)


@pytest.mark.parametrize(
    ("reward", "ended"),
    [
        (np.zeros(3), np.zeros(4, bool)),
        (np.zeros((2, 2)), np.zeros((2, 2), bool)),
        (np.zeros(3), np.zeros(3)),
    ],
)
def test_a_run_of_wrong_shape_or_type_is_refused(reward, ended):
    with pytest.raises(ValueError, match="expected"):
        ScoredRun("u", 0, 0, reward, ended)


def test_lanes_then_training_seeds_are_averaged_within_a_teacher_run():
    played = [
        run("u", 1.0, 0, checkpoint=0),
        run("u", 2.0, 1, checkpoint=0),
        run("u", 3.0, 2, checkpoint=0),
        run("u", 10.0, 0, checkpoint=1),
    ]
    sample = contrasts.end_sample(played, "method", "imitator", 200, 50, 5)
    assert (sample.units, sample.values) == (("u",), (6.0,))  # (mean(1, 2, 3) + 10) / 2
    assert len(contrasts.end_sample(played, "checkpoint", "imitator", 200, 50, 5).units) == 4


def test_samples_that_share_some_units_are_refused():
    one, other = contrasts.Sample(("a", "b"), (1.0, 2.0)), contrasts.Sample(("b", "c"), (1.0, 2.0))
    with pytest.raises(ValueError, match="share some"):
        contrasts.parts([(1.0, one), (1.0, other)])


# The contrasts of a gain


def test_a_method_claim_pairs_by_teacher_run():
    found = TRANSFER.verdict(evidence(5.0, 15.0), RULES)
    gain = (15 + SPREAD) - (5 - 0.2 * SPREAD)
    teacher_gain = (15 + SPREAD[::-1]) - (5 + 0.1 * SPREAD)
    expected = scipy_stats.ttest_rel(gain, 0.5 * teacher_gain).confidence_interval()
    contrast = found.numbers["gain - 0.5 x teacher's gain"]
    assert (contrast.low, contrast.high) == pytest.approx(tuple(expected), abs=1e-5)
    end_above_start = (15 + SPREAD) - (5 + 0.1 * SPREAD)
    expected = scipy_stats.ttest_rel(end_above_start, 0.1 * teacher_gain).confidence_interval(0.975)
    contrast = found.numbers["end above the teacher's start - 0.1 x teacher's gain at 97.5%"]
    assert (contrast.low, contrast.high) == pytest.approx(tuple(expected), abs=1e-5)
    assert found.numbers["normalised gain"].estimate == pytest.approx(gain.mean() / teacher_gain.mean())
    assert (found.n, found.m) == (5, 5)


def test_a_checkpoint_claim_uses_welchs_interval():
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, claim="checkpoint"), RULES)
    gain = (15 + SPREAD) - (5 - 0.2 * SPREAD)
    teacher_gain = (15 + SPREAD[::-1]) - (5 + 0.1 * SPREAD)
    expected = scipy_stats.ttest_ind(gain, 0.5 * teacher_gain, equal_var=False).confidence_interval()
    contrast = found.numbers["gain - 0.5 x teacher's gain"]
    assert (contrast.low, contrast.high) == pytest.approx(tuple(expected), abs=1e-5)


def test_lanes_of_the_random_player_are_an_independent_sample():
    random = one_a_lane([4.0, 5.0, 6.0], unit="random")
    found = TRANSFER.verdict(evidence(5.0, 15.0, claim="checkpoint", random_starts=random), RULES)
    end, reference_end, start = 15 + SPREAD, 15 + SPREAD[::-1], np.array([4.0, 5.0, 6.0])
    errors = [np.var(x, ddof=1) / len(x) * w**2 for x, w in ((end, 1), (reference_end, 0.5), (start, 0.5))]
    free = sum(errors) ** 2 / (errors[0] ** 2 / 4 + errors[1] ** 2 / 4 + errors[2] ** 2 / 2)
    half = scipy_stats.t.ppf(0.975, free) * np.sqrt(sum(errors))
    contrast = found.numbers["end above the teacher's start - 0.5 x teacher's gain"]
    assert (contrast.low, contrast.high) == pytest.approx((5 - half, 5 + half), abs=1e-5)


def test_start_jobs_with_other_lanes_are_independent_of_the_runs():
    case = evidence(5.0, 15.0, claim="checkpoint")
    case = dataclasses.replace(case, starts=one_a_lane([4.0, 5.0, 6.0]))
    found = IMPROVEMENT.verdict(case, RULES).numbers["gain"]
    expected = scipy_stats.ttest_ind(15 + SPREAD, [4.0, 5.0, 6.0], equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-5)
