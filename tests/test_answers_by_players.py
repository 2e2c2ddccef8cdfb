"""Every verdict and every reason of an undecided one, reached by players that were really played.

In darkroom a player that is told where the goal is can have any skill at any time: what it answers is known.
"""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch
from torch import nn

from understudy.leaderboard import rows, scores, stored
from understudy.submissions import plan as plans
from understudy.submissions import requests, scoring
from understudy.submissions.entrants import resolve
from understudy.suite import benchmarks, draws, files, harness, probes, tasks
from understudy.suite.games.darkroom import NEXT_CELL, SIDE

BENCHMARK = benchmarks.load("darkroom-v1")
MOVES = BENCHMARK.budget("quick").moves
LANES = 4
STAY, UP, DOWN, LEFT, RIGHT = range(5)


class Guided(nn.Module):
    """From move `wakes_at` on it walks to the goal in a share of its episodes; otherwise it stays put."""

    def __init__(self, goals, wakes_at=0, share=1.0):
        super().__init__()
        self.ways = [torch.tensor([way(cell, goal) for cell in range(SIDE * SIDE)]) for goal in goals]
        self.wakes_at, self.share = wakes_at, share
        self.draws = [draws.Uniforms(lane, "guided") for lane in range(len(goals))]

    def initial_state(self, batch_size):
        zeros = torch.zeros(batch_size, dtype=torch.int64)
        return {"age": zeros, "lane": torch.arange(batch_size) % len(self.ways), "walks": zeros.bool()}

    def step(self, timestep, state):
        age = state["age"].masked_fill(timestep.first_of_life, 0)
        walks = state["walks"].clone()
        for row in timestep.first.nonzero()[:, 0].tolist():
            drawn = self.draws[int(state["lane"][row])].at(int(age[row]))[0]
            walks[row] = bool(int(age[row]) >= self.wakes_at and drawn < self.share)
        chosen = torch.stack(
            [
                self.ways[int(lane)][int(cell)] if walk else torch.tensor(STAY)
                for lane, cell, walk in zip(state["lane"], timestep.observation, walks, strict=True)
            ]
        )
        return nn.functional.one_hot(chosen, 5).float(), {**state, "age": age + 1, "walks": walks}

    def unroll(self, timesteps, state):
        raise NotImplementedError("it is neither primed nor asked what the teacher does")


def way(cell, goal):
    """Return the action that leads nearer to the goal."""
    (row, column), (to_row, to_column) = divmod(cell, SIDE), divmod(goal, SIDE)
    if row != to_row:
        return UP if to_row < row else DOWN
    if column != to_column:
        return LEFT if to_column < column else RIGHT
    return STAY


def test_the_guide_leads_to_the_goal():
    for goal in range(0, 81, 7):
        for cell in range(81):
            for _ in range(16):
                cell = int(NEXT_CELL[way(cell, goal), cell])
            assert cell == goal


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The references of both questions about a gain, four lanes each."""
    folder = tmp_path_factory.mktemp("players")
    request = requests.Request("random", "darkroom-v1", "quick", folder, lanes=LANES)
    scoring.score([request], tasks=["transfer"])
    return folder


def play(results, name, roles, track="frozen", **guided):
    """Play a guided player's lives of some roles into a row of its own; return the row."""
    row = stored.RowFolder(results / "darkroom-v1" / "quick" / name, "darkroom-v1", "quick", name)
    of_random = files.read_json(results / "darkroom-v1" / "quick" / "random" / stored.ROW)
    files.write_json(row.path / stored.ROW, {**of_random, "name": name, "track": track})
    lives = benchmarks.teacher_lives(BENCHMARK)
    for role, probe in roles:
        (planned,) = plans.plan(
            resolve("random", "darkroom-v1"), BENCHMARK, "quick", role, lives, LANES, probe=probe
        )
        job = replace(planned.job, decoding="greedy")
        player = Guided([int(lane.game[-2:]) for lane in job.lanes], **guided)
        outset = harness.empty_outset(player, LANES)
        harness.play(job, player, lambda outset=outset: outset, row.path / planned.path)
    return row


WHOLE = (("start-new", None), ("transfer", None))
YOKED = (*WHOLE, ("transfer", probes.YOKED))


def answer(results, row, task="transfer"):
    return next(v for v in scores.judge_row(results, row).verdicts if v.task == task)


def test_no(results):
    found = answer(results, play(results, "lazy", WHOLE, share=0.0))
    assert (found.answer, found.n, found.m) == ("no", LANES, LANES)


def test_partial(results):
    found = answer(results, play(results, "now-and-then", WHOLE, wakes_at=MOVES // 2, share=0.3))
    assert found.answer == "partial"
    assert 0.1 < found.numbers["f"].estimate < 0.5


def test_no_room(results):
    found = answer(results, play(results, "expert", WHOLE))
    assert (found.answer, found.reason) == ("undecided", "no room")


def test_a_hidden_skill_that_is_switched_on_late_does_not_depend_on_reward(results):
    bare = answer(results, play(results, "bare", WHOLE, wakes_at=MOVES // 2))
    assert (bare.answer, bare.reason) == (
        "yes (unverified)",
        "not measured: isolation, reward, learned rule",
    )
    found = answer(results, play(results, "yoked", YOKED, wakes_at=MOVES // 2))
    assert (found.answer, found.reason) == ("undecided", "gain does not depend on reward")
    assert found.numbers["own - 0.5 G, yoked"].estimate < 0


def test_a_learner_says_yes_once_its_conditions_were_measured(results):
    request = requests.Request("in-state-learner", "darkroom-v1", "quick", results, lanes=LANES)
    scoring.score([request], ["transfer"], probed=(probes.YOKED,))
    row = stored.RowFolder(
        results / "darkroom-v1" / "quick" / "in-state-learner", "darkroom-v1", "quick", "in-state-learner"
    )
    assert answer(results, row).answer == "yes (unverified)"
    scoring.check([request], scoring.ISOLATION)
    found = answer(results, row)
    assert (found.answer, found.marks) == ("yes", ("built-in",))
    probed = scores.judge_row(results, row).probed["transfer"]
    assert probed["yoked"].estimate < 0.2 * found.numbers["own"].estimate


@pytest.mark.long
def test_a_learner_entered_as_frozen_is_found_out_by_redrawn_parameters(results):
    """Its rule is built in, so it learns as well with any parameters; that is no answer to the question."""
    name = "in-state-learner"
    request = requests.Request(name, "darkroom-v1", "quick", results, lanes=LANES)
    scoring.score([request], ["transfer"], probed=(probes.YOKED,))
    scoring.check([request], scoring.ISOLATION)
    row = stored.RowFolder(results / "darkroom-v1" / "quick" / name, "darkroom-v1", "quick", name)
    kept = files.read_json(row.path / stored.ROW)
    files.write_json(row.path / stored.ROW, {**kept, "track": "frozen"})
    (undecided,) = (v for v in scores.judge_row(results, row).verdicts if v.task == "transfer")
    assert (undecided.answer, undecided.reason) == ("yes (unverified)", "not measured: learned rule")
    lives = benchmarks.teacher_lives(BENCHMARK)
    for probe in (*probes.REDRAWN, *probes.SHUFFLED):
        for role in ("start-new", "transfer"):
            (planned,) = plans.plan(
                resolve(name, "darkroom-v1"), BENCHMARK, "quick", role, lives, LANES, probe=probe
            )
            player = planned.load()
            outset = harness.empty_outset(player, LANES)
            harness.play(planned.job, player, lambda outset=outset: outset, row.path / planned.path)
    scored = scores.judge_row(results, row)
    assert scored.track == "learning"
    assert answer(results, row).marks == ("built-in",)
    assert "declared frozen, but its rule is built in" in rows._row(scored).note
    files.write_json(row.path / stored.ROW, kept)


def test_few_ends_in_the_rulers_windows(results):
    row = play(results, "lazy", WHOLE, share=0.0)
    judge = scores._Judge(results, "darkroom-v1", "quick")
    evidence = dict(judge._gains(row, None, "frozen"))["transfer"]
    rules = replace(BENCHMARK.rules("quick", "transfer"), end_moves=100)  # 5 caps, and 5 ends
    found = tasks.load("transfer").verdict(evidence, rules)
    assert (found.answer, found.reason) == ("undecided", "few ends")


def test_no_ruler_where_too_few_teachers_are_here(results, tmp_path, monkeypatch):
    row = play(results, "lazy", WHOLE, share=0.0)
    played = {life.unit.partition("/")[0] for life in stored.lives(row, "transfer")}
    others = [game.partition("/")[2] for game in BENCHMARK.new_games]
    kept = [variant for variant in others if variant not in played][:3]
    for variant in (BENCHMARK.watched_games[0].partition("/")[2], *kept):
        source = benchmarks.roots()[0] / "darkroom-v1" / variant
        shutil.copytree(source, tmp_path / "data" / "darkroom-v1" / variant)
    monkeypatch.setenv("UNDERSTUDY_DATA", str(tmp_path / "data"))
    found = answer(results, row)
    assert (found.answer, found.reason, found.m) == ("undecided", "no ruler", 3)


def test_undecided_says_what_would_decide_it(results):
    found = answer(results, play(results, "half", WHOLE, wakes_at=MOVES // 2, share=0.5))
    assert found.answer == "undecided"
    assert found.needed_lives is None or found.needed_lives > LANES
    assert 0.3 < found.numbers["f"].estimate < 0.7
