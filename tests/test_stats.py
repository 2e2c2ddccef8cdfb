"""Statistics against arrays worked out by hand, scipy, and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
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
    assert stats.degrees_of_freedom([1.0, 16.0], [3, 3]) == pytest.approx(578 / 257)
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
    assert bounds(stats.welch_interval([3.0, 3.0], [1.0, 1.0, 1.0])) == (2.0, 2.0)
    assert np.isinf(stats.degrees_of_freedom([0.0, 0.0], [2, 3]))


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e9 + 0.1, 1e-300, 1e100])
def test_units_that_agree_are_a_point_but_for_rounding(value):
    assert bounds(stats.mean_interval([value] * 7)) == pytest.approx((value, value), rel=1e-14)


def test_a_sample_that_agrees_leaves_the_other_its_degrees_of_freedom():
    # the constant sample adds no error: Student's interval of the other one, shifted
    low, high = bounds(stats.welch_interval([1.0, 2.0, 3.0], [5.0, 5.0, 5.0, 5.0]))
    assert (low, high) == pytest.approx((-0.484138 - 5, 4.484138 - 5), abs=1e-6)


def test_a_huge_offset_does_not_drown_the_spread():
    values = np.array([1.0, 2.0, 4.0, 8.0])  # at 2^40 they are exact still
    plain, far = stats.mean_interval(values), stats.mean_interval(values + 2.0**40)
    assert np.subtract(bounds(far), 2.0**40) == pytest.approx(bounds(plain), abs=1e-3)
    gains = stats.paired_interval(values + 2.0**40, np.full(4, 2.0**40))
    assert bounds(gains) == bounds(plain)


def test_many_intervals_at_once_are_those_one_by_one():
    rng = np.random.default_rng(3)
    one, other = rng.normal(0.0, 1.0, (50, 4)), rng.normal(0.0, 3.0, (50, 7))
    variances = np.stack([one.var(axis=1, ddof=1), other.var(axis=1, ddof=1)], axis=-1)
    found = stats.half_width(variances, [4, 7], 0.9)
    expected = scipy_stats.ttest_ind(one, other, axis=1, equal_var=False).confidence_interval(0.9)
    assert found.shape == (50,)
    assert 2 * found == pytest.approx(expected.high - expected.low)


@pytest.mark.parametrize(
    ("variances", "counts"),
    [([np.nan], [3]), ([-1.0], [3]), ([np.inf], [3]), ([1.0], [0]), ([[1.0], [np.nan]], [3])],
)
def test_what_is_no_variance_is_refused(variances, counts):
    with pytest.raises(ValueError, match="expected finite variances"):
        stats.half_width(variances, counts)


@pytest.mark.parametrize(
    ("mean", "variance", "n"),
    [(0.0, np.nan, 3), (0.0, np.inf, 3), (0.0, -1.0, 3), (np.nan, 1.0, 3), (0.0, 1.0, 0)],
)
def test_what_are_no_moments_is_refused(mean, variance, n):
    with pytest.raises(ValueError, match="expected n >= 1"):
        Moments(mean, variance, n)


def test_numbers_whose_squares_overflow_are_refused():
    with pytest.raises(ValueError, match="variance=inf"):
        stats.moments([1e200, -1e200])


def test_a_tiny_spread_does_not_underflow():
    assert stats.degrees_of_freedom([1e-200, 1e-200], [5, 5]) == pytest.approx(8)


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


def test_one_unit_gives_no_set():
    assert (
        stats.fieller_set(lambda c: stats.mean_interval([5.0 - c * 10.0]), stats.mean_interval([10.0]))
        is None
    )
    numerator = stats.mean_interval([5.0])  # a single one, against gains that are clear
    gain = np.array([9.0, 10.0, 11.0])
    assert (
        stats.fieller_set(lambda c: stats.welch_interval([5.0], c * gain), stats.mean_interval(gain)) is None
    )
    assert numerator.low is None


def test_units_that_agree_give_a_single_ratio():
    own, gain = np.full(4, 3.0), np.full(4, 8.0)
    found = stats.fieller_set(lambda c: stats.paired_interval(own, c * gain), stats.mean_interval(gain))
    assert found == pytest.approx((0.375, 0.375))


def test_a_denominator_that_is_barely_clear_gives_a_wide_set_and_not_an_endless_search():
    critical = scipy_stats.t.ppf(0.975, 3)
    spread = np.array([-3.0, 1.0, 1.0, 1.0]) / 2  # variance 1, so that the half-width is critical / 2
    gain = spread + critical / 2 * (1 + 1e-6)
    own = gain + np.array([0.3, -0.3, 0.1, -0.1])
    found = stats.fieller_set(lambda c: stats.paired_interval(own, c * gain), stats.mean_interval(gain))
    expected = paired_fieller_by_formula(own, gain)
    assert found == pytest.approx(expected, rel=1e-3)
    assert max(map(abs, found)) > 10
    below = gain - 1e-5  # now the interval holds 0
    assert (
        stats.fieller_set(lambda c: stats.paired_interval(own, c * below), stats.mean_interval(below)) is None
    )


def test_a_set_of_a_negative_gain_is_found_too():
    own, gain = np.array([1.0, 2.0, 3.0, 2.5]), np.array([-9.0, -10.0, -11.0, -10.5])
    found = stats.fieller_set(lambda c: stats.paired_interval(own, c * gain), stats.mean_interval(gain))
    assert found == pytest.approx(paired_fieller_by_formula(own, gain), rel=1e-6)


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


@pytest.mark.parametrize("variance", [1e-3, 1e-6, 1e-12, 1e-100, 1e-300])
def test_a_tiny_spread_needs_no_more_than_two_units(variance):
    assert stats.needed_units([Moments(1.0, variance, 3)]) == 2


@pytest.mark.parametrize("n", [3, 6, 20])
def test_needed_units_are_the_fewest_with_that_power(n):
    # the effect with exactly 90 % power at n units, found by scipy's noncentral t
    critical = scipy_stats.t.ppf(0.975, n - 1)
    effect = optimize.brentq(lambda d: scipy_stats.nct.sf(critical, n - 1, d * np.sqrt(n)) - 0.9, 0.1, 20.0)
    assert stats.needed_units([Moments(1.001 * effect, 1.0, 4)]) == n
    assert stats.needed_units([Moments(0.999 * effect, 1.0, 4)]) == n + 1


@pytest.mark.parametrize(("n", "m", "spread"), [(4, 4, 1.0), (8, 4, 3.0), (16, 5, 0.3)])
def test_welch_intervals_cover_as_promised(n, m, spread):
    rng = np.random.default_rng(n)
    one, other = rng.normal(0.0, 1.0, (3_000, n)), rng.normal(0.0, spread, (3_000, m))
    found = [bounds(stats.welch_interval(x, y)) for x, y in zip(one, other, strict=True)]
    covered = np.mean([low <= 0.0 <= high for low, high in found])
    assert 0.935 < covered < 0.975  # 0.95 but for Welch's approximation and 3,000 draws' own spread of 0.004


@pytest.mark.parametrize("counts", [(2,), (4,), (16,), (4, 8), (4, 4, 8)])
def test_detectable_effect_is_found_with_the_power(counts):
    rng = np.random.default_rng(3)
    spreads = np.arange(1.0, len(counts) + 1)
    parts = [stats.Moments(0.0, float(s**2), n) for s, n in zip(spreads, counts, strict=True)]
    effect = stats.detectable_effect(parts, 0.95, 0.9)
    assert effect is not None
    draws = 20_000
    samples = [rng.normal(0, s, (draws, n)) for s, n in zip(spreads, counts, strict=True)]
    means = effect + sum(sample.mean(axis=1) for sample in samples)
    variances = np.stack([sample.var(axis=1, ddof=1) for sample in samples], axis=-1)
    found = (means > stats.half_width(variances, np.array(counts), 0.95)).mean()
    assert found == pytest.approx(0.9, abs=0.01 if len(counts) == 1 else 0.04)


def test_detectable_effect_and_needed_units_are_inverse():
    for n in (3, 7, 20):
        effect = stats.detectable_effect([stats.Moments(0.0, 4.0, n)])
        assert stats.needed_units([stats.Moments(effect * 1.001, 4.0, n)]) == n
        assert stats.needed_units([stats.Moments(effect * 0.999, 4.0, n)]) == n + 1


def test_detectable_effect_of_unknown_and_of_no_spread():
    assert stats.detectable_effect([stats.Moments(1.0, None, 1)]) is None
    assert stats.detectable_effect([stats.Moments(1.0, 0.0, 4)]) == 0.0
