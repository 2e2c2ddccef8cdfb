"""Rows of a batch that hear row 0, and rows that hear each other for a while in mid-run.

At commit 4a4ea00d lane 0 alone was checked, over the first and the last 10,000 moves: it hears itself in any
batch, and a whisper between the two was over before the last moves began.
"""

from __future__ import annotations

import pytest
import torch
from support import darkroom_jobs, steps, windows
from torch import nn
from torch.nn import functional

from understudy.suite.harness import drawn_windows, isolation, rollout

LANES, MOVES = len(darkroom_jobs.GOALS), 3_000
WHISPER = range(1_000, 2_000)


SALT = (
    "5e" * 16
)  # written down: one that a verifier draws misses some whispers, with the share in the protocol


class Batch(nn.Module):
    """Chooses by its own points and cell; rows may hear others' points."""

    reach_moves = None

    def __init__(self, hears=""):
        super().__init__()
        self.hears = hears

    def initial_state(self, batch_size):
        return {"points": torch.zeros(batch_size), "age": torch.zeros(batch_size, dtype=torch.int64)}

    def step(self, timestep, state):
        points, age = state["points"] + timestep.previous_reward, state["age"]
        heard = points
        if self.hears == "row 0":
            heard = points[:1].expand_as(points)
        elif self.hears == "the mean for a while" and int(age[0]) in WHISPER:
            heard = points.mean().expand_as(points)
        chosen = (timestep.observation + (heard * 7).long()) % 5
        return functional.one_hot(chosen, 5).float(), {"points": points, "age": age + 1}

    def unroll(self, timesteps, state):
        return steps.unrolled(self, timesteps, state)


def job():
    return darkroom_jobs.job(moves=MOVES, exploration=0.2)


@pytest.mark.parametrize("hears", ["row 0", "the mean for a while"])
def test_a_leak_is_found_in_windows_that_nobody_could_know(hears, tmp_path):
    player = Batch(hears)
    histories = darkroom_jobs.play(player, tmp_path / "leaks", job())
    start_state = rollout.empty_start_state(player, LANES)
    spans = drawn_windows.drawn(SALT, "continue/all", MOVES, LANES, 64).spans
    found = isolation.first_difference(job(), player, start_state, histories, windows.of(job(), *spans))
    assert found is not None
    if hears == "row 0":
        assert found.lane != 0
    else:
        assert found.move in WHISPER


def test_the_honest_player_beside_them_is_isolated(tmp_path):
    player = Batch()
    histories = darkroom_jobs.play(player, tmp_path, job())
    start_state = rollout.empty_start_state(player, LANES)
    spans = drawn_windows.drawn(SALT, "continue/all", MOVES, LANES, 64).spans
    assert (
        isolation.first_difference(job(), player, start_state, histories, windows.of(job(), *spans)) is None
    )


def test_no_row_stays_where_it_was():
    for lanes in range(2, 40):
        order = isolation._reordered(drawn_windows.new_salt(), lanes)
        assert sorted(order) == list(range(lanes))
        assert all(row != lane for row, lane in enumerate(order))
    assert isolation.fed_lanes(4, 1) == [1, 1, 0, 2]
    assert isolation.fed_lanes(1, 0) == [0]
