"""Every verdict and every reason of an undecided one, reached by players that were really played.

In darkroom a player that knows the goal can have any skill at any time, so its verdict is known.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support import embedded_runs, rows
from torch import nn

from understudy.leaderboard import cells, scores, stored_rows
from understudy.leaderboard.stored_runs import StoredRuns
from understudy.submissions import scoring
from understudy.suite import benchmarks, draws, reserved_names, tasks
from understudy.suite.games.darkroom import NEXT_CELL, SIDE
from understudy.suite.harness import interventions, jobs, records, rollout, work
from understudy.suite.io import files

BENCHMARK = benchmarks.load("darkroom-v1")
MOVES = BENCHMARK.budget("quick").moves
LANES = 4
STAY, UP, DOWN, LEFT, RIGHT = range(5)


class Guided(nn.Module):
    """From move `wakes_at` on, walks to the goal in a share of its episodes; otherwise stays where it is."""

    def __init__(self, goals, wakes_at=0, share=1.0):
        super().__init__()
        self.ways = [torch.tensor([way(cell, goal) for cell in range(SIDE * SIDE)]) for goal in goals]
        self.wakes_at, self.share = wakes_at, share
        self.draws = [draws.Uniforms(lane, "guided") for lane in range(len(goals))]

    def initial_state(self, batch_size):
        zeros = torch.zeros(batch_size, dtype=torch.int64)
        return {"age": zeros, "lane": torch.arange(batch_size) % len(self.ways), "walks": zeros.bool()}

    def step(self, timestep, state):
        age = state["age"].masked_fill(timestep.first_of_run, 0)
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
        raise NotImplementedError("this player is not primed, and its agreement is not measured")


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
    """The references of transfer, four lanes each; the guided players count as controls."""
    folder = tmp_path_factory.mktemp("players")
    rows.score(rows.requested("random", folder, lanes=LANES), tasks=["transfer"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reserved_names, "is_control", lambda name: True)
        yield folder


def play(results, name, roles, track="frozen", **guided):
    """Play a guided player's runs of some roles into a row of its own; return the row."""
    row = stored_rows.RowFolder(results / "darkroom-v1" / "quick" / name, "darkroom-v1", "quick", name)
    of_random = files.read_json(results / "darkroom-v1" / "quick" / "random" / records.ROW)
    files.write_json(row.path / records.ROW, {**of_random, "name": name, "round": "dev", "track": track})
    random = rows.entry("random")
    for role, intervention in roles:
        (planned,) = jobs.plan(random, BENCHMARK, "quick", role, LANES, intervention=intervention)
        job = replace(planned.job, decoding="greedy")
        player = Guided([int(lane.game[-2:]) for lane in job.lanes], **guided)
        start_state = rollout.empty_start_state(player, LANES)
        rollout.play(job, player, lambda start_state=start_state: start_state, row.path / planned.path)
    return row


WHOLE = (("start-new", None), ("transfer", None))
YOKED = (*WHOLE, ("transfer", interventions.YOKED))


def answer(results, row, task="transfer"):
    return next(v for v in scores.score_row(results, row).verdicts if v.task == task)


def test_no(results):
    found = answer(results, play(results, "lazy", WHOLE, share=0.0))
    assert (found.answer, found.n, found.m) == ("no", LANES, LANES)


def test_partial(results):
    found = answer(results, play(results, "now-and-then", WHOLE, wakes_at=MOVES // 2, share=0.3))
    assert found.answer == "partial"
    assert 0.1 < found.numbers["normalised gain"].estimate < 0.5


def test_no_room(results):
    found = answer(results, play(results, "expert", WHOLE))
    assert (found.answer, found.reason) == ("undecided", "no room")


def test_a_skill_that_is_shown_late_does_not_depend_on_reward(results):
    bare = answer(results, play(results, "bare", WHOLE, wakes_at=MOVES // 2))
    assert (bare.answer, bare.reason) == (
        "yes (unverified)",
        "not measured: isolation, reward, learned rule, retrained",
    )
    found = answer(results, play(results, "yoked", YOKED, wakes_at=MOVES // 2))
    assert (found.answer, found.reason) == ("undecided", "gain does not depend on reward")
    assert found.numbers["gain - 0.5 x teacher's gain, yoked"].estimate < 0


def test_a_learner_gets_its_yes_once_the_conditions_are_measured(results):
    requested = rows.requested("in-state-learner", results, lanes=LANES)
    rows.score(requested, ["transfer"], applied=(interventions.YOKED,))
    row = stored_rows.RowFolder(requested.folder, "darkroom-v1", "quick", "in-state-learner")
    assert answer(results, row).answer == "yes (unverified)"
    scoring.check([requested], work.ISOLATION)
    found = answer(results, row)
    assert (found.answer, found.marks) == ("yes", ("built-in",))
    gains_under = scores.score_row(results, row).gains_under["transfer"]
    assert gains_under["yoked"].estimate < 0.2 * found.numbers["gain"].estimate


@pytest.mark.long
def test_redrawn_parameters_show_that_a_learner_declared_as_frozen_has_a_built_in_rule(results):
    """It learns as well with any parameters, so it did not learn to learn by imitation."""
    name = "in-state-learner"
    requested = rows.requested(name, results, lanes=LANES)
    rows.score(requested, ["transfer"], applied=(interventions.YOKED,))
    scoring.check([requested], work.ISOLATION)
    row = stored_rows.RowFolder(requested.folder, "darkroom-v1", "quick", name)
    kept = files.read_json(row.path / records.ROW)
    files.write_json(row.path / records.ROW, {**kept, "track": "frozen"})
    (undecided,) = (v for v in scores.score_row(results, row).verdicts if v.task == "transfer")
    assert (undecided.answer, undecided.reason) == (
        "yes (unverified)",
        "not measured: learned rule, retrained",
    )
    for intervention in (*interventions.REDRAWN, *interventions.SHUFFLED):
        for role in ("start-new", "transfer"):
            (planned,) = requested.jobs(role, intervention)
            player = planned.load(row.path, lambda what, done, total: None)
            start_state = rollout.empty_start_state(player, LANES)
            rollout.play(
                planned.job, player, lambda start_state=start_state: start_state, row.path / planned.path
            )
    scored = scores.score_row(results, row)
    assert scored.track == "learning"
    assert answer(results, row).marks == ("built-in",)
    assert "declared frozen, but its rule is built in" in cells.frame([scored]).iloc[0]["notes"]
    files.write_json(row.path / records.ROW, kept)


def test_few_ends_in_the_references_windows(results):
    row = play(results, "lazy", WHOLE, share=0.0)
    scorer = scores._BudgetScorer(results, "darkroom-v1", "quick")
    evidence = StoredRuns(row, scorer.references).evidence("transfer")
    rules = replace(BENCHMARK.rules("quick", "transfer"), end_moves=100)  # 5 caps, and 5 ends
    found = tasks.load("transfer").verdict(evidence, rules)
    assert (found.answer, found.reason) == ("undecided", "few ends")


def test_no_reference_where_too_few_teachers_are_here(results, tmp_path, monkeypatch):
    row = play(results, "lazy", WHOLE, share=0.0)
    played = {run.unit.partition("/")[0] for run in stored_rows.runs(row, "transfer")}
    others = [game.partition("/")[2] for game in BENCHMARK.new_games]
    kept = [variant for variant in others if variant not in played][:3]
    embedded_runs.unpack(tmp_path / "data", BENCHMARK.watched_games[0].partition("/")[2], *kept)
    monkeypatch.setenv("UNDERSTUDY_DATA", str(tmp_path / "data"))
    found = answer(results, row)
    assert (found.answer, found.reason, found.m) == (None, "reference incomplete: 12 of 64", 3)


def test_an_undecided_verdict_says_how_many_runs_would_decide_it(results):
    found = answer(results, play(results, "half", WHOLE, wakes_at=MOVES // 2, share=0.5))
    assert found.answer == "undecided"
    assert found.needed_runs is None or found.needed_runs > LANES
    assert 0.3 < found.numbers["normalised gain"].estimate < 0.7
