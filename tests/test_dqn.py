"""The DQN against arrays worked out by hand, a slow obvious memory, and itself with other seeds beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from understudy.suite import games
from understudy.suite.teachers import dqn, network
from understudy.suite.teachers.memory import Batch, Memory

GAMES = ("darkroom/goal-40", "minatar/breakout", "atari/breakout")


def random_observations(game, rng, *leading):
    shape = (*leading, *game.observation_shape)
    return rng.integers(0, min(game.observation_values, 256), shape).astype(game.observation_dtype)


def random_batch(game, rng, S, B):
    legal = np.flatnonzero(game.legal_actions)
    return Batch(
        random_observations(game, rng, S, B),
        rng.choice(legal, (S, B)),
        rng.integers(0, 5, (S, B)).astype(np.float32),
        random_observations(game, rng, S, B),
        rng.random((S, B)) < 0.2,
    )


def test_targets_are_those_worked_out_by_hand(monkeypatch):
    game = games.load("atari/breakout")
    settings = replace(dqn.SETTINGS["atari"], discount=0.5)
    learner = dqn.Learner(game, settings, [0])
    q = torch.full((1, 3, 18), 100.0)  # illegal actions look best
    legal = torch.tensor(game.legal_actions)
    q[:, :, legal] = torch.tensor([[[1.0], [2.0], [4.0]]])
    monkeypatch.setattr(network, "q_values", lambda *arguments: q)
    batch = random_batch(game, np.random.default_rng(0), 1, 3)._replace(
        rewards=np.array([[7.0, -3.0, 0.5]], np.float32), terminated=np.array([[False, True, False]])
    )
    # clipped to [-1, 1]: 1 + 0.5 * 1;  -1, no future;  0.5 + 0.5 * 4
    assert learner.td_targets(batch).tolist() == [[1.5, -1.0, 2.5]]


def test_update_follows_the_gradient_of_the_squared_error():
    game = games.load("darkroom/goal-40")
    settings = dqn.SETTINGS["darkroom"]
    learner = dqn.Learner(game, settings, [3])
    batch = random_batch(game, np.random.default_rng(1), 1, 32)
    targets = learner.td_targets(batch)[0]
    reference = {name: tensor[0].detach().clone().requires_grad_() for name, tensor in learner.online.items()}
    one_hot = torch.eye(81)[torch.from_numpy(batch.observations[0])]
    hidden = torch.relu(one_hot @ reference["linear0.weight"] + reference["linear0.bias"])
    q = hidden @ reference["linear1.weight"] + reference["linear1.bias"]
    chosen = q[torch.arange(32), torch.from_numpy(batch.actions[0])]
    optimiser = torch.optim.Adam(
        reference.values(), settings.learning_rate, eps=settings.optimiser_epsilon, foreach=False
    )
    torch.nn.functional.mse_loss(chosen, targets).backward()
    optimiser.step()
    learner.update(batch)
    for name, tensor in reference.items():
        torch.testing.assert_close(learner.online[name][0], tensor, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", GAMES)
def test_stacked_seeds_equal_single_runs(name):
    game = games.load(name)
    updates = 100 if game.family != "atari" else 6
    settings = replace(dqn.SETTINGS[game.family], target_every=10)
    S, B = 3, settings.batch_size
    torch.set_num_threads(1)  # as teachers run; more threads add up in another order, and a ReLU may flip
    together = dqn.Learner(game, settings, range(S))
    alone = [dqn.Learner(game, settings, [seed]) for seed in range(S)]
    rng = np.random.default_rng(0)
    for _ in range(updates):
        batch = random_batch(game, rng, S, B)
        together.update(batch)
        for seed, learner in enumerate(alone):
            learner.update(Batch(*(column[seed : seed + 1] for column in batch)))
    observations = random_observations(game, rng, S)
    for seed, learner in enumerate(alone):
        own = learner.act(observations[seed : seed + 1])[0]
        np.testing.assert_allclose(together.act(observations)[seed], own, atol=1e-5)
    assert not np.allclose(together.act(observations)[0], together.act(observations)[1])


@pytest.mark.parametrize("name", GAMES)
def test_convolutions_agree_with_plain_pytorch_modules(name):
    game = games.load(name)
    parameters = network.initial_parameters(game, [5])
    observation = random_observations(game, np.random.default_rng(0), 1, 4)
    x = torch.from_numpy(observation[0])
    if game.observation_shape:
        x = x.float() / (255 if game.observation_values == 256 else 1)
    else:
        x = torch.eye(81)[x]
    for i, (_, _, stride) in enumerate(network.ARCHITECTURES[game.family][0]):
        weight, bias = parameters[f"conv{i}.weight"][0], parameters[f"conv{i}.bias"][0]
        x = torch.relu(torch.nn.functional.conv2d(x, weight.contiguous(), bias, stride))
    x = x.permute(0, 2, 3, 1).flatten(1) if game.observation_shape else x
    x = torch.relu(x @ parameters["linear0.weight"][0] + parameters["linear0.bias"][0])
    expected = x @ parameters["linear1.weight"][0] + parameters["linear1.bias"][0]
    found = network.q_values(game, parameters, torch.from_numpy(observation))[0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_exploration_is_one_then_a_line_then_its_end():
    settings = dqn.Settings(learning_starts=100, exploration_moves=200, exploration_end=0.1)
    assert [settings.exploration(move) for move in (0, 100, 200, 300, 10**7)] == pytest.approx(
        [1.0, 1.0, 0.55, 0.1, 0.1]
    )


@pytest.mark.parametrize("name", ["minatar/breakout", "atari/breakout"])
def test_memory_returns_what_a_slow_obvious_one_does(name):
    """Every drawn transition is one of the log's, with its stack cut at the episode's start."""
    game = games.load(name)
    rng = np.random.default_rng(0)
    capacity, moves = 37, 150
    memory = Memory(game, 2, capacity)
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

    def stack(move, life):
        planes = []
        for back in range(depth):
            earlier = move - back
            inside = earlier >= 0 and not first[earlier + 1 : move + 1, life].any()
            planes.insert(0, frames[earlier, life] if inside else np.zeros(game.frame_shape, frames.dtype))
        return np.stack(planes) if depth > 1 else planes[0]

    for life in range(2):
        allowed = [m for m in range(moves - capacity, moves) if not truncated[m, life]]
        uniforms = (np.arange(len(allowed)) + 0.5) / len(allowed)
        batch = memory.draw(np.stack([uniforms, uniforms]))
        assert batch.actions[life].tolist() == [actions[m, life] for m in allowed]
        assert batch.rewards[life].tolist() == [rewards[m, life] for m in allowed]
        assert batch.terminated[life].tolist() == [terminated[m, life] for m in allowed]
        for row, move in enumerate(allowed):
            np.testing.assert_array_equal(batch.observations[life, row], stack(move, life))
            if not terminated[move, life]:
                np.testing.assert_array_equal(batch.next_observations[life, row], stack(move + 1, life))
