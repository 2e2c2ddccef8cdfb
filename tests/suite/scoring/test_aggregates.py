"""Aggregates across games against values by hand, rliable, scipy, and an exhaustive bootstrap."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from rliable import metrics
from scipy import stats as scipy_stats

from understudy.suite.scoring import aggregates

matrices = st_numpy.arrays(
    np.float64, st.tuples(st.integers(1, 7), st.integers(1, 4)), elements=st.integers(-4, 4).map(float)
)


def test_interquartile_mean_by_hand():
    assert aggregates.interquartile_mean([[100.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, -50.0]]) == 3.5
    assert aggregates.interquartile_mean([[0.0, 2.0], [4.0, 90.0]]) == 3.0
    assert aggregates.interquartile_mean([[7.0]]) == 7.0
    assert (
        aggregates.interquartile_mean([[1.0], [2.0], [9.0]]) == 4.0
    )  # a quarter of three, rounded down, is none


@given(matrices)
def test_interquartile_mean_equals_rliables(scores):
    assert aggregates.interquartile_mean(scores) == pytest.approx(metrics.aggregate_iqm(scores))


def test_performance_profile_by_hand():
    scores = [[0.0, 1.0], [0.5, 1.0], [1.0, 2.0], [1.5, 0.0]]
    found = aggregates.performance_profile(scores, [-1.0, 0.0, 0.5, 1.0, 2.0])
    assert found.tolist() == [1.0, 6 / 8, 5 / 8, 2 / 8, 0.0]  # strictly above


@given(matrices)
def test_performance_profile_equals_scipys_survival_function(scores):
    thresholds = np.linspace(-5.0, 5.0, 11)
    expected = scipy_stats.ecdf(scores.ravel()).sf.evaluate(thresholds)
    found = aggregates.performance_profile(scores, thresholds)
    assert found == pytest.approx(expected)
    assert (np.diff(found) <= 1e-12).all()


def test_probability_of_improvement_by_hand():
    # game 1: of 2 x 3 pairs 4 won, 1 tied; game 2: all won
    one = [[1.0, 5.0], [3.0, 6.0]]
    other = [[0.0, 1.0], [2.0, 1.0], [1.0, 1.0]]
    assert aggregates.probability_of_improvement(one, other) == pytest.approx(((4 + 0.5) / 6 + 1.0) / 2)


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6), st.integers(2, 6))
def test_probability_of_improvement_equals_rliables_and_mann_whitneys(seed, n, m):
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, 5, (n, 3)).astype(float), rng.integers(0, 5, (m, 3)).astype(float)
    found = aggregates.probability_of_improvement(one, other)
    assert found == pytest.approx(metrics.probability_of_improvement(one, other))
    by_game = [scipy_stats.mannwhitneyu(one[:, g], other[:, g]).statistic / (n * m) for g in range(3)]
    assert found == pytest.approx(np.mean(by_game))
    assert aggregates.probability_of_improvement(other, one) == pytest.approx(1 - found)
    assert aggregates.probability_of_improvement(one, one) == pytest.approx(0.5)


def test_leading_axes_hold_independent_aggregates():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 5, 6, 3)), rng.normal(size=(2, 5, 4, 3))
    thresholds = np.array([-0.5, 0.0, 0.5])
    means = aggregates.interquartile_mean(one)
    profiles = aggregates.performance_profile(one, thresholds)
    chances = aggregates.probability_of_improvement(one, other)
    assert (means.shape, profiles.shape, chances.shape) == ((2, 5), (2, 5, 3), (2, 5))
    for index in np.ndindex(2, 5):
        assert means[index] == pytest.approx(aggregates.interquartile_mean(one[index]))
        assert profiles[index] == pytest.approx(aggregates.performance_profile(one[index], thresholds))
        assert chances[index] == pytest.approx(
            aggregates.probability_of_improvement(one[index], other[index])
        )


def test_bootstrap_matches_the_quantiles_of_all_resamples():
    # 3 units of 1 game have 27 equally likely resamples
    scores = np.array([[0.0], [1.0], [5.0]])
    every = np.sort([np.mean(drawn) for drawn in itertools.product(scores[:, 0], repeat=3)])
    found = aggregates.stratified_bootstrap(
        lambda drawn: drawn.mean(axis=(-2, -1)),
        scores,
        rng=np.random.default_rng(1),
        resamples=50_000,
        confidence=0.8,
    )
    # of 27 equally likely values, the 10 % quantile is the third and the 90 % quantile the 25th
    assert (found.low, found.estimate, found.high) == pytest.approx((every[2], 2.0, every[24]))
    assert found.confidence == 0.8


def test_bootstrap_draws_within_games():
    # the units of a game are equal, so resampling within games changes nothing; across games it would
    scores = np.tile([0.0, 10.0, 100.0], (4, 1))
    found = aggregates.stratified_bootstrap(
        aggregates.interquartile_mean, scores, rng=np.random.default_rng(0)
    )
    assert found.low == found.estimate == found.high


@pytest.mark.parametrize("shapes", [[(8, 1)], [(8, 1), (6, 1)]])
def test_bootstrap_of_one_game_matches_scipys_within_sampling_error(shapes):
    rng = np.random.default_rng(2)
    players = [rng.normal(0.5, 1.0, shape) for shape in shapes]
    aggregate = (aggregates.interquartile_mean, aggregates.probability_of_improvement)[len(shapes) - 1]
    expected = scipy_stats.bootstrap(
        players,
        lambda *drawn, axis: aggregate(*(np.moveaxis(one, axis, -1)[..., None] for one in drawn)),
        axis=0,
        vectorized=True,
        n_resamples=5_000,
        method="percentile",
        rng=np.random.default_rng(3),
    ).confidence_interval
    found = aggregates.stratified_bootstrap(
        aggregate, *players, rng=np.random.default_rng(4), resamples=5_000
    )
    width = (expected.high - expected.low).item()  # a 2.5 % quantile of 5,000 draws has an error of 2 % of it
    assert found.low == pytest.approx(expected.low.item(), abs=0.08 * width)
    assert found.high == pytest.approx(expected.high.item(), abs=0.08 * width)


def test_bootstrap_of_several_games_matches_a_slow_one_within_sampling_error():
    rng = np.random.default_rng(5)
    scores = rng.normal(0.0, [1.0, 3.0, 0.2], (7, 3))
    slow = [
        metrics.aggregate_iqm(np.stack([rng.choice(game, 7) for game in scores.T], axis=1))
        for _ in range(4_000)
    ]
    low, high = np.quantile(slow, [0.025, 0.975])
    found = aggregates.stratified_bootstrap(
        aggregates.interquartile_mean, scores, rng=np.random.default_rng(6), resamples=4_000
    )
    assert found.estimate == pytest.approx(metrics.aggregate_iqm(scores))
    assert found.low == pytest.approx(low, abs=0.08 * (high - low))
    assert found.high == pytest.approx(high, abs=0.08 * (high - low))


def test_bootstrap_of_a_curve_is_a_band_of_the_same_length():
    scores = np.random.default_rng(0).normal(size=(6, 3))
    thresholds = np.linspace(-2, 2, 9)
    found = aggregates.stratified_bootstrap(
        lambda drawn: aggregates.performance_profile(drawn, thresholds), scores, rng=np.random.default_rng(0)
    )
    assert found.estimate.shape == found.low.shape == found.high.shape == (9,)
    assert (found.low <= found.estimate).all()
    assert (found.estimate <= found.high).all()
    assert (found.low < found.high).any()


def test_the_generator_is_the_only_source_of_randomness():
    scores = np.random.default_rng(0).normal(size=(5, 2))

    def band(seed: int) -> tuple[float, float]:
        found = aggregates.stratified_bootstrap(
            aggregates.interquartile_mean, scores, rng=np.random.default_rng(seed), resamples=200
        )
        return float(found.low), float(found.high)

    assert band(4) == band(4)
    assert band(4) != band(5)


@pytest.mark.parametrize(
    "scores", [[1.0, 2.0], [[1.0, float("nan")]], [[float("inf")]], np.zeros((0, 3)), np.zeros((3, 0))]
)
def test_invalid_scores_are_refused(scores):
    for measure in (
        aggregates.interquartile_mean,
        lambda x: aggregates.performance_profile(x, [0.0]),
        lambda x: aggregates.probability_of_improvement(x, [[1.0]]),
        lambda x: aggregates.stratified_bootstrap(
            aggregates.interquartile_mean, x, rng=np.random.default_rng(0)
        ),
    ):
        with pytest.raises(ValueError, match="expected finite scores"):
            measure(scores)


def test_other_invalid_arguments_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="2 and 3 games"):
        aggregates.probability_of_improvement(np.zeros((4, 2)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="finite thresholds"):
        aggregates.performance_profile(np.zeros((2, 2)), [0.0, float("nan")])
    with pytest.raises(ValueError, match="expected scores \\[units, games\\]"):
        aggregates.stratified_bootstrap(aggregates.interquartile_mean, np.zeros((2, 2, 2)), rng=rng)
    with pytest.raises(ValueError, match="expected scores \\[units, games\\]"):
        aggregates.stratified_bootstrap(aggregates.interquartile_mean, rng=rng)
    with pytest.raises(ValueError, match="resamples >= 1"):
        aggregates.stratified_bootstrap(aggregates.interquartile_mean, np.zeros((2, 2)), rng=rng, resamples=0)
    with pytest.raises(ValueError, match="confidence in"):
        aggregates.stratified_bootstrap(
            aggregates.interquartile_mean, np.zeros((2, 2)), rng=rng, confidence=95.0
        )
