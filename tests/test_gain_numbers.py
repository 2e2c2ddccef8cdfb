"""The numbers of a gain: skills in windows, what counts as a unit, and the intervals of each contrast."""

import dataclasses

import numpy as np
import pytest
from scipy import stats as scipy_stats

from understudy.suite import tasks
from understudy.suite.judging import contrasts, lives
from understudy.suite.judging.lives import Life
from understudy.suite.testing.known_lives import RULES, SPREAD, evidence, life, one_a_lane

IMPROVEMENT, TRANSFER = tasks.load("improvement"), tasks.load("transfer")


# Skills, windows and units


def test_skill_counts_only_what_lies_inside_the_window():
    reward = np.array([1, 2, 4, 8, 16, 32], dtype=np.float32)
    ended = np.array([0, 1, 0, 1, 0, 1], dtype=bool)
    played = Life("u", 0, 0, reward, ended)
    found = lives.skill([played], 1, 5, minimum_ends=1)
    assert (found.points, found.ends, found.value, found.few_ends) == (30.0, 2, 15.0, False)


def test_few_ends_are_counted_as_five():
    played = Life("u", 0, 0, np.ones(10, np.float32), np.zeros(10, bool))
    found = lives.skill([played], 0, 10, minimum_ends=5)
    assert (found.value, found.few_ends) == (2.0, True)


def test_start_lanes_are_pooled_not_averaged():
    # 12 points in 6 ends and 30 points in 30 ends: 42 / 36, not the mean of 2 and 1
    lanes = [life("u", 2.0, 0, moves=30), life("u", 1.0, 1, moves=150)]
    assert lives.start_skill(lanes, 5).value == pytest.approx(42 / 36)


def test_twenty_blocks_tile_the_life():
    rng = np.random.default_rng(0)
    played = Life("u", 0, 0, rng.random(207).astype(np.float32), rng.random(207) < 0.3)
    found = lives.blocks(played, 207, 1)
    assert len(found) == 20
    assert sum(block.points for block in found) == pytest.approx(played.reward.sum(dtype=np.float64))
    assert sum(block.ends for block in found) == played.ended.sum()


def test_a_window_outside_the_life_is_refused():
    with pytest.raises(ValueError, match=r"inside lives of 200 moves; found \[190, 201\)"):
        lives.skill([life("u", 1.0)], 190, 201, 5)


@pytest.mark.parametrize(
    ("reward", "ended"),
    [
        (np.zeros(3), np.zeros(4, bool)),
        (np.zeros((2, 2)), np.zeros((2, 2), bool)),
        (np.zeros(3), np.zeros(3)),
    ],
)
def test_a_life_of_wrong_shape_or_type_is_refused(reward, ended):
    with pytest.raises(ValueError, match="expected"):
        Life("u", 0, 0, reward, ended)


def test_lanes_then_training_seeds_are_averaged_within_a_teacher_life():
    played = [
        life("u", 1.0, 0, checkpoint=0),
        life("u", 2.0, 1, checkpoint=0),
        life("u", 3.0, 2, checkpoint=0),
        life("u", 10.0, 0, checkpoint=1),
    ]
    sample = contrasts.end_sample(played, "method", "imitator", 200, 50, 5)
    assert (sample.units, sample.values) == (("u",), (6.0,))  # (mean(1, 2, 3) + 10) / 2
    assert len(contrasts.end_sample(played, "checkpoint", "imitator", 200, 50, 5).units) == 4


def test_samples_that_share_some_units_are_refused():
    one, other = contrasts.Sample(("a", "b"), (1.0, 2.0)), contrasts.Sample(("b", "c"), (1.0, 2.0))
    with pytest.raises(ValueError, match="share some"):
        contrasts.parts([(1.0, one), (1.0, other)])


# The contrasts of a gain


def test_a_method_claim_pairs_by_teacher_life():
    found = TRANSFER.verdict(evidence(5.0, 15.0), RULES)
    own = (15 + SPREAD) - (5 - 0.2 * SPREAD)
    gain = (15 + SPREAD[::-1]) - (5 + 0.1 * SPREAD)
    expected = scipy_stats.ttest_rel(own, 0.5 * gain).confidence_interval()
    contrast = found.numbers["own - 0.5 G"]
    assert (contrast.low, contrast.high) == pytest.approx(tuple(expected), abs=1e-5)
    level = (15 + SPREAD) - (5 + 0.1 * SPREAD)
    expected = scipy_stats.ttest_rel(level, 0.1 * gain).confidence_interval(0.975)
    contrast = found.numbers["level - 0.1 G at 97.5%"]
    assert (contrast.low, contrast.high) == pytest.approx(tuple(expected), abs=1e-5)
    assert found.numbers["f"].estimate == pytest.approx(own.mean() / gain.mean())
    assert (found.n, found.m) == (5, 5)


def test_a_checkpoint_claim_is_welchs():
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, claim="checkpoint"), RULES)
    own = (15 + SPREAD) - (5 - 0.2 * SPREAD)
    gain = (15 + SPREAD[::-1]) - (5 + 0.1 * SPREAD)
    expected = scipy_stats.ttest_ind(own, 0.5 * gain, equal_var=False).confidence_interval()
    contrast = found.numbers["own - 0.5 G"]
    assert (contrast.low, contrast.high) == pytest.approx(tuple(expected), abs=1e-5)


def test_random_lanes_are_a_sample_of_their_own():
    random = one_a_lane([4.0, 5.0, 6.0], unit="random")
    found = TRANSFER.verdict(evidence(5.0, 15.0, claim="checkpoint", random_starts=random), RULES)
    end, ruler_end, start = 15 + SPREAD, 15 + SPREAD[::-1], np.array([4.0, 5.0, 6.0])
    errors = [np.var(x, ddof=1) / len(x) * w**2 for x, w in ((end, 1), (ruler_end, 0.5), (start, 0.5))]
    free = sum(errors) ** 2 / (errors[0] ** 2 / 4 + errors[1] ** 2 / 4 + errors[2] ** 2 / 2)
    half = scipy_stats.t.ppf(0.975, free) * np.sqrt(sum(errors))
    contrast = found.numbers["level - 0.5 G"]
    assert (contrast.low, contrast.high) == pytest.approx((5 - half, 5 + half), abs=1e-5)


def test_start_jobs_with_other_lanes_are_independent_of_the_lives():
    case = evidence(5.0, 15.0, claim="checkpoint")
    case = dataclasses.replace(case, starts=one_a_lane([4.0, 5.0, 6.0]))
    found = IMPROVEMENT.verdict(case, RULES).numbers["own"]
    expected = scipy_stats.ttest_ind(15 + SPREAD, [4.0, 5.0, 6.0], equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-5)
