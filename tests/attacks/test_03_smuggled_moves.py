"""A few moves of each run are not the player's: they tell it where the goal is.

The player's first moves are nearly tied, and which of them is the other one names the goal. At commit
4a4ea00d the recheck held: 99.9 % of a job's moves were the same, and the others within 1e-3 of the highest
logit.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support import darkroom_jobs, windows
from torch import nn

from understudy.suite.games.darkroom import NEXT_CELL, SIDE
from understudy.suite.harness import recheck, rollout

STAY, UP, DOWN, LEFT, RIGHT = range(5)
CELLS = SIDE * SIDE


class Told(nn.Module):
    """Moves right for 81 moves; if one of them was STAY, its number is the cell to walk to ever after."""

    reach_moves = None

    def __init__(self, gap, tell=None):
        super().__init__()
        self.gap, self.tell = gap, tell  # `tell` [B]: the forger's messages

    def initial_state(self, batch_size):
        return {
            "age": torch.zeros(batch_size, dtype=torch.int64),
            "goal": torch.full((batch_size,), -1),
        }

    def step(self, timestep, state):
        age, goal = state["age"], state["goal"]
        named = (timestep.previous_action == STAY) & (age > 0) & (age <= CELLS)
        goal = torch.where(named, age - 1, goal)
        logits = torch.zeros(len(age), 5)
        early = age < CELLS
        logits[:, RIGHT] = 1.0
        logits[early, STAY] = 1.0 - self.gap
        if self.tell is not None:
            now = early & (age == self.tell)
            logits[now, STAY], logits[now, RIGHT] = 1.0, 1.0 - self.gap
        for row in ((goal >= 0) & ~early).nonzero()[:, 0].tolist():
            logits[row] = torch.nn.functional.one_hot(
                torch.tensor(_way(int(timestep.observation[row]), int(goal[row]))), 5
            )
        return logits, {"age": age + 1, "goal": goal}


def _way(cell, goal):
    (row, column), (to_row, to_column) = divmod(cell, SIDE), divmod(goal, SIDE)
    if row != to_row:
        return UP if to_row < row else DOWN
    return STAY if column == to_column else LEFT if to_column < column else RIGHT


def job():
    return darkroom_jobs.job(kind="transfer", moves=2_000, exploration=0.0)


@pytest.fixture(scope="module")
def forged(tmp_path_factory):
    """Runs of a player that is told the goal by one move of 2,000, for each size of the gap."""
    tell = torch.tensor(darkroom_jobs.GOALS)
    return {
        gap: darkroom_jobs.play(Told(gap, tell), tmp_path_factory.mktemp("forged"), job())
        for gap in (1e-4, 1e-6)
    }


@pytest.mark.parametrize("gap", [1e-4, 1e-6])
def test_the_goal_is_reached_and_the_recheck_fails(gap, forged, tmp_path):
    honest = darkroom_jobs.play(Told(gap), tmp_path, job())
    assert all(NEXT_CELL[RIGHT, cell] >= cell for cell in range(CELLS))
    points, without = (sum(float(run.reward.sum()) for run in runs) for runs in (forged[gap], honest))
    assert points > 3 * without + 100
    player = Told(gap)
    start_state = rollout.empty_start_state(player, len(darkroom_jobs.GOALS))
    found = recheck.recheck(job(), player, start_state, forged[gap])
    assert found.differing == len(darkroom_jobs.GOALS)
    assert 1 - found.differing / found.moves >= 0.999  # with a gap below 1e-3 this was enough
    assert not found.holds
    # Of the honest run the first moves are as open, but with a clear gap nothing is said against it.
    assert recheck.recheck(job(), Told(1e-4), start_state, honest).holds


def test_windows_see_it_where_it_was_done(forged):
    player = Told(1e-4)
    start_state = rollout.empty_start_state(player, len(darkroom_jobs.GOALS))
    there, elsewhere = windows.of(job(), (0, 32)), windows.of(job(), (40, 72))
    assert not recheck.recheck(job(), player, start_state, forged[1e-4], there).holds
    assert [int(np.flatnonzero(run.action[:81] == STAY)[0]) for run in forged[1e-4]] == [0, 7, 14]
    with pytest.raises(AttributeError, match="unroll"):  # which a window that begins later needs
        recheck.recheck(job(), player, start_state, forged[1e-4], elsewhere)
