"""The replay memory against a slow obvious one."""

from __future__ import annotations

import numpy as np
import pytest
from support.batches import random_observations

from understudy.suite import games
from understudy.suite.teachers.replay_memory import ReplayMemory


@pytest.mark.parametrize("name", ["minatar/breakout", "atari/breakout"])
def test_memory_equals_a_slow_obvious_one(name):
    """Every drawn transition is one of the log's, with its stack zero before the episode's start."""
    game = games.load(name)
    rng = np.random.default_rng(0)
    capacity, moves = 37, 150
    memory = ReplayMemory(game, 2, capacity)
    depth = game.stacked_frames
    frames = random_observations(game, rng, moves + 1, 2)
    frames = frames[:, :, -1] if depth > 1 else frames
    terminated = rng.random((moves, 2)) < 0.05
    truncated = ~terminated & (rng.random((moves, 2)) < 0.1)
    rewards = rng.random((moves, 2)).astype(np.float32)
    actions = rng.integers(0, 4, (moves, 2))
    first = np.concatenate([np.ones((1, 2), bool), terminated | truncated])
    memory.see(frames[0], first[0])
    for move in range(moves):
        memory.complete(actions[move], rewards[move], terminated[move], truncated[move])
        memory.see(frames[move + 1], first[move + 1])

    def stack(move, run):
        planes = []
        for back in range(depth):
            earlier = move - back
            inside = earlier >= 0 and not first[earlier + 1 : move + 1, run].any()
            planes.insert(0, frames[earlier, run] if inside else np.zeros(game.frame_shape, frames.dtype))
        return np.stack(planes) if depth > 1 else planes[0]

    for run in range(2):
        allowed = [m for m in range(moves - capacity, moves) if not truncated[m, run]]
        uniforms = (np.arange(len(allowed)) + 0.5) / len(allowed)
        batch = memory.draw(np.stack([uniforms, uniforms]))
        assert batch.actions[run].tolist() == [actions[m, run] for m in allowed]
        assert batch.rewards[run].tolist() == [rewards[m, run] for m in allowed]
        assert batch.terminated[run].tolist() == [terminated[m, run] for m in allowed]
        for row, move in enumerate(allowed):
            np.testing.assert_array_equal(batch.observations[run, row], stack(move, run))
            if not terminated[move, run]:
                np.testing.assert_array_equal(batch.next_observations[run, row], stack(move + 1, run))
