"""Pairs of rows against scipy, rliable, the suite's ranking and simulations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rliable import metrics
from scipy import special
from scipy import stats as scipy_stats

from understudy.suite.scoring import comparisons, improvement_probability, pairs
from understudy.suite.scoring.comparisons import Comparable
from understudy.suite.scoring.contrasts import CHECKPOINT, METHOD, Sample
from understudy.suite.scoring.references import Reference
from understudy.suite.scoring.rules import PublishedReference

POWER, FEWEST = 0.9, 4


def sample(values, prefix="unit") -> Sample:
    return Sample(tuple(f"{prefix}-{i:02}" for i in range(len(values))), tuple(map(float, values)))


def row(values, claim=METHOD, reference=None, prefix="unit") -> Comparable:
    return Comparable(claim, (sample(values, prefix),), reference)


def compare(one, other, confidence=0.95, power=POWER) -> pairs.Pair:
    return pairs.compare(one, other, confidence, power, FEWEST)


ONE = np.array([3.0, 5.0, 4.5, 7.0, 6.0, 5.5])
OTHER = np.array([2.0, 4.0, 4.0, 5.5, 6.2, 4.1])


def test_rows_over_shared_units_are_compared_by_the_paired_t():
    found = compare(row(ONE), row(OTHER), 0.99)
    test = scipy_stats.ttest_rel(ONE, OTHER)
    interval = test.confidence_interval(0.99)
    assert (found.points.estimate, found.points.low, found.points.high) == pytest.approx(
        (np.mean(ONE - OTHER), interval.low, interval.high)
    )
    assert (found.shown is None) == (test.pvalue > 0.01)
    assert (found.units, found.paired) == ((6, 6), True)


def test_rows_of_checkpoints_are_compared_by_welchs_t():
    found = compare(row(ONE, CHECKPOINT), row(OTHER[:4], CHECKPOINT), 0.9)
    interval = scipy_stats.ttest_ind(ONE, OTHER[:4], equal_var=False).confidence_interval(0.9)
    assert (found.points.low, found.points.high) == pytest.approx((interval.low, interval.high))
    assert (found.units, found.paired) == ((6, 4), False)


def test_what_is_shown_has_the_sign_of_the_difference():
    assert compare(row(ONE + 9), row(OTHER)).shown == pairs.ABOVE
    assert compare(row(OTHER), row(ONE + 9)).shown == pairs.BELOW
    assert compare(row(ONE), row(ONE[::-1])).shown is None


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.sampled_from([METHOD, CHECKPOINT]), st.integers(2, 6))
def test_a_pair_at_the_adjusted_confidence_is_the_rankings(seed, claim, count):
    rng = np.random.default_rng(seed)
    rows = [row(rng.normal(i / 2, 1.0, 6), claim) for i in range(count)]
    together = comparisons.differences(rows, 0.95, FEWEST)
    confidence = 1 - 0.05 / (count * (count - 1) / 2)
    for i in range(count):
        for j in range(i + 1, count):
            found = compare(rows[i], rows[j], confidence)
            assert found.points.estimate == pytest.approx(together.estimate[i, j])
            assert found.points.high - found.points.estimate == pytest.approx(together.half_width[i, j])
            assert (found.shown == pairs.ABOVE) == together.above[i, j]
            assert (found.shown == pairs.BELOW) == together.above[j, i]


# Normalised gains.

TEACHER = Reference(sample([9.0, 12.0, 10.0, 11.0, 13.0, 9.5]), sample([1.0, 2.0, 0.5, 1.5, 1.0, 2.0]))
TEACHER_GAINS = np.subtract(TEACHER.end.values, TEACHER.start.values)


def rejected(difference, gains, confidence, welch=False):
    """Return whether a ratio is rejected by scipy, as a function of the ratio."""

    def of_ratio(ratio):
        if welch:
            one, other = difference
            parts = [one, -other, -ratio * gains]
            errors = [np.var(x, ddof=1) / len(x) for x in parts]
            free = sum(errors) ** 2 / sum(v**2 / (len(x) - 1) for v, x in zip(errors, parts, strict=True))
            t = abs(sum(x.mean() for x in parts)) / np.sqrt(sum(errors))
            return 2 * scipy_stats.t.sf(t, free) < 1 - confidence
        return scipy_stats.ttest_1samp(difference - ratio * gains, 0.0).pvalue < 1 - confidence

    return of_ratio


@pytest.mark.parametrize("claim", [METHOD, CHECKPOINT])
def test_the_difference_of_normalised_gains_has_fiellers_set(claim):
    found = compare(row(ONE, claim, TEACHER), row(OTHER, claim, TEACHER)).normalised
    assert found.estimate == pytest.approx((ONE.mean() - OTHER.mean()) / TEACHER_GAINS.mean())
    if claim == METHOD:
        is_rejected = rejected(ONE - OTHER, TEACHER_GAINS, 0.95)
    else:
        is_rejected = rejected((ONE, OTHER), TEACHER_GAINS, 0.95, welch=True)
    for bound, outwards in ((found.low, -1), (found.high, 1)):
        assert is_rejected(bound + outwards * 1e-5)
        assert not is_rejected(bound - outwards * 1e-5)


def test_gains_on_different_references_are_compared_in_points():
    other_teacher = Reference(sample([9.0, 12.0, 10.0, 11.0, 13.0, 8.0]), TEACHER.start)
    for second in (other_teacher, None):
        found = compare(row(ONE, METHOD, TEACHER), row(OTHER, METHOD, second))
        assert found.normalised is None
        assert found.points.estimate == pytest.approx(np.mean(ONE - OTHER))


def test_rows_are_compared_on_shared_units_with_the_teachers_gain_there():
    short = Comparable(METHOD, (sample(ONE).only([f"unit-{i:02}" for i in range(4)]),), TEACHER)
    found = compare(short, row(OTHER, METHOD, TEACHER))
    assert found.units == (4, 4)
    assert found.points.estimate == pytest.approx(np.mean(ONE[:4] - OTHER[:4]))
    assert found.normalised.estimate == pytest.approx(np.mean(ONE[:4] - OTHER[:4]) / TEACHER_GAINS[:4].mean())


def test_a_published_reference_divides_both():
    published = PublishedReference("game", 5, 1.0, 0.5, 11.0, 1.0, 1.0, 20)
    reference = Reference(Sample((), ()), Sample((), ()), published=published)
    found = compare(row(ONE, CHECKPOINT, reference), row(OTHER, CHECKPOINT, reference))
    assert found.normalised.estimate == pytest.approx((ONE.mean() - OTHER.mean()) / 10.0)


def test_without_a_clear_gain_of_the_teacher_only_points_are_compared():
    flat = Reference(sample([1.0, 2.0, 0.5, 1.4, 1.1, 2.0]), TEACHER.start)
    found = compare(row(ONE, METHOD, flat), row(OTHER, METHOD, flat))
    assert found.normalised is None
    assert found.points is not None


# What cannot be compared, and what would tell.


def test_few_shared_units_are_not_compared():
    one = Comparable(METHOD, (Sample(tuple("abcd"), (1.0, 2.0, 3.0, 4.0)),))
    other = Comparable(METHOD, (Sample(tuple("cdefg"), (1.0, 2.0, 3.0, 4.0, 5.0)),))
    found = compare(one, other)
    assert found.points is None
    assert found.reason == "the rows share only 2 of their units, and 4 are needed"


def test_one_unit_shows_nothing_and_says_so():
    found = compare(row([1.0], CHECKPOINT), row(OTHER, CHECKPOINT))
    assert (found.points.low, found.shown, found.needed_units) == (None, None, None)
    assert found.reason == pairs.ONE_UNIT


def test_equal_rows_need_no_number_of_runs():
    found = compare(row(ONE), row(ONE))
    assert (found.points.estimate, found.shown, found.needed_units) == (0.0, None, None)
    assert found.reason == pairs.EQUAL


def test_without_spread_and_with_few_units_nothing_is_shown():
    found = compare(row([1.0] * 4), row([2.0] * 4))
    assert (found.points.low, found.shown, found.needed_units) == (None, None, None)
    assert found.reason == pairs.NO_SPREAD
    assert compare(row([1.0] * 8), row([2.0] * 8)).shown == pairs.BELOW


def test_more_units_than_can_be_played_are_not_named():
    rng = np.random.default_rng(0)
    values = rng.normal(size=8)
    noise = rng.normal(size=8)
    found = compare(row(values), row(values + noise - noise.mean() + 1e-4))
    assert (found.needed_units, found.reason) == (None, pairs.TOO_MANY)


@pytest.mark.parametrize("power", [0.8, 0.9])
def test_needed_units_of_pairs_have_the_power_of_the_t_test(power):
    difference = OTHER[:5] - ONE[:5] + 0.55
    found = compare(row(ONE[:5] + difference), row(ONE[:5]), 0.98, power)
    effect = difference.mean() / difference.std(ddof=1)

    def powers(n):
        critical = scipy_stats.t.ppf(0.99, n - 1)
        return scipy_stats.nct.sf(critical, n - 1, abs(effect) * np.sqrt(n))

    assert powers(found.needed_units) >= power > powers(found.needed_units - 1)


@pytest.mark.long
def test_the_needed_units_tell_two_rows_apart_as_often_as_promised():
    rng = np.random.default_rng(1)
    one, other = rng.normal(0.0, 1.0, 6), rng.normal(0.3, 2.0, 6)
    needed = compare(row(one, CHECKPOINT), row(other, CHECKPOINT), 0.98).needed_units
    told = 0
    for _ in range(2_000):
        samples = [rng.normal(x.mean(), x.std(ddof=1), needed) for x in (one, other)]
        told += compare(*(row(x, CHECKPOINT) for x in samples), 0.98).shown is not None
    assert told / 2_000 == pytest.approx(POWER, abs=4 * np.sqrt(0.09 / 2_000))


# The probability of improvement.

VALUES = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=9)


@settings(deadline=None)
@given(VALUES, VALUES)
def test_the_probability_over_runs_is_rliables(one, other):
    found = improvement_probability.independent(one, other)
    expected = metrics.probability_of_improvement(np.array(one)[:, None], np.array(other)[:, None])
    assert found.estimate == pytest.approx(expected)
    assert 0.0 <= found.low <= found.estimate <= found.high <= 1.0


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(0, 1000))
def test_the_probability_over_pairs_is_rliables_with_a_game_a_unit(n, seed):
    one, other = np.random.default_rng(seed).integers(0, 4, (2, n)).astype(float)
    found = improvement_probability.paired(one, other)
    assert found.estimate == pytest.approx(metrics.probability_of_improvement(one[None], other[None]))


@pytest.mark.parametrize("wins", [0, 1, 5, 7, 8])
def test_the_interval_over_pairs_is_scipys_exact_one(wins):
    one = np.where(np.arange(8) < wins, 1.0, -1.0)
    found = improvement_probability.paired(one, np.zeros(8), 0.9)
    expected = scipy_stats.binomtest(wins, 8).proportion_ci(0.9, method="exact")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-8)


@pytest.mark.parametrize(("n", "m"), [(8, 8), (4, 20)])
def test_the_interval_over_runs_holds_what_the_score_test_does_not_reject(n, m):
    rng = np.random.default_rng(2)
    one, other = rng.normal(0.8, 1.0, n), rng.normal(0.0, 1.0, m)
    found = improvement_probability.independent(one, other, 0.95)
    estimate = scipy_stats.mannwhitneyu(one, other).statistic / (n * m)
    grid = np.linspace(0.0005, 0.9995, 5_000)
    mean = (n + m) / 2 - 1
    variance = grid * (1 - grid) * (1 + mean * (1 - grid) / (2 - grid) + mean * grid / (1 + grid)) / (n * m)
    kept = grid[np.abs(grid - estimate) <= special.ndtri(0.975) * np.sqrt(variance)]
    assert (found.low, found.high) == pytest.approx((kept.min(), kept.max()), abs=1e-3)


def test_a_row_that_always_wins_is_not_certain_to():
    found = improvement_probability.independent(np.arange(8) + 100.0, np.arange(8.0))
    assert found.estimate == found.high == 1.0
    assert 0.5 < found.low < 0.95
    lost = improvement_probability.independent(np.arange(8.0), np.arange(8) + 100.0)
    assert (lost.low, lost.high) == pytest.approx((0.0, 1.0 - found.low))


@pytest.mark.parametrize("shift", [0.0, 0.7, 1.5])
def test_the_intervals_of_probabilities_cover(shift):
    rng = np.random.default_rng(3)
    true = scipy_stats.norm.cdf(shift / np.sqrt(2))
    covered = np.zeros(2)
    replicates = 2_000
    for _ in range(replicates):
        one, other = rng.normal(shift, 1.0, 8), rng.normal(0.0, 1.0, 8)
        for place, of in enumerate((improvement_probability.independent, improvement_probability.paired)):
            found = of(one, other)
            covered[place] += found.low <= true <= found.high
    assert covered[0] / replicates > 0.935  # Newcombe's is approximate
    assert covered[1] / replicates > 0.95 - 4 * np.sqrt(0.05 * 0.95 / replicates)


def test_a_gain_of_two_samples_has_no_probability():
    two = Comparable(CHECKPOINT, (sample(ONE), sample(-OTHER[:3], "start")))
    assert compare(two, row(OTHER, CHECKPOINT)).improvement is None


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="as many values of both; found 2 and 3"):
        improvement_probability.paired([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="expected values"):
        improvement_probability.independent([], [1.0])
