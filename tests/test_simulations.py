"""The verdicts' error rates, simulated with the suite's own nesting: teacher lives, training seeds, lanes.

The real tasks judge made-up lives. `answers` says the same of thousands of replicates at once, and is held to
the tasks on samples of every kind; the decision in it is written down a second time, the intervals are the
suite's. A rate is called too high where a true rate of 2.5 % would give so many only once in 1,000 seeds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from understudy.suite import aggregates, stats, tasks
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.lives import Life
from understudy.suite.judging.rules import Minima, Rules, Thresholds

Numbers = NDArray[np.float64]

RULES = Rules(
    watched_moves=10,
    moves=10,
    end_moves=10,
    episode_cap_moves=1,  # each move is an episode, and ten are a window that is long enough
    thresholds=Thresholds(0.5, 0.1, 0.8, 1.25, 0.5, 0.95, 0.975, 0.9),
    minima=Minima(5, 4, 4, 10, 20, 20),
)
ENDED = np.ones(10, dtype=bool)
START, GAIN = 5.0, 10.0
IMPROVEMENT, TRANSFER = tasks.load("improvement"), tasks.load("transfer")
UNITS = (4, 8, 16, 32)
MEANT = 0.025  # of each side of the intervals, and of each false verdict


@dataclass(frozen=True)
class World:
    """How skill comes about; standard deviations in points, where the ruler gains 10 on average."""

    claim: str = "method"
    units: int = 8  # method: teacher lives; checkpoint: lives of the one model
    seeds: int = 1  # training seeds a unit
    lanes: int = 1  # lives a training seed
    ruler_units: int = 8  # checkpoint only; a method claim is ruled within its units
    share: float = 0.5  # of the ruler's expected gain that is own, and level
    gain_sd: float = 1.5  # of the ruler's gain between teacher lives; own follows with `share` of it
    teacher_sd: float = 1.0  # of own between teacher lives, whatever the ruler does there
    seed_sd: float = 0.5
    lane_sd: float = 0.5  # of an imitator's end; half of it of its start
    ruler_sd: float = 0.4  # of a ruler's end within a teacher life; half of it of its start


@dataclass(frozen=True)
class Draws:
    """Skills of R replicates."""

    end: Numbers  # [R, units, seeds, lanes]
    start: Numbers  # [R, units, seeds, lanes]
    ruler_end: Numbers  # [R, ruler units]
    ruler_start: Numbers  # [R, ruler units]


def draw(world: World, replicates: int, seed: int) -> Draws:
    rng = np.random.default_rng(seed)
    shape = (replicates, world.units, world.seeds, world.lanes)
    m = world.units if world.claim == "method" else world.ruler_units
    gains = GAIN + world.gain_sd * rng.standard_normal((replicates, m))
    own: Numbers = np.full(shape, world.share * GAIN)
    if world.claim == "method":
        unit_own = world.share * gains + world.teacher_sd * rng.standard_normal((replicates, m))
        own = unit_own[:, :, None, None] + world.seed_sd * rng.standard_normal((*shape[:3], 1))
    return Draws(
        START + own + world.lane_sd * rng.standard_normal(shape),
        START + world.lane_sd / 2 * rng.standard_normal(shape),
        START + gains + world.ruler_sd * rng.standard_normal((replicates, m)),
        START + world.ruler_sd / 2 * rng.standard_normal((replicates, m)),
    )


def evidence(world: World, drawn: Draws, replicate: int) -> Evidence:
    """Return lives that have the skills of one replicate."""

    def imitators(skills: Numbers) -> tuple[Life, ...]:
        names = (lambda u: f"teacher-{u}") if world.claim == "method" else (lambda u: "teacher-0")
        return tuple(
            _life(names(u), k, lane if world.claim == "method" else u, skills[u, k, lane])
            for u, k, lane in np.ndindex(skills.shape)
        )

    def rulers(skills: Numbers) -> tuple[Life, ...]:
        return tuple(_life(f"teacher-{u}", 0, 0, skill) for u, skill in enumerate(skills))

    starts = rulers(drawn.ruler_start[replicate])
    return Evidence(
        world.claim,
        lives=imitators(drawn.end[replicate]),
        starts=imitators(drawn.start[replicate]),
        ruler_lives=rulers(drawn.ruler_end[replicate]),
        ruler_starts=starts,
        random_starts=starts,
        skill_answer="yes",
    )


def _life(unit: str, checkpoint: int, lane: int, skill: float) -> Life:
    return Life(unit, checkpoint, lane, np.full(10, skill, dtype=np.float32), ENDED)


WEIGHTS = {"own": (1.0, -1.0, -1.0, 1.0), "level": (1.0, 0.0, -1.0, 1.0), "gain": (0.0, 0.0, 1.0, -1.0)}


def contrast(
    claim: str, drawn: Draws, kind: str, share: float, confidence: float, apart: bool = False
) -> tuple[Numbers, Numbers]:
    """Return estimates and half-widths [R] of own or level minus a share of G, or of G itself.

    `apart`: in a checkpoint claim, the ruler's start is the random player's, whose lives are others.
    """
    of_ruler = 1.0 if kind == "gain" else share
    skills = [drawn.end.mean(axis=(2, 3)), drawn.start.mean(axis=(2, 3)), drawn.ruler_end, drawn.ruler_start]
    weights = [weight * (of_ruler if i > 1 else 1.0) for i, weight in enumerate(WEIGHTS[kind])]
    weights[3] -= kind == "level"
    end, start, ruler_end, ruler_start = (w * skill for w, skill in zip(weights, skills, strict=True))
    samples = [end + start, ruler_end, ruler_start] if apart else [end + start, ruler_end + ruler_start]
    if claim == "method":
        samples = [sum(samples)]
    samples = [sample for sample in samples if sample.any()]
    variances = np.stack([sample.var(axis=1, ddof=1) for sample in samples], axis=-1)
    half = stats.half_width(variances, [sample.shape[1] for sample in samples], confidence)
    return sum(sample.mean(axis=1) for sample in samples), half


def answers(claim: str, drawn: Draws, apart: bool = False) -> NDArray[np.str_]:
    """Return each replicate's answer, worked out again from the protocol's words."""

    def side(share: float, confidence: float = 0.95) -> list[Numbers]:
        """1 where own, and where level, is above a share of G, -1 where below, 0 between."""
        found = [contrast(claim, drawn, kind, share, confidence, apart) for kind in ("own", "level")]
        return [np.sign(estimate) * (np.abs(estimate) > half) for estimate, half in found]

    own_yes, level_yes = side(0.5)
    own_no, level_no = side(0.1)
    own_short, level_short = side(0.1, 0.975)
    gain, gain_half = contrast(claim, drawn, "gain", 1.0, 0.95, apart)
    reached = (drawn.ruler_start + drawn.ruler_end).mean(axis=1) / 2
    found = np.full(len(gain), "undecided", dtype="<U16")
    found[(own_no > 0) & (level_no > 0) & ((own_yes < 0) | (level_yes < 0))] = "partial"
    found[(own_short < 0) | (level_short < 0)] = "no"
    found[(own_yes > 0) & (level_yes > 0)] = "yes (unverified)"
    found[drawn.start.mean(axis=(1, 2, 3)) > reached] = "undecided"
    found[gain <= gain_half] = "no ruler"
    return found


def real_answers(world: World, drawn: Draws, task=IMPROVEMENT) -> list[str]:
    found = [task.verdict(evidence(world, drawn, r), RULES) for r in range(len(drawn.end))]
    return [verdict.reason if verdict.reason == "no ruler" else str(verdict.answer) for verdict in found]


def bound(replicates: int, rate: float = MEANT) -> float:
    """Return the share of replicates that a true rate exceeds once in 1,000 seeds: the binomial's 99.9 %."""
    return float(scipy_stats.binom.ppf(0.999, replicates, rate)) / replicates


def false_rate(world: World, answer: str, replicates: int, seed: int) -> float:
    return float(np.mean(answers(world.claim, draw(world, replicates, seed)) == answer))


METHODS = {
    "as is": World(),
    "teachers differ": World(teacher_sd=2.5),
    "gains differ, and own with them": World(gain_sd=3.0, teacher_sd=0.3),
    "lanes differ": World(seeds=2, lanes=2, lane_sd=2.0, teacher_sd=0.3),
    "seeds differ": World(seeds=3, seed_sd=2.0, teacher_sd=0.3),
    "rulers are exact": World(gain_sd=0.1, ruler_sd=0.0),
}
CHECKPOINTS = {
    "as is": World("checkpoint"),
    "lives differ": World("checkpoint", lane_sd=2.0),
    "gains differ": World("checkpoint", gain_sd=3.0),
    "four ruler lives": World("checkpoint", ruler_units=4),
}


# The fast answers are the tasks'


@pytest.mark.parametrize("task", [IMPROVEMENT, TRANSFER], ids=["improvement", "transfer"])
@pytest.mark.parametrize(
    "world",
    [
        World(units=4, seeds=2, lanes=2),
        World(units=8, gain_sd=4.0, teacher_sd=0.3),
        World("checkpoint", units=4, ruler_units=5),
        World("checkpoint", units=8, ruler_units=4, gain_sd=4.0, ruler_sd=3.0),
    ],
    ids=["method, nested", "method, flat", "checkpoint", "checkpoint, poor ruler"],
)
def test_the_fast_answers_are_those_of_the_tasks(task, world):
    seen = set()
    for index, share in enumerate((-0.1, 0.1, 0.3, 0.5, 0.8, 1.5)):
        drawn = draw(replace(world, share=share), 8, seed=index)
        apart = task is TRANSFER and world.claim == "checkpoint"
        found = answers(world.claim, drawn, apart).tolist()
        assert found == real_answers(world, drawn, task)
        seen |= set(found)
    assert seen >= {"yes (unverified)", "no", "partial", "undecided"}
    assert ("no ruler" in seen) == (world.ruler_sd == 3.0)


def test_the_tasks_own_false_yes_and_no():
    world = World(units=4, teacher_sd=2.5)
    for share, answer in ((0.5, "yes (unverified)"), (0.1, "no")):
        found = real_answers(world, draw(replace(world, share=share), 60, seed=11))
        assert found.count(answer) / 60 <= bound(60)


# Coverage and false verdicts


def check_coverage(world: World, replicates: int) -> None:
    """Check 93-97 %, but for what a true rate there would exceed once in 1,000 seeds."""
    drawn = draw(world, replicates, seed=world.units)
    low = float(scipy_stats.binom.ppf(0.001, replicates, 0.03)) / replicates
    for kind in ("own", "level"):
        estimate, half = contrast(world.claim, drawn, kind, 0.5, 0.95)
        covered = float(np.mean(np.abs(estimate) <= half))
        assert 1 - bound(replicates, 0.07) <= covered <= 1 - low, (kind, covered)


def check_false_verdicts(world: World, replicates: int, rate: float) -> None:
    at_yes = false_rate(replace(world, share=0.5), "yes (unverified)", replicates, seed=world.units)
    at_no = false_rate(replace(world, share=0.1), "no", replicates, seed=world.units + 100)
    assert at_yes <= bound(replicates, rate)
    assert at_no <= bound(replicates, rate)


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("case", METHODS)
def test_method_claims_cover_and_err_as_promised(case, units):
    world = replace(METHODS[case], units=units)
    check_coverage(world, 3_000)
    check_false_verdicts(world, 3_000, MEANT)


# Welch's degrees of freedom are themselves estimated: up to 0.4 percentage points are lost on few units.
WELCH = 0.029


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("case", CHECKPOINTS)
def test_checkpoint_claims_cover_as_promised_and_err_nearly_so(case, units):
    world = replace(CHECKPOINTS[case], units=units)
    check_coverage(world, 3_000)
    check_false_verdicts(world, 3_000, WELCH)


@pytest.mark.long
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("case", [*METHODS, *CHECKPOINTS])
def test_a_hundred_thousand_replicates_say_the_same(case, units):
    for cases, rate in ((METHODS, MEANT), (CHECKPOINTS, WELCH)):
        if case in cases:
            world = replace(cases[case], units=units)
            check_coverage(world, 100_000)
            check_false_verdicts(world, 100_000, rate)


@pytest.mark.long
def test_twenty_thousand_real_verdicts_say_the_same():
    world = World(units=4, teacher_sd=2.5)
    found = real_answers(world, draw(world, 20_000, seed=13))
    assert 0.018 < found.count("yes (unverified)") / 20_000 <= bound(20_000)


# What is a unit


def one_teacher_as(units: int, drawn: Draws) -> Draws:
    """Return one teacher's training seeds under the names of so many teachers: the mistake."""
    skills = [value[:, 0, :, None, :] for value in (drawn.end, drawn.start)]  # [R, units, 1, lanes]
    return Draws(*skills, drawn.ruler_end[:, :units], drawn.ruler_start[:, :units])


def test_training_seeds_of_one_teacher_taken_for_teachers_make_false_yes_by_the_dozen():
    replicates = 3_000
    eight_teachers = World(units=8, seeds=8, teacher_sd=2.5, gain_sd=1.0, seed_sd=0.7)
    drawn = draw(eight_teachers, replicates, seed=1)
    right = float(np.mean(answers("method", drawn) == "yes (unverified)"))
    mistaken = one_teacher_as(8, drawn)
    wrong = float(np.mean(answers("method", mistaken) == "yes (unverified)"))
    assert bound(replicates, 0.1) < wrong < 0.45
    assert right <= bound(replicates)
    few = Draws(*(value[:20] for value in vars(mistaken).values()))
    assert real_answers(World(units=8), few) == answers("method", few).tolist()


def test_the_suite_refuses_training_seeds_as_units():
    world = World(units=4, seeds=8)
    played = evidence(world, draw(world, 1, seed=1), 0)
    alone = replace(
        played,
        lives=tuple(life for life in played.lives if life.unit == "teacher-0"),
        starts=tuple(life for life in played.starts if life.unit == "teacher-0"),
    )
    assert IMPROVEMENT.verdict(alone, RULES).reason == "fewer than 4 units"


# Power


@pytest.mark.parametrize(("spread", "units"), [(0.5, 5), (1.0, 13), (1.5, 26), (2.0, 44)])
def test_so_many_units_have_ninety_percent_power(spread, units):
    # the margin, own - 0.5 G, is 1 point; its whole spread lies between teachers, so that own is level
    world = World(
        units=units, share=0.6, teacher_sd=spread, gain_sd=0.0, seed_sd=0.0, lane_sd=0.0, ruler_sd=0.0
    )
    assert false_rate(world, "yes (unverified)", 5_000, seed=units) == pytest.approx(0.905, abs=0.02)
    fewer = replace(world, units=units - 1)
    assert false_rate(fewer, "yes (unverified)", 5_000, seed=units) < 0.91


@pytest.mark.parametrize(("gain", "sd"), [(83.5, 11.3), (79.4, 10.7), (104.3, 13.1), (81.2, 11.1)])
def test_four_lives_tell_the_dqns_own_gain_on_breakout_and_two_do_not(gain, sd):
    # published gains over 10M moves, mean and SD over runs; imitator and ruler are both such runs
    rng = np.random.default_rng(1)
    power = {}
    for n in (2, 4):
        own, ruler = rng.normal(gain, sd, (2, 10_000, n))
        margin = own - 0.5 * ruler
        half = stats.half_width(margin.var(axis=1, ddof=1)[:, None], [n])
        power[n] = float(np.mean(margin.mean(axis=1) > half))
    assert power[4] >= 0.9
    assert power[2] < 0.35


# Percentile bootstraps


@pytest.mark.parametrize(("units", "expected"), [(4, 0.10), (8, 0.06)])
def test_percentile_bootstraps_err_too_often(units, expected):
    # every game is a replicate: one call makes 1,000 of them
    rng = np.random.default_rng(units)
    wrong = []
    for _ in range(3):
        band = aggregates.stratified_bootstrap(
            lambda drawn: drawn.mean(axis=-2), rng.standard_normal((units, 1_000)), rng=rng, resamples=1_000
        )
        wrong += [*(band.low > 0), *(band.high < 0)]
    assert np.mean(wrong) == pytest.approx(expected, abs=0.012)
