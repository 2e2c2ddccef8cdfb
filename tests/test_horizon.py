"""The horizon H50 of lives whose skill follows a curve that is known."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats as scipy_stats

from understudy.suite import verdicts
from understudy.suite.errors import InputError
from understudy.suite.judging import horizon, rulers
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.horizon import Horizon, Step
from understudy.suite.judging.lives import Life
from understudy.suite.judging.rules import Minima, PublishedRuler, Rules, Thresholds
from understudy.suite.stats import Interval

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
SPREAD = np.array([-0.4, 0.2, 0.6, -0.2, -0.2])  # of five units around a mean; sums to 0


def life(unit: str, by_window, lane: int = 0, every: int = 2, checkpoint: int = 0) -> Life:
    """A life with an episode every so many moves, which scores one number in each window [h/2, h).

    Moves before the first window score as those in it.
    """
    moves = np.arange(N)
    window = np.maximum(np.ceil(np.log2((moves + 1) / 100)), 0).astype(int)
    ended = (moves + 1) % every == 0
    reward = np.where(ended, np.asarray(by_window, dtype=float)[window], 0.0)
    return Life(unit, checkpoint, lane, reward.astype(np.float32), ended)


def lives(curve, spread=SPREAD, unit: str | None = None, every: int = 2) -> tuple[Life, ...]:
    """Five lives around a curve [8]: of five teacher lives, or five lanes of one."""
    return tuple(
        life(unit or f"life-{i}", np.asarray(curve) + offset, i if unit else 0, every)
        for i, offset in enumerate(spread)
    )


def evidence(curve, ruling, start=5.0, claim="method", every: int = 2, **others) -> Evidence:
    """An imitator that follows `curve` from `start` on, and a ruler that follows `ruling` from 5 on."""
    unit = None if claim == "method" else "life-0"
    ruler_starts = lives([5.0] * 8, 0.1 * SPREAD)
    return Evidence(
        claim,
        **{
            "lives": lives(curve, SPREAD, unit, every),
            "starts": lives([start] * 8, -0.2 * SPREAD, unit),
            "ruler_lives": lives(ruling, SPREAD[::-1]),
            "ruler_starts": ruler_starts,
            "random_starts": ruler_starts,
            "watched_moves": 100,
            **others,
        },
    )


def measured(case: Evidence, rules: Rules = RULES, ruler=rulers.continuations) -> Horizon:
    return horizon.measure(case, rules, ruler(case, rules))


RISING = 5 + 10 * np.arange(1, 9) / 8  # the ruler's gain: 1.25, 2.5 ... 10
STALLED = np.minimum(RISING, 10.0)  # follows to the fourth window, gains 5 from there on


@pytest.mark.parametrize("claim", ["method", "checkpoint"])
@pytest.mark.parametrize("ruler", [rulers.continuations, rulers.lives_from_scratch])
def test_a_learner_that_stalls_is_followed_to_where_it_is_shown_and_refuted_where_it_is_not(claim, ruler):
    # of gains 6.25, 7.5, 8.75 and 10 it has 5: above half by 1.875, 1.25, 0.625, and 0 at the last
    found = measured(evidence(STALLED, RISING, claim=claim), ruler=ruler)
    assert (found.demonstrated_to, found.refuted_from) == (6_400, None)
    assert (found.text, found.rank) == ("6.4k / -", 6_400)
    # nothing more after 2.5: of 2.5, 3.75, 5, 6.25 ... above half until 3.75, half at 5, refuted after it
    found = measured(evidence(np.minimum(RISING, 7.5), RISING, claim=claim), ruler=ruler)
    assert (found.demonstrated_to, found.refuted_from) == (400, 1_600)
    assert (found.text, found.rank) == ("400 / 1.6k", 400)


def test_who_follows_to_the_end_is_never_refuted():
    found = measured(evidence(RISING, RISING))
    assert (found.demonstrated_to, found.refuted_from, found.text) == (N, None, "12.8k / -")


def test_who_never_gains_is_refuted_from_the_first_clear_gain():
    flat = np.array([5.0, 5.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0])
    found = measured(evidence([5.0] * 8, flat))
    assert (found.demonstrated_to, found.refuted_from, found.text) == (None, 800, "- / 800")
    assert found.rank == 0
    assert [step.left_out for step in found.steps] == [horizon.GAIN_UNCLEAR] * 3 + [None] * 5


def test_what_is_shown_after_a_refutation_does_not_count():
    # fine at 200, fails at 400, catches up from 3,200 on
    found = measured(evidence([6.2, 7.5, 5.5, 6.0, 6.0, 12.5, 13.75, 15.0], RISING))
    assert (found.demonstrated_to, found.refuted_from) == (200, 400)
    assert found.steps[-1].demonstrated


def test_demonstrated_needs_the_level_too():
    # begins 8 below the ruler's start and gains as much: own holds from the first window on, level never
    found = measured(evidence(RISING - 8, RISING, start=-3.0))
    assert (found.demonstrated_to, found.refuted_from) == (None, None)
    assert found.steps[-1].own_beyond.above(0)
    assert found.steps[-1].level_beyond.below(0)


def test_an_undecided_window_in_between_stops_nothing():
    # own exactly half of the gain at 800
    found = measured(evidence([6.2, 7.5, 8.0, 7.5, 11.0, 12.0, 13.0, 14.0], RISING))
    assert not found.steps[3].demonstrated
    assert not found.steps[3].refuted
    assert found.demonstrated_to == N


def test_steps_have_the_numbers_of_their_window():
    case = evidence(STALLED, RISING)
    found = measured(case)
    assert [(step.begin, step.moves) for step in found.steps] == [(h // 2, h) for h in ENDS]
    for step, curve, ruling in zip(found.steps, STALLED, RISING, strict=True):
        own = (curve + SPREAD) - (5 - 0.2 * SPREAD)
        gain = (ruling + SPREAD[::-1]) - (5 + 0.1 * SPREAD)
        level = (curve + SPREAD) - (5 + 0.1 * SPREAD)
        for interval, one, other in (
            (step.own, own, 0 * gain),
            (step.level, level, 0 * gain),
            (step.gain, gain, 0 * gain),
            (step.own_beyond, own, 0.5 * gain),
            (step.level_beyond, level, 0.5 * gain),
        ):
            expected = scipy_stats.ttest_rel(one, other).confidence_interval()
            assert (interval.low, interval.high) == pytest.approx(tuple(expected), abs=1e-5)


def test_a_checkpoints_steps_are_welchs():
    step = measured(evidence(STALLED, RISING, claim="checkpoint")).steps[-1]
    own, gain = (10 + SPREAD) - (5 - 0.2 * SPREAD), (15 + SPREAD[::-1]) - (5 + 0.1 * SPREAD)
    expected = scipy_stats.ttest_ind(own, 0.5 * gain, equal_var=False).confidence_interval()
    assert (step.own_beyond.low, step.own_beyond.high) == pytest.approx(tuple(expected), abs=1e-5)


def test_windows_with_few_ends_do_not_count():
    # an episode every 10 moves: 5, 10, 20 ... ends in the windows; the ruler has five times as many
    found = measured(evidence(RISING, RISING, every=10))
    assert [step.left_out for step in found.steps] == ["few ends"] * 2 + [None] * 6
    assert found.demonstrated_to == N
    assert found.steps[1].own.estimate == pytest.approx(2.5)  # 10 ends say so much, if not enough
    slow = tuple(
        dataclasses.replace(one, ended=one.ended & (np.arange(N) % 40 == 39)) for one in lives(RISING)
    )
    found = measured(evidence(RISING, RISING, ruler_lives=slow))
    assert [step.left_out for step in found.steps] == ["few ends"] * 4 + [None] * 4


def test_lanes_of_a_unit_have_their_ends_together_and_training_seeds_apart():
    def played(training_seeds):
        return tuple(
            life(f"life-{i}", RISING + offset, lane, 10, seed)
            for i, offset in enumerate(SPREAD)
            for lane, seed in enumerate(training_seeds)
        )

    starts = {
        seeds: tuple(
            life(f"life-{i}", [5.0] * 8, k, 2, seed) for i in range(5) for k, seed in enumerate(seeds)
        )
        for seeds in ((0, 0), (0, 1))
    }
    two_lanes = measured(evidence(RISING, RISING, lives=played((0, 0)), starts=starts[0, 0]))
    assert [step.left_out for step in two_lanes.steps[:3]] == ["few ends", None, None]
    two_seeds = measured(evidence(RISING, RISING, lives=played((0, 1)), starts=starts[0, 1]))
    assert [step.left_out for step in two_seeds.steps[:3]] == ["few ends", "few ends", None]
    assert two_seeds.steps[-1].own == two_lanes.steps[-1].own


def test_units_that_the_ruler_lacks_are_left_out():
    case = evidence(RISING, RISING)
    fewer = measured(dataclasses.replace(case, ruler_lives=case.ruler_lives[1:]))
    alone = {name: getattr(case, name)[1:] for name in ("lives", "starts", "ruler_lives", "ruler_starts")}
    assert fewer == measured(dataclasses.replace(case, **alone))
    cut = dataclasses.replace(
        case.ruler_lives[0], reward=case.ruler_lives[0].reward[:-1], ended=case.ruler_lives[0].ended[:-1]
    )
    assert measured(dataclasses.replace(case, ruler_lives=(cut, *case.ruler_lives[1:]))) == fewer


def test_the_order_of_lives_says_nothing():
    case = evidence(STALLED, RISING)
    turned = {name: getattr(case, name)[::-1] for name in ("lives", "starts", "ruler_lives", "ruler_starts")}
    assert measured(dataclasses.replace(case, **turned)) == measured(case)


@pytest.mark.parametrize(
    ("kept", "claim", "reason"),
    [
        ({"lives": 0}, "method", verdicts.NOT_PLAYED),
        ({"starts": 0}, "method", verdicts.NOT_PLAYED),
        ({"ruler_lives": 3}, "checkpoint", verdicts.NO_RULER),
        ({"ruler_lives": 0}, "method", verdicts.NO_RULER),
        ({"ruler_starts": 0}, "checkpoint", verdicts.NO_RULER),
        ({"lives": 3, "starts": 3}, "method", "fewer than 4 units"),
    ],
)
def test_reasons_why_there_is_no_horizon(kept, claim, reason):
    case = evidence(RISING, RISING, claim=claim)
    case = dataclasses.replace(case, **{name: getattr(case, name)[:n] for name, n in kept.items()})
    found = measured(case)
    assert (found.reason, found.steps, found.text, found.rank) == (reason, (), "- / -", 0)


def test_short_lives_and_published_rulers_have_no_horizon():
    longer = dataclasses.replace(RULES, moves=N + 1)
    assert measured(evidence(RISING, RISING), longer).reason == "life incomplete: 12,800 of 12,801"
    young = dataclasses.replace(evidence(RISING, RISING), watched_moves=99)
    assert measured(young).reason == "teacher life incomplete: 99 of 100"
    published = dataclasses.replace(RULES, published=PublishedRuler("g", 5, 5.0, 0.4, 15.0, 1.2, 1.3, 18))
    assert measured(evidence(RISING, RISING, ruler_lives=()), published).reason == horizon.PUBLISHED_ONLY
    case = evidence(RISING, RISING)
    with pytest.raises(InputError, match="start jobs are of"):
        measured(dataclasses.replace(case, starts=case.starts[:4]))


def test_one_life_of_a_checkpoint_shows_nothing_and_refutes_nothing():
    case = evidence(RISING, RISING, claim="checkpoint")
    found = measured(dataclasses.replace(case, lives=case.lives[:1], starts=case.starts[:1]))
    assert (found.text, found.reason) == ("- / -", None)
    assert found.steps[-1].own == Interval(pytest.approx(9.52, abs=1e-4), None, None, 0.95)


def test_a_short_life_has_fewer_steps():
    rules = dataclasses.replace(RULES, moves=12, end_moves=12)
    assert [step.moves for step in measured(evidence(RISING, RISING), rules).steps] == [1, 3, 6, 12]


def test_it_is_plain_json():
    found = measured(evidence(STALLED, RISING))
    read = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert (read["demonstrated_to"], read["refuted_from"], read["share"]) == (6_400, None, 0.5)
    assert read["steps"][7]["gain"]["estimate"] == found.steps[7].gain.estimate


@pytest.mark.parametrize(
    ("shown", "refuted", "text"),
    [
        (160_000, 640_000, "160k / 640k"),
        (10_000_000, None, "10M / -"),
        (156_250, 312_500, "156k / 312k"),
        (812, 3_250, "812 / 3.25k"),
        (999_600, 1_250_000, "1M / 1.25M"),
        (None, None, "- / -"),
    ],
)
def test_text(shown, refuted, text):
    up, down = Interval(1.0, 0.5, 1.5, 0.95), Interval(-1.0, -1.5, -0.5, 0.95)
    steps = [Step(shown, shown // 2, up, up, up, up, up)] if shown else []
    steps += [Step(refuted, refuted // 2, up, up, up, down, up)] if refuted else []
    assert Horizon(0.5, tuple(steps)).text == text
