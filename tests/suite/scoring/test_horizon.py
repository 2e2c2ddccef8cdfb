"""The horizon H50 of runs whose skill follows a known curve."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats as scipy_stats

from understudy.suite.errors import InputError
from understudy.suite.scoring import horizon, references, verdicts
from understudy.suite.scoring.evidence import Evidence
from understudy.suite.scoring.horizon import Horizon, HorizonWindow
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.rules import Minima, PublishedReference, Rules, Thresholds
from understudy.suite.scoring.scored_runs import ScoredRun

N = 12_800  # windows end at 100, 200, 400 ... 12,800
ENDS = [100 * 2**k for k in range(8)]
RULES = Rules(
    watched_moves=100,
    moves=N,
    end_moves=N // 20,
    episode_cap_moves=2,
    thresholds=Thresholds(0.5, 0.1, 0.8, 1.25, 0.5, 0.95, 0.975, 0.9),
    minima=Minima(5, 4, 4, 10, 20, 20),
)
SPREAD = np.array([-0.4, 0.2, 0.6, -0.2, -0.2])  # deviations of five units from their mean


def run(unit: str, by_window, lane: int = 0, every: int = 2, checkpoint: int = 0) -> ScoredRun:
    """Return a run with an episode every `every` moves and one score in each window [h/2, h).

    Moves before the first window score as those in it.
    """
    moves = np.arange(N)
    window = np.maximum(np.ceil(np.log2((moves + 1) / 100)), 0).astype(int)
    ended = (moves + 1) % every == 0
    reward = np.where(ended, np.asarray(by_window, dtype=float)[window], 0.0)
    return ScoredRun(unit, checkpoint, lane, reward.astype(np.float32), ended)


def runs(curve, spread=SPREAD, unit: str | None = None, every: int = 2) -> tuple[ScoredRun, ...]:
    """Return five runs around a curve [8]: of five teacher runs, or, with `unit`, as lanes of one."""
    return tuple(
        run(unit or f"run-{i}", np.asarray(curve) + offset, i if unit else 0, every)
        for i, offset in enumerate(spread)
    )


def evidence(curve, reference_curve, start=5.0, claim="method", every: int = 2, **others) -> Evidence:
    """Return evidence of an imitator that follows `curve` from `start`, and a reference from 5."""
    unit = None if claim == "method" else "run-0"
    reference_starts = runs([5.0] * 8, 0.1 * SPREAD)
    return Evidence(
        claim,
        **{
            "runs": runs(curve, SPREAD, unit, every),
            "starts": runs([start] * 8, -0.2 * SPREAD, unit),
            "reference_runs": runs(reference_curve, SPREAD[::-1]),
            "reference_starts": reference_starts,
            "random_starts": reference_starts,
            "watched_moves": 100,
            **others,
        },
    )


def measured(case: Evidence, rules: Rules = RULES, reference=references.continuations) -> Horizon:
    return horizon.measure(case, rules, reference(case, rules))


RISING = 5 + 10 * np.arange(1, 9) / 8  # the teacher's gain is 1.25, 2.5 ... 10
STALLED = np.minimum(RISING, 10.0)  # rises up to the fourth window; the gain is 5 from there on


@pytest.mark.parametrize("claim", ["method", "checkpoint"])
@pytest.mark.parametrize("reference", [references.continuations, references.runs_from_scratch])
def test_an_imitator_that_stalls_is_demonstrated_and_then_refuted(claim, reference):
    # gain 5 of teacher's gains 6.25, 7.5, 8.75 and 10: above half by 1.875, 1.25, 0.625 and 0
    found = measured(evidence(STALLED, RISING, claim=claim), reference=reference)
    assert (found.demonstrated_to, found.refuted_from) == (6_400, None)
    assert (found.text, found.rank) == ("6.4k / -", 6_400)
    # gain 2.5 of teacher's gains 2.5, 3.75, 5, 6.25 ...: above half until 3.75, half at 5, refuted afterwards
    found = measured(evidence(np.minimum(RISING, 7.5), RISING, claim=claim), reference=reference)
    assert (found.demonstrated_to, found.refuted_from) == (400, 1_600)
    assert (found.text, found.rank) == ("400 / 1.6k", 400)


def test_an_imitator_that_follows_to_the_end_is_never_refuted():
    found = measured(evidence(RISING, RISING))
    assert (found.demonstrated_to, found.refuted_from, found.text) == (N, None, "12.8k / -")


def test_an_imitator_that_never_gains_is_refuted_from_the_first_clear_teacher_gain():
    flat = np.array([5.0, 5.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0])
    found = measured(evidence([5.0] * 8, flat))
    assert (found.demonstrated_to, found.refuted_from, found.text) == (None, 800, "- / 800")
    assert found.rank == 0
    assert [window.left_out for window in found.windows] == [horizon.GAIN_UNCLEAR] * 3 + [None] * 5


def test_a_gain_demonstrated_after_a_refutation_does_not_count():
    # demonstrated at 200, refuted at 400, demonstrated again from 3,200 on
    found = measured(evidence([6.2, 7.5, 5.5, 6.0, 6.0, 12.5, 13.75, 15.0], RISING))
    assert (found.demonstrated_to, found.refuted_from) == (200, 400)
    assert found.windows[-1].demonstrated


def test_demonstrated_needs_the_end_above_the_teachers_start():
    # starts 8 below the teacher and gains as much: the gain suffices from the first window on, the end never
    found = measured(evidence(RISING - 8, RISING, start=-3.0))
    assert (found.demonstrated_to, found.refuted_from) == (None, None)
    assert found.windows[-1].gain_beyond.above(0)
    assert found.windows[-1].end_above_start_beyond.below(0)


def test_an_undecided_window_in_between_changes_nothing():
    # at 800 the gain is exactly half of the teacher's
    found = measured(evidence([6.2, 7.5, 8.0, 7.5, 11.0, 12.0, 13.0, 14.0], RISING))
    assert not found.windows[3].demonstrated
    assert not found.windows[3].refuted
    assert found.demonstrated_to == N


def test_numbers_of_each_window():
    case = evidence(STALLED, RISING)
    found = measured(case)
    assert [(window.begin, window.moves) for window in found.windows] == [(h // 2, h) for h in ENDS]
    for window, imitator, reference in zip(found.windows, STALLED, RISING, strict=True):
        gain = (imitator + SPREAD) - (5 - 0.2 * SPREAD)
        teacher_gain = (reference + SPREAD[::-1]) - (5 + 0.1 * SPREAD)
        end_above_start = (imitator + SPREAD) - (5 + 0.1 * SPREAD)
        for interval, one, other in (
            (window.gain, gain, 0 * gain),
            (window.end_above_start, end_above_start, 0 * gain),
            (window.teacher_gain, teacher_gain, 0 * gain),
            (window.gain_beyond, gain, 0.5 * teacher_gain),
            (window.end_above_start_beyond, end_above_start, 0.5 * teacher_gain),
        ):
            expected = scipy_stats.ttest_rel(one, other).confidence_interval()
            assert (interval.low, interval.high) == pytest.approx(tuple(expected), abs=1e-5)


def test_windows_of_a_checkpoint_claim_use_welchs_interval():
    window = measured(evidence(STALLED, RISING, claim="checkpoint")).windows[-1]
    gain, teacher_gain = (10 + SPREAD) - (5 - 0.2 * SPREAD), (15 + SPREAD[::-1]) - (5 + 0.1 * SPREAD)
    expected = scipy_stats.ttest_ind(gain, 0.5 * teacher_gain, equal_var=False).confidence_interval()
    assert (window.gain_beyond.low, window.gain_beyond.high) == pytest.approx(tuple(expected), abs=1e-5)


def test_windows_with_few_ends_do_not_count():
    # an episode every 10 moves: 5, 10, 20 ... ends in the windows; the reference has five times as many
    found = measured(evidence(RISING, RISING, every=10))
    assert [window.left_out for window in found.windows] == ["few ends"] * 2 + [None] * 6
    assert found.demonstrated_to == N
    assert found.windows[1].gain.estimate == pytest.approx(2.5)  # measured, although it does not count
    slow = tuple(
        dataclasses.replace(one, ended=one.ended & (np.arange(N) % 40 == 39)) for one in runs(RISING)
    )
    found = measured(evidence(RISING, RISING, reference_runs=slow))
    assert [window.left_out for window in found.windows] == ["few ends"] * 4 + [None] * 4


def test_ends_are_counted_over_the_lanes_of_a_unit_but_for_each_training_seed():
    def played(training_seeds):
        return tuple(
            run(f"run-{i}", RISING + offset, lane, 10, seed)
            for i, offset in enumerate(SPREAD)
            for lane, seed in enumerate(training_seeds)
        )

    starts = {
        seeds: tuple(run(f"run-{i}", [5.0] * 8, k, 2, seed) for i in range(5) for k, seed in enumerate(seeds))
        for seeds in ((0, 0), (0, 1))
    }
    two_lanes = measured(evidence(RISING, RISING, runs=played((0, 0)), starts=starts[0, 0]))
    assert [window.left_out for window in two_lanes.windows[:3]] == ["few ends", None, None]
    two_seeds = measured(evidence(RISING, RISING, runs=played((0, 1)), starts=starts[0, 1]))
    assert [window.left_out for window in two_seeds.windows[:3]] == ["few ends", "few ends", None]
    assert two_seeds.windows[-1].gain == two_lanes.windows[-1].gain


def test_units_without_a_reference_run_are_left_out():
    case = evidence(RISING, RISING)
    fewer = measured(dataclasses.replace(case, reference_runs=case.reference_runs[1:]))
    shared = {
        name: getattr(case, name)[1:] for name in ("runs", "starts", "reference_runs", "reference_starts")
    }
    assert fewer == measured(dataclasses.replace(case, **shared))
    cut = dataclasses.replace(
        case.reference_runs[0],
        reward=case.reference_runs[0].reward[:-1],
        ended=case.reference_runs[0].ended[:-1],
    )
    assert measured(dataclasses.replace(case, reference_runs=(cut, *case.reference_runs[1:]))) == fewer


def test_the_order_of_runs_does_not_matter():
    case = evidence(STALLED, RISING)
    reversed_runs = {
        name: getattr(case, name)[::-1] for name in ("runs", "starts", "reference_runs", "reference_starts")
    }
    assert measured(dataclasses.replace(case, **reversed_runs)) == measured(case)


@pytest.mark.parametrize(
    ("kept", "claim", "reason"),
    [
        ({"runs": 0}, "method", verdicts.NOT_PLAYED),
        ({"starts": 0}, "method", verdicts.NOT_PLAYED),
        ({"reference_runs": 3}, "checkpoint", verdicts.NO_REFERENCE),
        ({"reference_runs": 0}, "method", verdicts.NO_REFERENCE),
        ({"reference_starts": 0}, "checkpoint", verdicts.NO_REFERENCE),
        ({"runs": 3, "starts": 3}, "method", "fewer than 4 units"),
    ],
)
def test_reasons_for_no_horizon(kept, claim, reason):
    case = evidence(RISING, RISING, claim=claim)
    case = dataclasses.replace(case, **{name: getattr(case, name)[:n] for name, n in kept.items()})
    found = measured(case)
    assert (found.reason, found.windows, found.text, found.rank) == (reason, (), "- / -", 0)


def test_short_runs_and_published_references_have_no_horizon():
    longer = dataclasses.replace(RULES, moves=N + 1)
    assert measured(evidence(RISING, RISING), longer).reason == "run incomplete: 12,800 of 12,801"
    incomplete = dataclasses.replace(evidence(RISING, RISING), watched_moves=99)
    assert measured(incomplete).reason == "teacher run incomplete: 99 of 100"
    published = dataclasses.replace(RULES, published=PublishedReference("g", 5, 5.0, 0.4, 15.0, 1.2, 1.3, 18))
    assert measured(evidence(RISING, RISING, reference_runs=()), published).reason == horizon.PUBLISHED_ONLY
    case = evidence(RISING, RISING)
    with pytest.raises(InputError, match="start jobs are of"):
        measured(dataclasses.replace(case, starts=case.starts[:4]))


def test_one_run_of_a_checkpoint_demonstrates_and_refutes_nothing():
    case = evidence(RISING, RISING, claim="checkpoint")
    found = measured(dataclasses.replace(case, runs=case.runs[:1], starts=case.starts[:1]))
    assert (found.text, found.reason) == ("- / -", None)
    assert found.windows[-1].gain == Interval(pytest.approx(9.52, abs=1e-4), None, None, 0.95)


def test_a_short_run_has_fewer_windows():
    rules = dataclasses.replace(RULES, moves=12, end_moves=12)
    assert [window.moves for window in measured(evidence(RISING, RISING), rules).windows] == [1, 3, 6, 12]


def test_a_horizon_is_plain_json():
    found = measured(evidence(STALLED, RISING))
    read = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert (read["demonstrated_to"], read["refuted_from"], read["share"]) == (6_400, None, 0.5)
    assert read["windows"][7]["teacher_gain"]["estimate"] == found.windows[7].teacher_gain.estimate


@pytest.mark.parametrize(
    ("demonstrated", "refuted", "text"),
    [
        (160_000, 640_000, "160k / 640k"),
        (10_000_000, None, "10M / -"),
        (156_250, 312_500, "156k / 312k"),
        (812, 3_250, "812 / 3.25k"),
        (999_600, 1_250_000, "1M / 1.25M"),
        (None, None, "- / -"),
    ],
)
def test_text(demonstrated, refuted, text):
    up, down = Interval(1.0, 0.5, 1.5, 0.95), Interval(-1.0, -1.5, -0.5, 0.95)
    windows = []
    if demonstrated:
        windows.append(HorizonWindow(demonstrated, demonstrated // 2, up, up, up, up, up))
    if refuted:
        windows.append(HorizonWindow(refuted, refuted // 2, up, up, up, down, up))
    assert Horizon(0.5, tuple(windows)).text == text
