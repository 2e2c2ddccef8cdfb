"""The DQN against arrays worked out by hand, other implementations, and itself with other seeds stacked."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.batches import one_seed, random_batch, random_observations

from understudy.suite import games
from understudy.suite.errors import InputError
from understudy.suite.histories import history_format
from understudy.suite.teachers import dqn, network, train_teacher
from understudy.suite.teachers.replay_memory import Batch

CURVE_MOVES = 60_000  # of the long comparison with Stable-Baselines3, a seed
CURVE_SEEDS = 8
GAMES = ("darkroom/goal-40", "minatar/breakout", "atari/breakout")


def test_targets_are_those_worked_out_by_hand(monkeypatch):
    game = games.load("atari/breakout")
    learner = dqn.DQNLearner([game], replace(dqn.SETTINGS["atari"], discount=0.5), [0])
    q = torch.full((1, 3, 18), 100.0)  # illegal actions look best
    q[:, :, torch.tensor(game.legal_actions)] = torch.tensor([[[1.0], [2.0], [4.0]]])
    monkeypatch.setattr(network.Network, "q_values", lambda *arguments: q)
    batch = random_batch(game, np.random.default_rng(0), 1, 3)._replace(
        rewards=torch.tensor([[7.0, -3.0, 0.5]]), terminated=torch.tensor([[False, True, False]])
    )
    # clipped to [-1, 1]: 1 + 0.5 * 1;  -1, no future;  0.5 + 0.5 * 4
    assert learner.td_targets(batch).tolist() == [[1.5, -1.0, 2.5]]


def test_each_seed_uses_the_legal_actions_of_its_game(monkeypatch):
    breakout = games.load("atari/breakout")
    one_action = replace(breakout, legal_actions=(True, *(False,) * 17))
    learner = dqn.DQNLearner([breakout, one_action], replace(dqn.SETTINGS["atari"], discount=1.0), [0, 0])
    q = torch.zeros(2, 32, 18)
    q[:, :, breakout.legal_actions.index(True, 1)] = 3.0
    monkeypatch.setattr(network.Network, "q_values", lambda *arguments: q)
    batch = random_batch(breakout, np.random.default_rng(0), 2, 32)._replace(
        rewards=torch.zeros(2, 32), terminated=torch.zeros(2, 32, dtype=torch.bool)
    )
    assert learner.td_targets(batch).tolist() == [[3.0] * 32, [0.0] * 32]


@pytest.mark.parametrize("name", GAMES)
def test_hand_written_gradients_are_those_of_autograd(name):
    game = games.load(name)
    S, B = 2, 8
    rng = np.random.default_rng(2)
    settings = replace(dqn.SETTINGS[game.family], batch_size=B)
    learner = dqn.DQNLearner([game] * S, settings, range(S))
    batch = random_batch(game, rng, S, B)
    parameters = network.initial_parameters(game, range(S))
    targets = learner.td_targets(batch)
    for tensor in parameters.values():
        tensor.requires_grad_()
    q = network.q_values(game, parameters, batch.observations)
    chosen = q.gather(2, batch.actions.unsqueeze(2)).squeeze(2)
    losses = (chosen - targets).square().mean(1)
    losses.sum().backward()
    torch.testing.assert_close(learner.update(batch), losses.detach(), atol=1e-5, rtol=1e-5)
    for key, tensor in parameters.items():
        found = network.from_layers(game, key, learner.gradients[key])
        torch.testing.assert_close(found, tensor.grad, atol=2e-6, rtol=1e-4)


def test_empty_planes_change_nothing():
    """Breakout shows four planes; a network for all ten computes and learns the same."""
    game = games.load("minatar/breakout")
    unknown = replace(game, shown_planes=None)
    rng = np.random.default_rng(3)
    few, all_ten = (dqn.DQNLearner([g], dqn.SETTINGS["minatar"], [1]) for g in (game, unknown))
    before = few.tensors(0)["network.conv0.weight"]
    for _ in range(5):
        batch = random_batch(game, rng, 1, 32)
        few.update(batch)
        all_ten.update(batch)
    for key, tensor in few.tensors(0).items():
        torch.testing.assert_close(tensor, all_ten.tensors(0)[key], atol=1e-6, rtol=1e-5)
    after = few.tensors(0)["network.conv0.weight"]
    assert torch.equal(before[:, 4:], after[:, 4:])
    assert not torch.equal(before[:, :4], after[:, :4])


@pytest.mark.parametrize("variant", ["asterix", "breakout", "freeway", "seaquest", "space_invaders"])
def test_planes_are_those_of_the_package(variant):
    module = importlib.import_module(f"minatar.environments.{variant}")
    assert games.load(f"minatar/{variant}").shown_planes == module.Env(ramping=True).state_shape()[2]


@pytest.mark.parametrize("name", GAMES)
def test_saved_tensors_make_another_learner_equal(name):
    game = games.load(name)
    rng = np.random.default_rng(4)
    one, other = (dqn.DQNLearner([game] * 2, dqn.SETTINGS[game.family], seeds) for seeds in ((0, 1), (2, 3)))
    for _ in range(2):
        one.update(random_batch(game, rng, 2, 32))
    for seed in range(2):
        saved = one.tensors(seed)
        shapes = {key: tuple(tensor.shape) for key, tensor in saved.items() if key.startswith("network.")}
        assert shapes == {f"network.{key}": shape for key, shape in network.shapes(game).items()}
        other.load_tensors(seed, saved)
    batch = random_batch(game, rng, 2, 32)
    one.update(batch)
    other.update(batch)
    for seed in range(2):
        assert all(torch.equal(t, other.tensors(seed)[key]) for key, t in one.tensors(seed).items())


@pytest.mark.parametrize("name", GAMES)
def test_stored_networks_have_the_learners_action_values(name):
    """`q_values` of a stored network equals the values with which the learner acts."""
    game = games.load(name)
    rng = np.random.default_rng(5)
    learner = dqn.DQNLearner([game], dqn.SETTINGS[game.family], [0])
    learner.update(random_batch(game, rng, 1, 32))
    prefix = "network."
    stored = {
        key.removeprefix(prefix): tensor.unsqueeze(0)
        for key, tensor in learner.tensors(0).items()
        if key.startswith(prefix)
    }
    observation = random_batch(game, rng, 1, 1).observations[:, 0]
    expected = network.q_values(game, stored, observation.unsqueeze(1))[:, 0]
    np.testing.assert_allclose(learner.act(observation.numpy()), expected, atol=1e-5)


def test_update_follows_the_gradient_of_the_squared_error():
    game = games.load("darkroom/goal-40")
    settings = dqn.SETTINGS["darkroom"]
    learner = dqn.DQNLearner([game], settings, [3])
    batch = random_batch(game, np.random.default_rng(1), 1, 32)
    targets = learner.td_targets(batch)[0]
    reference = {name: tensor[0].clone().requires_grad_() for name, tensor in learner.online.items()}
    one_hot = torch.eye(81)[batch.observations[0].long()]
    hidden = torch.relu(one_hot @ reference["linear0.weight"] + reference["linear0.bias"])
    q = hidden @ reference["linear1.weight"] + reference["linear1.bias"]
    chosen = q[torch.arange(32), batch.actions[0]]
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
    settings = dqn.SETTINGS[game.family]
    S, B = 3, settings.batch_size
    torch.set_num_threads(1)  # as in training; more threads add up in another order, and a ReLU may flip
    together = dqn.DQNLearner([game] * S, settings, range(S))
    alone = [dqn.DQNLearner([game], settings, [seed]) for seed in range(S)]
    rng = np.random.default_rng(0)
    for _ in range(updates):
        batch = random_batch(game, rng, S, B)
        together.update(batch)
        for seed, learner in enumerate(alone):
            learner.update(one_seed(batch, seed))
    observations = random_batch(game, rng, S, 1).observations[:, 0].numpy()
    found = together.act(observations).copy()
    for seed, learner in enumerate(alone):
        np.testing.assert_allclose(found[seed], learner.act(observations[seed : seed + 1])[0], atol=1e-5)
    assert not np.allclose(found[0], found[1])


def test_bfloat16_learns_nearly_as_float32_does():
    """Values, targets and gradients of the same networks and batch differ by bfloat16's rounding."""
    game = games.load("atari/breakout")
    settings = replace(dqn.SETTINGS["atari"], batch_size=8)
    exact, fast, again = (
        dqn.DQNLearner([game] * 2, settings, (0, 1), precision=precision)
        for precision in ("float32", "bfloat16", "bfloat16")
    )
    rng = np.random.default_rng(4)
    for _ in range(3):
        batch = random_batch(game, rng, 2, settings.batch_size)
        seen = batch.observations[:, 0].numpy()
        expected, found = exact.act(seen).copy(), fast.act(seen).copy()
        assert 0 < np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
        losses = [learner.update(batch).clone() for learner in (exact, fast, again)]
        torch.testing.assert_close(losses[1], losses[0], rtol=0.02, atol=0)
        assert torch.equal(losses[1], losses[2])
        for name, gradient in exact.gradients.items():
            one, other = gradient.flatten(1), fast.gradients[name].flatten(1)
            assert bool((torch.cosine_similarity(one, other, dim=1) > 0.99).all()), name
            torch.testing.assert_close(other.norm(dim=1), one.norm(dim=1), rtol=0.05, atol=0)
    for seed in range(2):
        assert all(tensor.dtype == torch.float32 for tensor in fast.tensors(seed).values())
        found = again.tensors(seed)
        assert all(torch.equal(tensor, found[key]) for key, tensor in fast.tensors(seed).items())


def test_bfloat16_represents_every_byte():
    greys = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(greys.to(torch.bfloat16).float(), greys.float())


@pytest.mark.parametrize("name", GAMES[:2])
def test_bfloat16_is_for_frames_of_bytes(name):
    with pytest.raises(InputError, match="expected a game of byte frames"):
        dqn.DQNLearner([games.load(name)], dqn.SETTINGS["minatar"], [0], precision="bfloat16")


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


@pytest.mark.parametrize("name", GAMES[1:])
def test_updates_are_those_of_stable_baselines3(name, monkeypatch):
    """With the same parameters, batches, settings and loss its `train` makes the same network."""
    pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.logger import Logger
    from stable_baselines3.common.type_aliases import ReplayBufferSamples
    from support import stable_baselines

    game = replace(games.load(name), legal_actions=(True,) * games.load(name).num_actions)
    settings = replace(dqn.SETTINGS[game.family], reward_clip=None, memory_moves=10)
    learner = dqn.DQNLearner([game], settings, [7])
    peer = stable_baselines.model(stable_baselines.OneLane(game, 0), game, settings, 100, seed=0)
    peer.set_logger(Logger(None, []))
    stored = {
        key.removeprefix("network."): tensor
        for key, tensor in learner.tensors(0).items()
        if key.startswith("network.")
    }
    stable_baselines.set_network(peer.q_net, game, stored)
    stable_baselines.set_network(peer.q_net_target, game, stored)
    monkeypatch.setattr(torch.nn.functional, "smooth_l1_loss", torch.nn.functional.mse_loss)
    rng = np.random.default_rng(6)
    for _ in range(5):
        batch = random_batch(game, rng, 1, settings.batch_size)
        samples = ReplayBufferSamples(
            observations=batch.observations[0].float(),
            actions=batch.actions[0].unsqueeze(1),
            next_observations=batch.next_observations[0].float(),
            dones=batch.terminated[0].float().unsqueeze(1),
            rewards=batch.rewards[0].unsqueeze(1),
        )
        monkeypatch.setattr(peer.replay_buffer, "sample", lambda *_, samples=samples, **__: samples)
        peer.train(1, settings.batch_size)
        learner.update(batch)
    ours = {
        key.removeprefix("network."): tensor
        for key, tensor in learner.tensors(0).items()
        if key.startswith("network.")
    }
    for found, expected in zip(stable_baselines.as_modules(game, ours), peer.q_net.parameters(), strict=True):
        torch.testing.assert_close(found, expected.detach(), atol=1e-5, rtol=0)
    moved = max(float((ours[key] - stored[key]).abs().max()) for key in ours)
    assert moved > 1e-4


@pytest.mark.long
def test_learning_curve_is_that_of_stable_baselines3(tmp_path, monkeypatch, capsys):
    """MinAtar Breakout, same settings, initial networks and loss: mean returns over the last third agree."""
    pytest.importorskip("stable_baselines3")
    from support import stable_baselines

    torch.set_num_threads(1)
    game = games.load("minatar/breakout")
    settings = replace(dqn.SETTINGS["minatar"], exploration_moves=CURVE_MOVES // 3)
    seeds = tuple(range(CURVE_SEEDS))
    training = train_teacher.TeacherTraining((game.name,) * CURVE_SEEDS, seeds, 10**9, 50_000, settings)
    ours = []
    for path in train_teacher.train(training, tmp_path, CURVE_MOVES):
        history = history_format.read(path)
        ends = np.flatnonzero(history.ended)
        returns = np.diff(np.cumsum(history.reward)[ends], prepend=0)
        ours.append(float(returns[ends >= CURVE_MOVES * 2 // 3].mean()))
    monkeypatch.setattr(torch.nn.functional, "smooth_l1_loss", torch.nn.functional.mse_loss)
    theirs = []
    for seed in seeds:
        lane = stable_baselines.OneLane(game, 1_000_000 * (seed + 1))
        peer = stable_baselines.model(lane, game, settings, CURVE_MOVES, seed)
        stored = {key: tensor[0] for key, tensor in network.initial_parameters(game, [seed]).items()}
        stable_baselines.set_network(peer.q_net, game, stored)
        stable_baselines.set_network(peer.q_net_target, game, stored)
        peer.learn(CURVE_MOVES)
        theirs.append(float(np.mean([r for move, r in lane.episodes if move >= CURVE_MOVES * 2 // 3])))
    with capsys.disabled():
        print(f"\nMinAtar Breakout, points an episode, moves {CURVE_MOVES * 2 // 3:,} to {CURVE_MOVES:,}:")
        print(f"ours {np.round(ours, 2)}, Stable-Baselines3 {np.round(theirs, 2)}")
    standard_error = np.sqrt((np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / CURVE_SEEDS)
    assert abs(np.mean(ours) - np.mean(theirs)) <= 2.5 * standard_error
    assert min(np.mean(ours), np.mean(theirs)) > 1.0  # random play scores 0.5


def test_exploration_is_one_then_decays_linearly_to_its_end():
    settings = dqn.DQNSettings(learning_starts=100, exploration_moves=200, exploration_end=0.1)
    assert [settings.exploration(move) for move in (0, 100, 200, 300, 10**7)] == pytest.approx(
        [1.0, 1.0, 0.55, 0.1, 0.1]
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", GAMES)
def test_cuda_learns_as_the_cpu_does(name):
    """Eager updates, the captured one and its replays give the CPU's network; batches are not moved."""
    game = games.load(name)
    settings = dqn.SETTINGS[game.family]
    on_cpu, on_cuda = (dqn.DQNLearner([game] * 2, settings, (0, 1), device) for device in ("cpu", "cuda"))
    rng = np.random.default_rng(8)
    held = Batch(*(column.cuda() for column in random_batch(game, rng, 2, settings.batch_size)))
    for _ in range(8):
        batch = random_batch(game, rng, 2, settings.batch_size)
        for held_column, column in zip(held, batch, strict=True):
            held_column.copy_(column)
        torch.testing.assert_close(on_cuda.update(held).cpu(), on_cpu.update(batch), atol=1e-4, rtol=1e-4)
    for seed in range(2):
        expected = on_cpu.tensors(seed)
        for key, tensor in on_cuda.tensors(seed).items():
            torch.testing.assert_close(tensor, expected[key], atol=1e-4, rtol=1e-3)
