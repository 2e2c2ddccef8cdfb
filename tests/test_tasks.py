"""Every verdict and every reason, from lives built so that skills are known by hand."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats as scipy_stats

from understudy.suite import tasks, verdicts
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.judging import contrasts, lives
from understudy.suite.judging.evidence import Evidence, Likeness
from understudy.suite.judging.lives import Life
from understudy.suite.judging.rules import Minima, PublishedRuler, Rules, Thresholds
from understudy.suite.testing.tasks import check_task

THRESHOLDS = Thresholds(
    yes_share=0.5,
    no_share=0.1,
    skill_low=0.8,
    skill_high=1.25,
    likeness_share=0.5,
    confidence=0.95,
    no_confidence=0.975,
    power=0.9,
)
MINIMA = Minima(ends=5, ruler_lives=4, method_units=4, window_caps=10, window_ends=20, likeness_pieces=20)
RULES = Rules(
    watched_moves=100, moves=200, end_moves=50, episode_cap_moves=5, thresholds=THRESHOLDS, minima=MINIMA
)
EPISODE_MOVES = 5
SPREAD = np.array([-0.4, 0.2, 0.6, -0.2, -0.2])  # of five units around a mean; sums to 0

IMPROVEMENT, TRANSFER, SKILL = (tasks.load(name) for name in ("improvement", "transfer", "skill"))


def life(unit: str, value: float, lane: int = 0, moves: int = 200, checkpoint: int = 0) -> Life:
    """A life whose every episode of five moves scores `value`: its skill is `value` in every window."""
    ended = np.arange(1, moves + 1) % EPISODE_MOVES == 0
    return Life(unit, checkpoint, lane, np.where(ended, value, 0.0).astype(np.float32), ended)


def one_a_unit(values, prefix: str = "life") -> tuple[Life, ...]:
    return tuple(life(f"{prefix}-{i}", value) for i, value in enumerate(values))


def one_a_lane(values, unit: str = "life-0") -> tuple[Life, ...]:
    return tuple(life(unit, value, lane) for lane, value in enumerate(values))


def evidence(start, end, ruler_start=5.0, gain=10.0, claim="method", **others) -> Evidence:
    """Five units: imitator from `start` to `end` on average, ruler from `ruler_start` up by `gain`.

    In a method claim each unit is a teacher life; in a checkpoint claim five lanes of one.
    """
    make = one_a_unit if claim == "method" else one_a_lane
    ruler_starts = one_a_unit(ruler_start + 0.1 * SPREAD)
    return Evidence(
        claim,
        lives=make(end + SPREAD),
        starts=make(start - 0.2 * SPREAD),
        **{
            "ruler_lives": one_a_unit(ruler_start + gain + SPREAD[::-1]),
            "ruler_starts": ruler_starts,
            "random_starts": ruler_starts,
            "skill_answer": "yes",
            "watched_moves": 100,
            **others,
        },
    )


VERIFIED = {
    "yoked": one_a_unit(np.full(5, 5.0)),
    "control_owns": {"redrawn": (0.0, 0.1, 0.2), "shuffled": (0.0, 0.0, 0.0)},
    "isolation_holds": True,
}


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


# Numbers of a gain


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


# Verdicts on a gain

GAIN_TASKS = [IMPROVEMENT, TRANSFER]


@pytest.mark.parametrize("task", GAIN_TASKS)
@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (5.0, 15.0, "yes"),  # own 10 and level 10 of a gain of 10
        (5.0, 5.0, "no"),  # gains nothing
        (5.0, 2.0, "no"),  # gets worse
        (0.0, 4.0, "no"),  # own 4, but level -1: begins below the ruler and stays there
        (5.0, 8.5, "partial"),  # own and level 3.5: above 1, below 5
        (5.0, 10.2, "undecided"),  # 5.2 is not clearly apart from 5
        (9.8, 15.0, "undecided"),  # level 10, but own 5.2 is not clearly above 5
    ],
)
def test_verdicts(task, start, end, expected):
    found = task.verdict(evidence(start, end, **VERIFIED), RULES)
    assert found.answer == expected
    assert found.reason is None
    assert (found.needed_lives is not None) == (expected == "undecided")


@pytest.mark.parametrize("claim", ["method", "checkpoint"])
def test_more_lives_settle_what_was_undecided(claim):
    case = evidence(5.0, 10.3, claim=claim)  # own and level 5.3 of 10, spread about 0.5
    few = {name: getattr(case, name)[:4] for name in ("lives", "starts", "ruler_lives", "ruler_starts")}
    found = IMPROVEMENT.verdict(dataclasses.replace(case, **few), RULES)
    assert found.answer == "undecided"
    assert 4 < found.needed_lives < 200
    assert found.label == f"undecided: {found.needed_lives} lives would settle it"


@pytest.mark.parametrize("task", GAIN_TASKS)
def test_no_room_for_a_player_that_begins_near_the_rulers_end(task):
    found = task.verdict(evidence(10.5, 10.5), RULES)
    assert (found.answer, found.reason) == ("undecided", verdicts.NO_ROOM)
    assert task.verdict(evidence(9.5, 9.5), RULES).answer == "no"


@pytest.mark.parametrize("task", GAIN_TASKS)
def test_no_ruler(task):
    flat = task.verdict(evidence(5.0, 15.0, gain=0.3), RULES)
    assert (flat.answer, flat.reason) == ("undecided", verdicts.NO_RULER)
    assert flat.numbers["f"] is None
    assert flat.numbers["gain"].estimate == pytest.approx(0.3)
    case = evidence(5.0, 15.0, claim="checkpoint")
    few = task.verdict(dataclasses.replace(case, ruler_lives=case.ruler_lives[:3]), RULES)
    assert (few.answer, few.reason, few.m) == ("undecided", verdicts.NO_RULER, 3)
    none = task.verdict(dataclasses.replace(case, ruler_lives=()), RULES)
    assert (none.answer, none.reason, none.m) == ("undecided", verdicts.NO_RULER, 0)
    assert none.numbers["own"].estimate == pytest.approx(10.0)


def test_short_ruler_lives_are_left_out_and_said_so():
    case = evidence(5.0, 15.0)
    cut = life("life-4", 15.0, moves=199)
    found = IMPROVEMENT.verdict(dataclasses.replace(case, ruler_lives=(*case.ruler_lives[:4], cut)), RULES)
    assert (found.n, found.m) == (4, 4)
    assert "ruler lives left out: 1" in found.marks


def test_a_method_claim_needs_four_teacher_lives():
    case = evidence(5.0, 15.0)
    found = IMPROVEMENT.verdict(
        dataclasses.replace(case, lives=case.lives[:3], starts=case.starts[:3]), RULES
    )
    assert (found.answer, found.reason) == (None, "fewer than 4 units")
    many_lanes = {name: one_a_lane(15 + SPREAD) for name in ("lives", "starts")}
    assert IMPROVEMENT.verdict(dataclasses.replace(case, **many_lanes), RULES).reason == "fewer than 4 units"


@pytest.mark.parametrize("task", GAIN_TASKS)
def test_incomplete_lives_give_no_verdict(task):
    case = evidence(5.0, 15.0)
    teacher = task.verdict(dataclasses.replace(case, watched_moves=99), RULES)
    assert (teacher.answer, teacher.reason) == (None, "teacher life incomplete: 99 of 100")
    short = dataclasses.replace(case, lives=(*case.lives[:4], life("life-4", 1.0, moves=120)))
    assert task.verdict(short, RULES).reason == "life incomplete: 120 of 200"
    assert task.verdict(dataclasses.replace(case, starts=()), RULES).reason == verdicts.NOT_PLAYED


def test_too_short_a_window_gives_no_verdict():
    rules = dataclasses.replace(RULES, episode_cap_moves=6)  # 50 moves are 8 caps, and hold 10 ends
    assert IMPROVEMENT.verdict(evidence(5.0, 15.0), rules).reason == verdicts.FEW_ENDS
    rules = dataclasses.replace(rules, end_moves=100)  # 20 ends
    assert IMPROVEMENT.verdict(evidence(5.0, 15.0), rules).answer == verdicts.YES_UNVERIFIED


def test_a_checkpoint_claim_is_about_one_set_of_weights():
    mixed = tuple(life("life-0", value, lane, checkpoint=lane % 2) for lane, value in enumerate(SPREAD))
    with pytest.raises(InputError, match="expected one checkpoint, found 2"):
        Evidence("checkpoint", lives=mixed)
    assert Evidence("method", lives=mixed).lives == mixed


def test_few_ends_are_marked():
    case = evidence(5.0, 15.0)
    stuck = dataclasses.replace(case.lives[0], ended=np.zeros(200, bool))
    found = IMPROVEMENT.verdict(dataclasses.replace(case, lives=(stuck, *case.lives[1:])), RULES)
    assert verdicts.FEW_ENDS in found.marks
    assert verdicts.FEW_ENDS not in IMPROVEMENT.verdict(case, RULES).marks


@pytest.mark.parametrize(
    ("skill", "bracketed"), [("yes", False), ("above", False), ("no", True), (None, True)]
)
def test_improvement_stands_in_brackets_unless_the_player_has_the_teachers_skill(skill, bracketed):
    found = IMPROVEMENT.verdict(evidence(5.0, 5.0, skill_answer=skill), RULES)
    assert found.bracketed == bracketed
    assert found.label == ("(no)" if bracketed else "no")
    assert not TRANSFER.verdict(evidence(5.0, 5.0, skill_answer=skill), RULES).bracketed


def test_start_jobs_of_other_teacher_lives_are_refused():
    case = evidence(5.0, 15.0)
    with pytest.raises(InputError, match="start jobs are of"):
        IMPROVEMENT.verdict(dataclasses.replace(case, starts=case.starts[:4]), RULES)


# What a yes needs besides


def test_a_yes_is_unverified_until_everything_is_measured():
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0), RULES)
    assert (found.answer, found.decided) == ("yes (unverified)", True)
    assert found.reason == "not measured: isolation, reward, learned rule"
    two_draws = {**VERIFIED, "control_owns": {"redrawn": (0.0, 0.0), "shuffled": (0.0, 0.0, 0.0)}}
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, **two_draws), RULES)
    assert (found.answer, found.reason) == ("yes (unverified)", "not measured: learned rule")


def test_a_gain_that_needs_no_reward_is_no_yes():
    late_skill = {**VERIFIED, "yoked": one_a_unit(np.full(5, 12.0))}
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, **late_skill), RULES)
    assert (found.answer, found.reason) == ("undecided", verdicts.REWARD_FREE)
    # the raised start is max(5, 12) a unit: own 3 - half the gain of 10
    assert found.numbers["own - 0.5 G, yoked"].estimate == pytest.approx(-2.0)


@pytest.mark.parametrize(
    ("flipped", "answer", "reason", "marks"),
    [
        ((), "yes (unverified)", "not measured: flipped reward", ()),
        (one_a_unit(np.full(5, 6.0)), "yes", None, ("survival",)),
        (one_a_unit(np.full(5, 12.0)), "undecided", verdicts.REWARD_FREE, ()),
    ],
)
def test_living_on_may_be_learned_from_anothers_rewards_where_episodes_end_by_failure(
    flipped, answer, reason, marks
):
    yoked = {**VERIFIED, "yoked": one_a_unit(np.full(5, 12.0)), "flipped": flipped}
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, **yoked, ends_by_failure=True), RULES)
    assert (found.answer, found.reason, found.marks) == (answer, reason, marks)
    assert found.numbers["own - 0.5 G, yoked"].estimate == pytest.approx(15.0 - 12.0 - 5.0)
    if flipped:
        expected = 15.0 - flipped[0].reward.max() - 5.0
        assert found.numbers["own - 0.5 G, flipped"].estimate == pytest.approx(expected)
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, **yoked), RULES)  # nothing to survive: a yes falls
    assert (found.answer, found.reason) == ("undecided", verdicts.REWARD_FREE)


@pytest.mark.parametrize(
    ("blanked", "answer", "reason"),
    [
        ((), "yes (unverified)", "not measured: blanked score"),
        (one_a_unit(np.full(5, 14.0)), "yes", None),
        (one_a_unit(np.full(5, 9.0)), "undecided", verdicts.SCORE_READ),
    ],
)
def test_a_gain_must_survive_a_blanked_score_where_other_rewards_come_with_one(blanked, answer, reason):
    """Yoked lives are told another's reward and see no score: either might end a gain."""
    shown = {**VERIFIED, "shows_score": True, "blanked": blanked}
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, **shown), RULES)
    assert (found.answer, found.reason) == (answer, reason)
    if blanked:
        expected = blanked[0].reward.max() - 5.0 - 5.0
        assert found.numbers["own - 0.5 G, blanked"].estimate == pytest.approx(expected)


def test_survival_is_shown_beside_the_answer():
    marked = {**VERIFIED, "yoked": one_a_unit(np.full(5, 12.0)), "flipped": one_a_unit(np.full(5, 6.0))}
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, **marked, ends_by_failure=True), RULES)
    assert found.label == "yes: survival"


@pytest.mark.parametrize("probe", ["yoked", "flipped"])
def test_probed_lives_of_other_units_are_refused(probe):
    lives = {"yoked": one_a_unit(np.full(5, 12.0)), probe: one_a_unit([1.0, 2.0])}
    with pytest.raises(InputError, match="must be the scored lives"):
        IMPROVEMENT.verdict(evidence(5.0, 15.0, **lives, ends_by_failure=True), RULES)


@pytest.mark.parametrize("control", ["redrawn", "shuffled"])
def test_a_rule_that_survives_redrawing_is_built_in(control):
    owns = {**VERIFIED["control_owns"], control: (6.0, 5.0, 5.0)}  # mean 5.33 of an own of 10
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, **{**VERIFIED, "control_owns": owns}), RULES)
    assert found.answer == "yes"
    assert found.marks == (verdicts.BUILT_IN,)
    assert found.label == "yes: built-in"


def test_a_player_that_is_not_isolated_gets_no_yes():
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0, **{**VERIFIED, "isolation_holds": False}), RULES)
    assert (found.answer, found.reason) == ("undecided", verdicts.NOT_ISOLATED)


def test_a_no_needs_none_of_it():
    assert IMPROVEMENT.verdict(evidence(5.0, 5.0, isolation_holds=False), RULES).answer == "no"


# The published ruler

PUBLISHED = dataclasses.replace(
    RULES,
    published=PublishedRuler(
        "g", lives=5, start_mean=5.0, start_sd=0.4, end_mean=15.0, end_sd=1.2, gain_sd=1.3
    ),
)


def test_published_figures_rule_provisionally_where_own_lives_are_few():
    case = dataclasses.replace(evidence(5.0, 15.0), ruler_lives=())
    found = IMPROVEMENT.verdict(case, PUBLISHED)
    assert verdicts.PROVISIONAL in found.marks
    assert (found.answer, found.m) == ("yes (unverified)", 5)
    gain = found.numbers["gain"]
    half = scipy_stats.t.ppf(0.975, 4) * 1.3 / np.sqrt(5)
    assert (gain.low, gain.high) == pytest.approx((10 - half, 10 + half))
    assert verdicts.PROVISIONAL not in IMPROVEMENT.verdict(evidence(5.0, 15.0), PUBLISHED).marks


def test_published_moments_are_those_of_lives_that_have_them():
    start, end = 5 + np.array([0.1, -0.4, 0.3, 0.0]), 15 + np.array([1.0, -1.0, 2.0, 0.5])
    figures = PublishedRuler(
        "g", 4, start.mean(), start.std(ddof=1), end.mean(), end.std(ddof=1), (end - start).std(ddof=1)
    )
    case = dataclasses.replace(
        evidence(5.0, 12.0, claim="checkpoint"), ruler_lives=one_a_unit(end), ruler_starts=one_a_unit(start)
    )
    own = IMPROVEMENT.verdict(case, RULES)
    published = IMPROVEMENT.verdict(
        dataclasses.replace(case, ruler_lives=()), dataclasses.replace(RULES, published=figures)
    )
    for name, interval in own.numbers.items():
        expected = [interval.estimate, interval.low, interval.high]
        found = published.numbers[name]
        assert [found.estimate, found.low, found.high] == pytest.approx(expected, abs=1e-4), name


# Q1


def likeness(agreement: float, ceiling: float = 0.9, unit: str = "life-0", n: int = 400) -> Likeness:
    """Half of the moves are action 0, so that the best constant player agrees in half of them."""
    rng = np.random.default_rng(int(1000 * agreement))
    chosen = rng.permutation(np.arange(n) % 2)
    predicted = np.where(rng.permutation(n) < round(agreement * n), chosen, 1 - chosen)
    ceilings = (rng.permutation(n) < round(ceiling * n)).astype(float)
    return Likeness(unit, 0, chosen, np.zeros(n, bool), predicted, np.full(n, 0.4), ceilings, np.zeros(n))


def first_moves(imitator: float, teacher: float = 10.0, agreement: float = 0.85, **others) -> Evidence:
    return Evidence(
        "checkpoint",
        starts=one_a_lane(imitator + 0.5 * SPREAD),
        **{
            "ruler_starts": one_a_lane(teacher + 0.5 * SPREAD[::-1]),
            "random_starts": one_a_lane([0.9, 1.0, 1.1], unit="random"),
            "likeness": (likeness(agreement),),
            "watched_moves": 100,
            **others,
        },
    )


@pytest.mark.parametrize(
    ("imitator", "expected"),
    [(10.0, "yes"), (15.0, "above"), (5.0, "no"), (8.4, "undecided"), (12.0, "undecided")],
)
def test_skill_verdicts(imitator, expected):
    found = SKILL.verdict(first_moves(imitator), RULES)
    assert found.part("skill").answer == expected
    assert found.part("likeness").answer == "yes"
    assert found.answer == expected
    assert (found.needed_lives is not None) == (expected == "undecided")


@pytest.mark.parametrize(("agreement", "expected"), [(0.85, "yes"), (0.55, "no"), (0.70, "undecided")])
def test_likeness_verdicts(agreement, expected):
    found = SKILL.verdict(first_moves(10.0, agreement=agreement), RULES)
    assert found.part("likeness").answer == expected
    assert found.answer == expected
    share = found.numbers["likeness"]
    assert share.estimate == pytest.approx((agreement - 0.5) / 0.4)
    assert found.numbers["loss_nats"].estimate == pytest.approx(0.4)
    assert found.numbers["floor_nats"].estimate == 0.0


def test_skill_contrast_is_of_three_samples():
    found = SKILL.verdict(first_moves(8.4), RULES).part("skill")
    contrast = found.numbers["imitator - random - 0.8 (teacher - random)"]
    random = np.array([0.9, 1.0, 1.1])
    errors = [
        np.var(0.5 * SPREAD, ddof=1) / 5,
        0.64 * np.var(0.5 * SPREAD, ddof=1) / 5,
        0.04 * random.var(ddof=1) / 3,
    ]
    free = sum(errors) ** 2 / (errors[0] ** 2 / 4 + errors[1] ** 2 / 4 + errors[2] ** 2 / 2)
    half = scipy_stats.t.ppf(0.975, free) * np.sqrt(sum(errors))
    assert (contrast.low, contrast.high) == pytest.approx((0.2 - half, 0.2 + half), abs=1e-5)


def test_explored_moves_are_no_part_of_likeness():
    one = likeness(0.85)
    explored = np.arange(400) < 100
    noisy = dataclasses.replace(one, explored=explored, predicted=np.where(explored, -1, one.predicted))
    found = SKILL.verdict(first_moves(10.0, likeness=(noisy,)), RULES)
    kept = (one.predicted == one.chosen)[100:].mean()
    assert found.numbers["agreement"].estimate == pytest.approx(kept)


def test_a_method_claim_pairs_skill_by_teacher_life():
    starts = one_a_unit(10 + SPREAD)
    case = Evidence(
        "method",
        starts=starts,
        ruler_starts=one_a_unit(10 + SPREAD),
        random_starts=one_a_lane([0.9, 1.0, 1.1], unit="random"),
        likeness=tuple(likeness(0.8 + 0.01 * i, unit=f"life-{i}") for i in range(5)),
    )
    found = SKILL.verdict(case, RULES)
    assert (found.answer, found.n, found.part("likeness").n) == ("yes", 5, 5)
    few = dataclasses.replace(case, starts=starts[:3], likeness=case.likeness[:3])
    assert SKILL.verdict(few, RULES).reason == "fewer than 4 units, fewer than 4 units"


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ({"watched_moves": 3}, "teacher life incomplete: 3 of 100"),
        ({"ruler_starts": one_a_lane(1.0 + SPREAD)}, "no ruler"),
        ({"ruler_starts": ()}, "no ruler"),
        ({"random_starts": ()}, "no ruler"),
        ({"likeness": ()}, "likeness not measured"),
        ({"likeness": (likeness(0.85, ceiling=0.5),)}, "ceiling not above the best constant player"),
        ({"likeness": (likeness(0.85, n=19),)}, "likeness not measured"),
    ],
)
def test_reasons_why_q1_has_no_verdict(others, reason):
    found = SKILL.verdict(first_moves(10.0, **others), RULES)
    assert (found.answer, found.reason) == (None, reason)


def test_a_teachers_start_job_that_is_too_short_gives_no_verdict():
    short = tuple(life("life-0", 10.0 + lane, lane, moves=15) for lane in range(5))
    found = SKILL.verdict(
        first_moves(10.0, ruler_starts=short), dataclasses.replace(RULES, episode_cap_moves=8)
    )
    assert found.reason == verdicts.FEW_ENDS


def test_no_likeness_is_no_whatever_else_is_unknown():
    assert SKILL.verdict(first_moves(10.0, agreement=0.5, ruler_starts=()), RULES).answer == "no"


def test_nothing_played_is_said():
    assert SKILL.verdict(Evidence("method"), RULES).reason == verdicts.NOT_PLAYED


# All tasks


@pytest.mark.parametrize("name", tasks.names())
def test_conformance(name):
    check_task(tasks.load(name))


def test_the_kit_notices_a_task_that_depends_on_order():
    class FirstLife:
        name, question, kinds = "improvement", "Which came first?", ("start",)

        def verdict(self, evidence, rules):
            unit = evidence.lives[0].unit + str(evidence.lives[0].lane) if evidence.lives else "none"
            return verdicts.Verdict(self.name, evidence.claim, None, unit)

    with pytest.raises(CheckFailed, match="any order of lives"):
        check_task(FirstLife())


def test_the_kit_notices_a_task_that_changes_its_lives():
    class Greedy:
        name, question, kinds = "improvement", "Is it mine?", ("start",)

        def verdict(self, evidence, rules):
            for one in evidence.lives:
                one.reward[0] += 1.0
            return verdicts.Verdict(self.name, evidence.claim, "no")

    with pytest.raises(CheckFailed, match="unchanged"):
        check_task(Greedy())


def test_a_verdict_survives_json_and_holds_no_nan():
    found = IMPROVEMENT.verdict(evidence(5.0, 15.0), RULES)
    read = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert read["answer"] == "yes (unverified)"
    assert read["numbers"]["own"]["estimate"] == found.numbers["own"].estimate
    with pytest.raises(ValueError, match="not finite"):
        dataclasses.replace(
            found, numbers={"own": dataclasses.replace(found.numbers["own"], low=float("nan"))}
        )


def test_unknown_answers_tasks_and_claims_are_refused():
    with pytest.raises(ValueError, match="expected an answer"):
        verdicts.Verdict("skill", "method", "maybe")
    with pytest.raises(ValueError, match="needs a reason"):
        verdicts.Verdict("skill", "method", None)
    with pytest.raises(InputError, match="did you mean 'improvement'"):
        tasks.load("improvment")
    with pytest.raises(InputError, match="expected a claim"):
        Evidence("anecdote")
    with pytest.raises(InputError, match="two lives of one unit"):
        Evidence("method", lives=(life("a", 1.0), life("a", 2.0)))
