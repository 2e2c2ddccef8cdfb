"""The plan of a row: which teachers its lanes come from, what they count as, and what their seeds rest on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from understudy.submissions import entrants, plan
from understudy.suite import benchmarks
from understudy.suite.benchmarks import TeacherLife

DARKROOM = benchmarks.load("darkroom-v1")
MINATAR = benchmarks.load("minatar-v1")


def planned(name, benchmark, lives, role="continue", lanes=None, budget="quick"):
    entrant = entrants.resolve(name, benchmark.name)
    (job,) = plan.plan(entrant, benchmark, budget, role, lives, lanes)
    return job.job


def with_seeds(benchmark, numbers):
    """The benchmark's first life of each game, and the same under other numbers."""
    first = {life.game: life for life in reversed(benchmarks.teacher_lives(benchmark))}
    lives = [replace(first[game], seed=seed) for game in benchmark.games if game in first for seed in numbers]
    assert all(isinstance(life, TeacherLife) for life in lives)
    return lives


def test_more_lives_of_the_same_games_leave_lanes_and_seeds_as_they_are():
    for role in ("start", "continue", "start-new", "transfer"):
        one = planned("random", DARKROOM, with_seeds(DARKROOM, [0]), role)
        four = planned("random", DARKROOM, with_seeds(DARKROOM, range(4)), role)
        assert four.lanes == one.lanes
    eight = planned("policy-at-w", MINATAR, with_seeds(MINATAR, range(8)))
    assert planned("policy-at-w", MINATAR, with_seeds(MINATAR, range(11))).lanes == eight.lanes


@pytest.mark.parametrize(
    ("lanes", "goals", "seeds"), [(16, 16, {0}), (65, 65, {0}), (100, 65, {0, 1}), (300, 65, {0, 1, 2, 3})]
)
def test_each_goal_plays_once_before_any_plays_twice(lanes, goals, seeds):
    job = planned("random", DARKROOM, with_seeds(DARKROOM, range(4)), lanes=lanes)
    teachers = [lane.teacher for lane in job.lanes]
    assert len({lane.unit for lane in job.lanes}) == goals
    assert {int(name.rpartition("-")[2]) for name in teachers} == seeds
    counts = [teachers.count(name) for name in set(teachers)]
    assert max(counts) == (2 if lanes > 260 else 1)


def test_a_goals_lives_are_one_unit_and_a_lone_games_lives_are_many():
    assert [DARKROOM.unit(f"goal-{goal}/seed-3") for goal in ("00", "02")] == ["goal-00", "goal-02"]
    assert MINATAR.unit("breakout/seed-3") == "breakout/seed-3"
    job = planned("random", DARKROOM, with_seeds(DARKROOM, range(2)), "transfer")
    assert sorted(lane.unit for lane in job.lanes) == sorted(
        game.partition("/")[2] for game in DARKROOM.new_games
    )
    job = planned("random", MINATAR, with_seeds(MINATAR, range(8)), "transfer")
    assert [lane.unit for lane in job.lanes] == [f"breakout/seed-{seed}" for seed in range(8)]


def test_lanes_beyond_the_lives_start_again_and_have_seeds_of_their_own():
    job = planned("random", MINATAR, with_seeds(MINATAR, range(3)), lanes=7)
    assert [lane.teacher for lane in job.lanes] == [f"breakout/seed-{seed}" for seed in (0, 1, 2, 0, 1, 2, 0)]
    assert [lane.number for lane in job.lanes] == [0, 0, 0, 1, 1, 1, 2]
    assert len({lane.seed for lane in job.lanes}) == 7


def test_a_job_names_the_networks_that_its_teachers_had():
    lives = benchmarks.teacher_lives(DARKROOM)
    job = planned("policy-at-w", DARKROOM, lives)
    assert set(job.player["networks_at_w"]) == {lane.teacher for lane in job.lanes}
