"""Statistics against arrays worked out by hand, scipy, and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from understudy.suite import stats
from understudy.suite.stats import Interval, Moments

samples = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=9)


def bounds(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


def test_mean_interval_by_hand():
    # mean 2, s = 1, n = 3: 2 +- 4.302653 / sqrt(3), the 97.5 % point of t with 2 degrees of freedom
    interval = stats.mean_interval([1.0, 2.0, 3.0])
    assert interval.estimate == 2.0
    assert bounds(interval) == pytest.approx((-0.484138, 4.484138), abs=1e-6)


def test_welch_interval_by_hand():
    # v = 1/3 and 16/3 over n = 3 each: df = (17/3)^2 / ((1/9 + 256/9) / 2) = 578/257, se = sqrt(17/3)
    interval = stats.welch_interval([1.0, 2.0, 3.0], [2.0, 6.0, 10.0])
    parts = [Moments(2.0, 1.0, 3), Moments(-6.0, 16.0, 3)]
    assert stats.degrees_of_freedom(parts) == pytest.approx(578 / 257)
    half = scipy_stats.t.ppf(0.975, 578 / 257) * np.sqrt(17 / 3)
    assert bounds(interval) == pytest.approx((-4 - half, -4 + half))


@settings(deadline=None)
@given(samples, samples, st.sampled_from([0.8, 0.95, 0.975]))
def test_welch_interval_is_scipys(one, other, confidence):
    if np.ptp(one) < 1e-3 or np.ptp(other) < 1e-3:
        return
    expected = scipy_stats.ttest_ind(one, other, equal_var=False).confidence_interval(confidence)
    assert bounds(stats.welch_interval(one, other, confidence)) == pytest.approx(tuple(expected), rel=1e-6)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=9))
def test_paired_interval_is_scipys(pairs):
    one, other = np.array(pairs).T
    if np.ptp(one - other) < 1e-3:
        return
    expected = scipy_stats.ttest_rel(one, other).confidence_interval(0.95)
    assert bounds(stats.paired_interval(one, other)) == pytest.approx(tuple(expected), rel=1e-6)


@given(samples, st.floats(-100, 100), st.floats(0.01, 100))
def test_intervals_follow_shift_and_scale(values, shift, scale):
    low, high = bounds(stats.mean_interval(values))
    moved_low, moved_high = bounds(stats.mean_interval(scale * np.array(values) + shift))
    tolerance = {"rel": 1e-6, "abs": 1e-6 * (1 + abs(shift) + scale * max(map(abs, values)))}
    assert moved_low == pytest.approx(scale * low + shift, **tolerance)
    assert moved_high == pytest.approx(scale * high + shift, **tolerance)


def test_three_samples_add_their_squared_errors():
    parts = [Moments(5.0, 4.0, 4), Moments(-1.0, 9.0, 9), Moments(-0.5, 2.0, 2)]
    low, high = bounds(stats.sum_interval(parts))
    free = 3.0**2 / (1 / 3 + 1 / 8 + 1 / 1)
    half = scipy_stats.t.ppf(0.975, free) * np.sqrt(3.0)
    assert (low, high) == pytest.approx((3.5 - half, 3.5 + half))


def test_one_unit_has_no_known_spread():
    assert stats.moments([3.0]).variance is None
    interval = stats.welch_interval([3.0], [1.0, 2.0])
    assert (interval.estimate, interval.low, interval.high) == (1.5, None, None)
    assert not interval.above(-1e9)
    assert not interval.below(1e9)


def test_units_that_agree_give_a_point():
    assert bounds(stats.mean_interval([2.0, 2.0, 2.0])) == (2.0, 2.0)


def test_a_tiny_spread_does_not_underflow():
    assert stats.degrees_of_freedom([Moments(0.0, 1e-200, 5), Moments(0.0, 1e-200, 5)]) == pytest.approx(8)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [[1.0, 2.0]], [float("inf"), 1.0]])
def test_what_is_no_sample_is_refused(values):
    with pytest.raises(ValueError, match="finite numbers in a row"):
        stats.moments(values)


def paired_fieller_by_formula(own: np.ndarray, gain: np.ndarray) -> tuple[float, float]:
    """Roots of (mean(own) - c mean(gain))^2 = t^2 var(own - c gain) / n, a quadratic in c."""
    n = len(own)
    squared_t = scipy_stats.t.ppf(0.975, n - 1) ** 2
    (a, b), (_, d) = np.cov(own, gain) / n
    x, y = own.mean(), gain.mean()
    return tuple(sorted(np.roots([y**2 - squared_t * d, -2 * (x * y - squared_t * b), x**2 - squared_t * a])))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 12), st.floats(-0.5, 2.0))
def test_paired_fieller_set_is_the_quadratics(seed, n, share):
    rng = np.random.default_rng(seed)
    gain = rng.normal(10.0, 1.0, n)
    own = share * gain + rng.normal(0.0, 2.0, n)
    found = stats.fieller_set(lambda c: stats.paired_interval(own, c * gain), stats.mean_interval(gain))
    assert found == pytest.approx(paired_fieller_by_formula(own, gain), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_welch_fieller_set_is_what_brute_force_finds(seed):
    rng = np.random.default_rng(seed)
    own, gain = rng.normal(4.0, 2.0, 7), rng.normal(8.0, 2.0, 5)
    found = stats.fieller_set(lambda c: stats.welch_interval(own, c * gain), stats.mean_interval(gain))
    grid = np.arange(-1.0, 3.0, 0.002)
    p = scipy_stats.ttest_ind(own[None], grid[:, None] * gain, equal_var=False, axis=1).pvalue
    assert found == pytest.approx((grid[p >= 0.05][0], grid[p >= 0.05][-1]), abs=0.002)


def test_an_unclear_denominator_gives_no_set():
    gain = np.array([-3.0, 1.0, 4.0, 2.0])  # its interval holds 0
    assert (
        stats.fieller_set(lambda c: stats.welch_interval([5.0, 6.0], c * gain), stats.mean_interval(gain))
        is None
    )


def test_needed_units_are_the_textbooks():
    # two-sided 5 %, power 90 %, spreads of 0.5, 1, 1.5 and 2 margins: 5, 13, 26 and 44 units
    assert [stats.needed_units([Moments(1.0, spread**2, 3)]) for spread in (0.5, 1.0, 1.5, 2.0)] == [
        5,
        13,
        26,
        44,
    ]


def test_needed_units_of_two_samples_have_the_power_asked_for():
    parts = [Moments(1.0, 1.0, 4), Moments(-0.2, 0.25, 4)]
    n = stats.needed_units(parts)
    assert n is not None
    rng = np.random.default_rng(5)
    one, other = rng.normal(1.0, 1.0, (20_000, n)), rng.normal(0.2, 0.5, (20_000, n))
    rejected = scipy_stats.ttest_ind(one, other, equal_var=False, axis=1).pvalue < 0.05
    assert rejected.mean() == pytest.approx(0.9, abs=0.03)


def test_needed_units_are_unknown_where_nothing_points_anywhere():
    assert stats.needed_units([Moments(0.0, 1.0, 5)]) is None
    assert stats.needed_units([Moments(1.0, None, 1)]) is None
    assert stats.needed_units([Moments(1e-6, 1.0, 5)]) is None
    assert stats.needed_units([Moments(1.0, 0.0, 5)]) == 2


@pytest.mark.parametrize(("n", "m", "spread"), [(4, 4, 1.0), (8, 4, 3.0), (16, 5, 0.3)])
def test_welch_intervals_cover_as_promised(n, m, spread):
    rng = np.random.default_rng(n)
    one, other = rng.normal(0.0, 1.0, (3_000, n)), rng.normal(0.0, spread, (3_000, m))
    found = [bounds(stats.welch_interval(x, y)) for x, y in zip(one, other, strict=True)]
    covered = np.mean([low <= 0.0 <= high for low, high in found])
    assert 0.935 < covered < 0.975  # 0.95 but for Welch's approximation and 3,000 draws' own spread of 0.004


def test_interquartile_mean_by_hand():
    assert stats.interquartile_mean([100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -50.0]) == 3.5
    assert stats.interquartile_mean([[0.0, 2.0], [4.0, 90.0]]) == 3.0
