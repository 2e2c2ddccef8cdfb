"""Agreement: predictions come from `step`, in a batch of all teachers, by what plays."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from support import rows
from torch import nn
from torch.nn import functional

from understudy.suite import benchmarks
from understudy.suite.errors import InputError
from understudy.suite.harness import agreement, rollout
from understudy.suite.harness.jobs import PlannedJob
from understudy.suite.harness.row_player import RowPlayer
from understudy.suite.histories.frame_store import open_store
from understudy.suite.io import files

BENCHMARK = benchmarks.load("darkroom-v1")
W, MOVES, PRIMING = BENCHMARK.watched_moves, 300, 40  # more moves than one chunk has
NAMES = ("goal-00/seed-0", "goal-07/seed-0", "goal-14/seed-0")


class Summing(nn.Module):
    """Prefers action (cell + previous action + moves seen) mod 5, and likes the next action as much."""

    def __init__(self):
        super().__init__()
        self.batches = []  # rows of each call of step

    def initial_state(self, batch_size):
        return {"age": torch.zeros(batch_size, dtype=torch.int64)}

    def step(self, timestep, state):
        self.batches.append(len(timestep.first))
        chosen = (timestep.observation.long() + timestep.previous_action + state["age"]) % 5
        logits = functional.one_hot(chosen, 5) + functional.one_hot((chosen + 1) % 5, 5)
        return logits.float(), {"age": state["age"] + 1}

    def unroll(self, timesteps, state):
        """Something else: it always knows better what `step` will not play."""
        B, T = timesteps.first.shape
        return torch.full((B, T, 5), 7.0), {"age": state["age"] + T}


@pytest.fixture(scope="module")
def teachers():
    """Continuations of three goals."""
    runs = {run.name: run for run in benchmarks.teacher_runs(BENCHMARK)}
    found = []
    for name in NAMES:
        history = benchmarks.read(runs[name])
        store = open_store(history, W - PRIMING, W + MOVES)
        found.append(agreement.Continuation(name, history, store, runs[name].network_path))
    return found


def preferred(teacher, move, age, fresh):
    """Return the action that `Summing` prefers, from the log and the frames."""
    cell = int(teacher.store.observations(move, move + 1)[0])
    previous = 0 if fresh and move == W else int(teacher.history.action[move - 1])
    return (cell + previous + age) % 5


@pytest.mark.parametrize("priming", [0, PRIMING])
def test_predictions_are_those_of_step_move_by_move_even_if_unroll_is_another_player(priming, teachers):
    player = Summing()
    if priming:
        primed = [
            rollout.primed_start_state(player, each.history, each.store, W - priming, W) for each in teachers
        ]
        start_state = rollout.join_start_states(primed)
    else:
        start_state = rollout.empty_start_state(player, len(teachers))
    found = agreement.measure("spy", player, start_state, teachers, W, MOVES)
    assert player.batches == [len(teachers)] * MOVES
    likely = np.e / (2 * np.e + 3)  # of each of the two best actions
    for teacher, columns in zip(teachers, found, strict=True):
        for t in range(MOVES):
            best = preferred(teacher, W + t, priming + t, fresh=not priming)
            both = {best, (best + 1) % 5}
            assert columns["predicted"][t] == min(both)
            action = int(teacher.history.action[W + t])
            expected = -np.log(likely if action in both else 1 / (2 * np.e + 3))
            assert columns["loss_nats"][t] == pytest.approx(expected, abs=1e-6)
        chosen = teacher.history.action[W : W + MOVES]
        assert (columns["chosen"] == chosen).all()
        assert (columns["explored"] == teacher.history.explored[W : W + MOVES]).all()
        assert np.isin(columns["ceiling"], (0.0, 1.0)).all()


def test_a_player_that_answers_otherwise_is_refused_with_the_teacher_and_its_move(teachers):
    class Late(Summing):
        def step(self, timestep, state):
            logits, following = super().step(timestep, state)
            logits[1, 2] = torch.where(state["age"][1] == 270, torch.inf, logits[1, 2])
            return logits, following

    player = Late()
    with pytest.raises(InputError) as caught:
        agreement.measure("spy", player, rollout.empty_start_state(player, 3), teachers, W, MOVES)
    named = rf"^spy, {NAMES[1]}, teacher's move {W + 270:,}: .*found inf for action 2"
    assert re.search(named, str(caught.value))


def stored(row):
    return {
        path.relative_to(row.folder): files.read_columns(path) for path in row.folder.glob("agreement/*/*")
    }


def same(one, other):
    return one.keys() == other.keys() and all(
        np.array_equal(one[path][name], other[path][name]) for path in one for name in one[path]
    )


def test_a_row_s_predictions_are_those_of_step_and_are_completed_to_the_same_bytes(tmp_path, monkeypatch):
    honest = rows.requested("frozen-teacher", tmp_path / "honest")
    RowPlayer(honest, lambda progress: None).measure_agreement(0)
    found = stored(honest)
    assert len(found) == len({lane.teacher for lane in honest.jobs("start")[0].job.lanes}) == 16
    for path in sorted(found)[::3]:
        (honest.folder / path).unlink()
    RowPlayer(honest, lambda progress: None).measure_agreement(0)
    assert same(stored(honest), found)

    load, batches = PlannedJob.load, []

    def with_another_unroll(self, *arguments):
        player = load(self, *arguments)
        step = player.step

        def counted(timestep, state):
            batches.append(len(timestep.first))
            return step(timestep, state)

        def always_action_0(timesteps, state):
            return functional.one_hot(torch.zeros(timesteps.first.shape, dtype=torch.int64), 5).float(), state

        player.step, player.unroll = counted, always_action_0
        return player

    monkeypatch.setattr(PlannedJob, "load", with_another_unroll)
    attacked = rows.requested("frozen-teacher", tmp_path / "attacked")
    RowPlayer(attacked, lambda progress: None).measure_agreement(0)
    assert same(stored(attacked), found)
    assert batches == [16] * BENCHMARK.budget("quick").agreement_moves
