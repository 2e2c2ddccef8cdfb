"""A model whose `unroll` knows the teacher and whose `step` plays something else.

Agreement was measured by `unroll`, so it was that of a model that never plays. At commit 926ded31, before
predictions came from `step` (9693d331), this model agreed with the teacher wherever `unroll` was right.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from understudy.submissions import check
from understudy.suite import benchmarks, games
from understudy.suite.errors import InputError
from understudy.suite.harness import agreement, rollout
from understudy.suite.histories.frame_store import open_store

BENCHMARK = benchmarks.load("darkroom-v1")
W, MOVES, NAME = BENCHMARK.watched_moves, 200, "goal-07/seed-0"
RIGHT = 4


class OneAnswer(nn.Module):
    """Always prefers action `plays` in `step` and `predicts` in `unroll`."""

    reach_moves = 1

    def __init__(self, plays, predicts):
        super().__init__()
        self.plays, self.predicts = plays, predicts

    def initial_state(self, batch_size):
        return {"age": torch.zeros(batch_size, dtype=torch.int64)}

    def step(self, timestep, state):
        chosen = torch.full(timestep.first.shape, self.plays)
        return functional.one_hot(chosen, 5).float(), {"age": state["age"] + 1}

    def unroll(self, timesteps, state):
        chosen = torch.full(timesteps.first.shape, self.predicts)
        moves = timesteps.first.shape[1]
        return functional.one_hot(chosen, 5).float(), {"age": state["age"] + moves}


@pytest.mark.parametrize("predicts", [0, RIGHT])
def test_agreement_is_that_of_step(predicts, own_data):
    run = next(run for run in benchmarks.teacher_runs(BENCHMARK) if run.name == NAME)
    history = benchmarks.read(run)
    teacher = agreement.Continuation(NAME, history, open_store(history, W, W + MOVES), run.network_path)
    player = OneAnswer(plays=RIGHT, predicts=predicts)
    start_state = rollout.empty_start_state(player, 1)
    (columns,) = agreement.measure("mine", player, start_state, [teacher], W, MOVES)
    assert (columns["predicted"] == RIGHT).all()
    by_hand = float(np.mean(history.action[W : W + MOVES] == RIGHT))
    assert float(np.mean(columns["predicted"] == history.action[W : W + MOVES])) == by_hand


def test_such_a_model_is_refused_by_the_check_that_an_honest_one_passes():
    game = games.load("darkroom/goal-40")
    check.require_conformance(OneAnswer(RIGHT, RIGHT), game, "honest")
    with pytest.raises(InputError, match="unroll"):
        check.require_conformance(OneAnswer(RIGHT, 0), game, "mine")
