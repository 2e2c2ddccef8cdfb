"""Intervals against values worked out by hand, scipy, and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from scipy import stats as scipy_stats

from understudy.suite.scoring import intervals
from understudy.suite.scoring.intervals import Interval, Moments

samples = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=9)


def bounds(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


def test_mean_interval_by_hand():
    # mean 2, s = 1, n = 3: 2 +- 4.302653 / sqrt(3), the 97.5 % point of t with 2 degrees of freedom
    interval = intervals.mean_interval([1.0, 2.0, 3.0])
    assert interval.estimate == 2.0
    assert bounds(interval) == pytest.approx((-0.484138, 4.484138), abs=1e-6)


def test_welch_interval_by_hand():
    # v = 1/3 and 16/3 over n = 3 each: df = (17/3)^2 / ((1/9 + 256/9) / 2) = 578/257, se = sqrt(17/3)
    interval = intervals.welch_interval([1.0, 2.0, 3.0], [2.0, 6.0, 10.0])
    assert intervals.degrees_of_freedom([1.0, 16.0], [3, 3]) == pytest.approx(578 / 257)
    half = scipy_stats.t.ppf(0.975, 578 / 257) * np.sqrt(17 / 3)
    assert bounds(interval) == pytest.approx((-4 - half, -4 + half))


@settings(deadline=None)
@given(samples, samples, st.sampled_from([0.8, 0.95, 0.975]))
def test_welch_interval_equals_scipys(one, other, confidence):
    if np.ptp(one) < 1e-3 or np.ptp(other) < 1e-3:
        return
    expected = scipy_stats.ttest_ind(one, other, equal_var=False).confidence_interval(confidence)
    assert bounds(intervals.welch_interval(one, other, confidence)) == pytest.approx(
        tuple(expected), rel=1e-6
    )


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=9))
def test_paired_interval_equals_scipys(pairs):
    one, other = np.array(pairs).T
    if np.ptp(one - other) < 1e-3:
        return
    expected = scipy_stats.ttest_rel(one, other).confidence_interval(0.95)
    assert bounds(intervals.paired_interval(one, other)) == pytest.approx(tuple(expected), rel=1e-6)


@given(samples, st.floats(-100, 100), st.floats(0.01, 100))
def test_intervals_follow_shift_and_scale(values, shift, scale):
    low, high = bounds(intervals.mean_interval(values))
    moved_low, moved_high = bounds(intervals.mean_interval(scale * np.array(values) + shift))
    tolerance = {"rel": 1e-6, "abs": 1e-6 * (1 + abs(shift) + scale * max(map(abs, values)))}
    assert moved_low == pytest.approx(scale * low + shift, **tolerance)
    assert moved_high == pytest.approx(scale * high + shift, **tolerance)


def test_three_samples_add_their_squared_errors():
    parts = [Moments(5.0, 4.0, 4), Moments(-1.0, 9.0, 9), Moments(-0.5, 2.0, 2)]
    low, high = bounds(intervals.sum_interval(parts))
    free = 3.0**2 / (1 / 3 + 1 / 8 + 1 / 1)
    half = scipy_stats.t.ppf(0.975, free) * np.sqrt(3.0)
    assert (low, high) == pytest.approx((3.5 - half, 3.5 + half))


def test_the_variance_of_one_unit_is_unknown():
    assert intervals.moments([3.0]).variance is None
    interval = intervals.welch_interval([3.0], [1.0, 2.0])
    assert (interval.estimate, interval.low, interval.high) == (1.5, None, None)
    assert not interval.above(-1e9)
    assert not interval.below(1e9)


def test_equal_values_give_an_interval_of_width_zero():
    assert bounds(intervals.mean_interval([2.0, 2.0, 2.0])) == (2.0, 2.0)
    assert bounds(intervals.welch_interval([3.0, 3.0], [1.0, 1.0, 1.0])) == (2.0, 2.0)
    assert np.isinf(intervals.degrees_of_freedom([0.0, 0.0], [2, 3]))


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e9 + 0.1, 1e-300, 1e100])
def test_equal_values_give_width_zero_up_to_rounding(value):
    assert bounds(intervals.mean_interval([value] * 7)) == pytest.approx((value, value), rel=1e-14)


def test_a_constant_sample_leaves_the_others_degrees_of_freedom():
    # the constant sample adds no error: this is Student's interval of the other one, shifted
    low, high = bounds(intervals.welch_interval([1.0, 2.0, 3.0], [5.0, 5.0, 5.0, 5.0]))
    assert (low, high) == pytest.approx((-0.484138 - 5, 4.484138 - 5), abs=1e-6)


def test_a_huge_offset_keeps_the_spread():
    values = np.array([1.0, 2.0, 4.0, 8.0])  # still exact at 2^40
    plain, far = intervals.mean_interval(values), intervals.mean_interval(values + 2.0**40)
    assert np.subtract(bounds(far), 2.0**40) == pytest.approx(bounds(plain), abs=1e-3)
    paired = intervals.paired_interval(values + 2.0**40, np.full(4, 2.0**40))
    assert bounds(paired) == bounds(plain)


def test_half_widths_of_many_intervals_at_once():
    rng = np.random.default_rng(3)
    one, other = rng.normal(0.0, 1.0, (50, 4)), rng.normal(0.0, 3.0, (50, 7))
    variances = np.stack([one.var(axis=1, ddof=1), other.var(axis=1, ddof=1)], axis=-1)
    found = intervals.half_width(variances, [4, 7], 0.9)
    expected = scipy_stats.ttest_ind(one, other, axis=1, equal_var=False).confidence_interval(0.9)
    assert found.shape == (50,)
    assert 2 * found == pytest.approx(expected.high - expected.low)


@pytest.mark.parametrize(
    ("variances", "counts"),
    [([np.nan], [3]), ([-1.0], [3]), ([np.inf], [3]), ([1.0], [0]), ([[1.0], [np.nan]], [3])],
)
def test_invalid_variances_and_counts_are_refused(variances, counts):
    with pytest.raises(ValueError, match="expected finite variances"):
        intervals.half_width(variances, counts)


@pytest.mark.parametrize(
    ("mean", "variance", "n"),
    [(0.0, np.nan, 3), (0.0, np.inf, 3), (0.0, -1.0, 3), (np.nan, 1.0, 3), (0.0, 1.0, 0)],
)
def test_invalid_moments_are_refused(mean, variance, n):
    with pytest.raises(ValueError, match="expected n >= 1"):
        Moments(mean, variance, n)


def test_values_whose_squares_overflow_are_refused():
    with pytest.raises(ValueError, match="variance=inf"):
        intervals.moments([1e200, -1e200])


def test_a_tiny_spread_does_not_underflow():
    assert intervals.degrees_of_freedom([1e-200, 1e-200], [5, 5]) == pytest.approx(8)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [[1.0, 2.0]], [float("inf"), 1.0]])
def test_invalid_samples_are_refused(values):
    with pytest.raises(ValueError, match=r"finite numbers \[n\], n >= 1"):
        intervals.moments(values)


def paired_fieller_by_formula(gain: np.ndarray, teacher_gain: np.ndarray) -> tuple[float, float]:
    """Return the roots of (mean(gain) - c mean(teacher_gain))^2 = t^2 var(gain - c teacher_gain) / n in c."""
    n = len(gain)
    squared_t = scipy_stats.t.ppf(0.975, n - 1) ** 2
    (a, b), (_, d) = np.cov(gain, teacher_gain) / n
    x, y = gain.mean(), teacher_gain.mean()
    return tuple(sorted(np.roots([y**2 - squared_t * d, -2 * (x * y - squared_t * b), x**2 - squared_t * a])))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 12), st.floats(-0.5, 2.0))
def test_the_paired_fieller_set_is_bounded_by_the_roots_of_the_quadratic(seed, n, share):
    rng = np.random.default_rng(seed)
    teacher_gain = rng.normal(10.0, 1.0, n)
    gain = share * teacher_gain + rng.normal(0.0, 2.0, n)
    found = intervals.fieller_set(
        lambda c: intervals.paired_interval(gain, c * teacher_gain), intervals.mean_interval(teacher_gain)
    )
    assert found == pytest.approx(paired_fieller_by_formula(gain, teacher_gain), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_welch_fieller_set_matches_brute_force(seed):
    rng = np.random.default_rng(seed)
    gain, teacher_gain = rng.normal(4.0, 2.0, 7), rng.normal(8.0, 2.0, 5)
    found = intervals.fieller_set(
        lambda c: intervals.welch_interval(gain, c * teacher_gain), intervals.mean_interval(teacher_gain)
    )
    grid = np.arange(-1.0, 3.0, 0.002)
    p = scipy_stats.ttest_ind(gain[None], grid[:, None] * teacher_gain, equal_var=False, axis=1).pvalue
    assert found == pytest.approx((grid[p >= 0.05][0], grid[p >= 0.05][-1]), abs=0.002)


def test_a_denominator_not_clear_of_zero_gives_no_set():
    teacher_gain = np.array([-3.0, 1.0, 4.0, 2.0])  # its interval contains 0
    assert (
        intervals.fieller_set(
            lambda c: intervals.welch_interval([5.0, 6.0], c * teacher_gain),
            intervals.mean_interval(teacher_gain),
        )
        is None
    )


def test_one_unit_gives_no_set():
    assert (
        intervals.fieller_set(
            lambda c: intervals.mean_interval([5.0 - c * 10.0]), intervals.mean_interval([10.0])
        )
        is None
    )
    numerator = intervals.mean_interval([5.0])  # one unit, against a clear denominator
    teacher_gain = np.array([9.0, 10.0, 11.0])
    assert (
        intervals.fieller_set(
            lambda c: intervals.welch_interval([5.0], c * teacher_gain), intervals.mean_interval(teacher_gain)
        )
        is None
    )
    assert numerator.low is None


def test_equal_values_give_a_single_ratio():
    gain, teacher_gain = np.full(4, 3.0), np.full(4, 8.0)
    found = intervals.fieller_set(
        lambda c: intervals.paired_interval(gain, c * teacher_gain), intervals.mean_interval(teacher_gain)
    )
    assert found == pytest.approx((0.375, 0.375))


def test_a_denominator_barely_clear_of_zero_gives_a_wide_set_in_finite_time():
    critical = scipy_stats.t.ppf(0.975, 3)
    spread = np.array([-3.0, 1.0, 1.0, 1.0]) / 2  # variance 1: the half-width is critical / 2
    teacher_gain = spread + critical / 2 * (1 + 1e-6)
    gain = teacher_gain + np.array([0.3, -0.3, 0.1, -0.1])
    found = intervals.fieller_set(
        lambda c: intervals.paired_interval(gain, c * teacher_gain), intervals.mean_interval(teacher_gain)
    )
    expected = paired_fieller_by_formula(gain, teacher_gain)
    assert found == pytest.approx(expected, rel=1e-3)
    assert max(map(abs, found)) > 10
    below = teacher_gain - 1e-5  # now the interval contains 0
    assert (
        intervals.fieller_set(
            lambda c: intervals.paired_interval(gain, c * below), intervals.mean_interval(below)
        )
        is None
    )


def test_a_negative_denominator_gives_a_set_too():
    gain, teacher_gain = np.array([1.0, 2.0, 3.0, 2.5]), np.array([-9.0, -10.0, -11.0, -10.5])
    found = intervals.fieller_set(
        lambda c: intervals.paired_interval(gain, c * teacher_gain), intervals.mean_interval(teacher_gain)
    )
    assert found == pytest.approx(paired_fieller_by_formula(gain, teacher_gain), rel=1e-6)


def test_needed_units_match_the_textbook():
    # two-sided 5 %, power 90 %, standard deviations of 0.5, 1, 1.5 and 2 effects: 5, 13, 26 and 44 units
    assert [intervals.needed_units([Moments(1.0, spread**2, 3)]) for spread in (0.5, 1.0, 1.5, 2.0)] == [
        5,
        13,
        26,
        44,
    ]


def test_needed_units_of_two_samples_have_the_power():
    parts = [Moments(1.0, 1.0, 4), Moments(-0.2, 0.25, 4)]
    n = intervals.needed_units(parts)
    assert n is not None
    rng = np.random.default_rng(5)
    one, other = rng.normal(1.0, 1.0, (20_000, n)), rng.normal(0.2, 0.5, (20_000, n))
    rejected = scipy_stats.ttest_ind(one, other, equal_var=False, axis=1).pvalue < 0.05
    assert rejected.mean() == pytest.approx(0.9, abs=0.03)


def test_needed_units_are_unknown_without_effect_or_variance():
    assert intervals.needed_units([Moments(0.0, 1.0, 5)]) is None
    assert intervals.needed_units([Moments(1.0, None, 1)]) is None
    assert intervals.needed_units([Moments(1e-6, 1.0, 5)]) is None
    assert intervals.needed_units([Moments(1.0, 0.0, 5)]) == 2


@pytest.mark.parametrize("variance", [1e-3, 1e-6, 1e-12, 1e-100, 1e-300])
def test_a_tiny_variance_needs_two_units(variance):
    assert intervals.needed_units([Moments(1.0, variance, 3)]) == 2


@pytest.mark.parametrize("n", [3, 6, 20])
def test_needed_units_are_the_fewest_with_that_power(n):
    # the effect with exactly 90 % power at n units, found by scipy's noncentral t
    critical = scipy_stats.t.ppf(0.975, n - 1)
    effect = optimize.brentq(lambda d: scipy_stats.nct.sf(critical, n - 1, d * np.sqrt(n)) - 0.9, 0.1, 20.0)
    assert intervals.needed_units([Moments(1.001 * effect, 1.0, 4)]) == n
    assert intervals.needed_units([Moments(0.999 * effect, 1.0, 4)]) == n + 1


@pytest.mark.parametrize(("n", "m", "spread"), [(4, 4, 1.0), (8, 4, 3.0), (16, 5, 0.3)])
def test_welch_intervals_have_the_nominal_coverage(n, m, spread):
    rng = np.random.default_rng(n)
    one, other = rng.normal(0.0, 1.0, (3_000, n)), rng.normal(0.0, spread, (3_000, m))
    found = [bounds(intervals.welch_interval(x, y)) for x, y in zip(one, other, strict=True)]
    covered = np.mean([low <= 0.0 <= high for low, high in found])
    assert (
        0.935 < covered < 0.975
    )  # 0.95 up to Welch's approximation and the standard error of 3,000 draws, 0.004


@pytest.mark.parametrize("counts", [(2,), (4,), (16,), (4, 8), (4, 4, 8)])
def test_the_detectable_effect_is_detected_with_the_power(counts):
    rng = np.random.default_rng(3)
    spreads = np.arange(1.0, len(counts) + 1)
    parts = [intervals.Moments(0.0, float(s**2), n) for s, n in zip(spreads, counts, strict=True)]
    effect = intervals.detectable_effect(parts, 0.95, 0.9)
    assert effect is not None
    draws = 20_000
    samples = [rng.normal(0, s, (draws, n)) for s, n in zip(spreads, counts, strict=True)]
    means = effect + sum(sample.mean(axis=1) for sample in samples)
    variances = np.stack([sample.var(axis=1, ddof=1) for sample in samples], axis=-1)
    found = (means > intervals.half_width(variances, np.array(counts), 0.95)).mean()
    assert found == pytest.approx(0.9, abs=0.01 if len(counts) == 1 else 0.04)


def test_detectable_effect_and_needed_units_are_inverse():
    for n in (3, 7, 20):
        effect = intervals.detectable_effect([intervals.Moments(0.0, 4.0, n)])
        assert intervals.needed_units([intervals.Moments(effect * 1.001, 4.0, n)]) == n
        assert intervals.needed_units([intervals.Moments(effect * 0.999, 4.0, n)]) == n + 1


def test_detectable_effect_of_unknown_and_of_zero_variance():
    assert intervals.detectable_effect([intervals.Moments(1.0, None, 1)]) is None
    assert intervals.detectable_effect([intervals.Moments(1.0, 0.0, 4)]) == 0.0
