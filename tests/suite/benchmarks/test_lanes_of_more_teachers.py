"""The plan of a row: the teachers of its lanes, their units and their seeds."""

from __future__ import annotations

import hashlib

import pytest

from understudy.submissions import resolution
from understudy.suite import benchmarks
from understudy.suite.benchmarks import pins
from understudy.suite.benchmarks.pins import Pin, Pins
from understudy.suite.harness import jobs

DARKROOM = benchmarks.load("darkroom-v1")
MINATAR = benchmarks.load("minatar-v1")


def sha256(name):
    return hashlib.sha256(name.encode()).hexdigest()


@pytest.fixture
def planned(monkeypatch):
    """Return a function that plans a control's job where each game has pinned runs of some numbers."""

    def plan(name, benchmark, seeds, role="continue", lanes=None, budget="quick"):
        names = [f"{game.partition('/')[2]}/seed-{seed}" for game in benchmark.games for seed in seeds]
        pinned = [Pin(run, 10**7, sha256(run), sha256(run), None) for run in names]
        monkeypatch.setattr(pins, "of", lambda of: Pins(of.path.with_name("x.data.json"), tuple(pinned)))
        entry = resolution.resolve(name, benchmark, [])
        (found,) = jobs.plan(entry, benchmark, budget, role, lanes)
        return found.job

    return plan


def test_more_runs_of_the_same_games_leave_lanes_and_seeds_as_they_are(planned):
    for role in ("start", "continue", "start-new", "transfer"):
        one = planned("random", DARKROOM, [0], role)
        four = planned("random", DARKROOM, range(4), role)
        assert four.lanes == one.lanes
    eight = planned("frozen-teacher", MINATAR, range(8))
    assert planned("frozen-teacher", MINATAR, range(11)).lanes == eight.lanes


@pytest.mark.parametrize(
    ("lanes", "goals", "seeds"), [(16, 16, {0}), (65, 65, {0}), (100, 65, {0, 1}), (300, 65, {0, 1, 2, 3})]
)
def test_each_goal_plays_once_before_any_plays_twice(planned, lanes, goals, seeds):
    job = planned("random", DARKROOM, range(4), lanes=lanes)
    teachers = [lane.teacher for lane in job.lanes]
    assert len({lane.unit for lane in job.lanes}) == goals
    assert {int(name.rpartition("-")[2]) for name in teachers} == seeds
    counts = [teachers.count(name) for name in set(teachers)]
    assert max(counts) == (2 if lanes > 260 else 1)


def test_the_runs_of_a_goal_are_one_unit_and_those_of_a_single_game_are_many(planned):
    assert [DARKROOM.unit(f"goal-{goal}/seed-3") for goal in ("00", "02")] == ["goal-00", "goal-02"]
    assert MINATAR.unit("breakout/seed-3") == "breakout/seed-3"
    job = planned("random", DARKROOM, range(2), "transfer")
    assert sorted(lane.unit for lane in job.lanes) == sorted(
        game.partition("/")[2] for game in DARKROOM.new_games
    )
    job = planned("random", MINATAR, range(8), "transfer")
    assert [lane.unit for lane in job.lanes] == [f"breakout/seed-{seed}" for seed in range(8)]


def test_lanes_beyond_the_runs_repeat_them_with_new_seeds(planned):
    job = planned("random", MINATAR, range(3), lanes=7)
    assert [lane.teacher for lane in job.lanes] == [f"breakout/seed-{seed}" for seed in (0, 1, 2, 0, 1, 2, 0)]
    assert [lane.number for lane in job.lanes] == [0, 0, 0, 1, 1, 1, 2]
    assert len({lane.seed for lane in job.lanes}) == 7


def test_a_job_names_the_networks_that_its_teachers_had(planned):
    job = planned("frozen-teacher", DARKROOM, [0])
    teachers = {lane.teacher for lane in job.lanes}
    assert job.player["networks_at_w"] == {name: sha256(name) for name in teachers}
