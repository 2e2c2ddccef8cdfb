"""The in-state learner: updates worked out by hand, a slow version, and a goal that it must find."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.teacher_files import store_network

from understudy.baselines import controls
from understudy.baselines.controls import in_state_learner
from understudy.suite import draws, games
from understudy.suite.games.darkroom import DarkRoomVectorEnv
from understudy.suite.protocols import Timestep
from understudy.suite.teachers import network
from understudy.suite.testing import imitator_checks

DARKROOM = games.load("darkroom/goal-40")
BREAKOUT = games.load("minatar/breakout")


def at(timesteps, t):
    return Timestep(*(field[:, t] for field in timesteps))


def timesteps_of(cells, actions, rewards, firsts, legal=(True,) * 5):
    """Return one row's timesteps [1, T]; first_of_run is true at the first."""
    T = len(cells)
    return Timestep(
        torch.tensor([cells]),
        torch.tensor(legal).expand(1, T, 5),
        torch.tensor([actions]),
        torch.tensor([rewards], dtype=torch.float32),
        torch.tensor([firsts]),
        torch.arange(T)[None] == 0,
    )


def test_tabular_learning_by_hand(assigned, tmp_path):
    short = replace(DARKROOM, episode_cap_moves=2)
    player = controls.load("in-state-learner")[0].build_control(assigned(short, [tmp_path]))
    assert in_state_learner.RULES["cell"] == in_state_learner.QLearning(0.9, 1.0, 10.0)
    state = player.initial_state(1)
    first = (True, False, True, True, False)  # the third episode begins at move 3, the second had one move
    moves = timesteps_of([3, 4, 3, 3, 5], [0, 1, 2, 1, 4], [0, 2, 5, 6, 1], first)
    seen = []
    for t in range(5):
        values, state = player.step(at(moves, t), state)
        seen.append(values[0].tolist())
    assert seen[0] == seen[1] == [10] * 5  # the first move updated values of cell 3 only
    # 3 -1-> 4 for 2 points: 2 + 0.9 x 10. 4 -2-> was truncated at the cap of 2 moves: no update.
    assert seen[2] == pytest.approx([10, 11, 10, 10, 10])
    # 3 -1-> for 6 points, and the episode ended after one move, before the cap: 6.
    assert seen[3] == pytest.approx([10, 6, 10, 10, 10])
    # 3 -4-> 5 for 1 point.
    assert seen[4] == pytest.approx([10] * 5)
    table = state["weights"][0].T  # [cells, A]
    assert table[3].tolist() == pytest.approx([10, 6, 10, 10, 10])
    assert table[4].tolist() == pytest.approx([10] * 5)


def test_only_legal_actions_enter_the_target(assigned, tmp_path):
    player = controls.load("in-state-learner")[0].build_control(assigned(DARKROOM, [tmp_path]))
    legal = (True, True, False, False, False)
    # In cell 5 both legal actions turn out worth 0 + 0.9 x 10 = 9 or less; 2 to 4 would still be worth 10.
    cells, actions = [5, 6, 5, 6, 5], [0, 0, 0, 1, 0]
    moves = timesteps_of(cells, actions, [0.0] * 5, (True, False, False, False, False), legal)
    state = player.initial_state(1)
    for t in range(5):
        _, state = player.step(at(moves, t), state)
    # 5 -0-> 6: 9; 6 -0-> 5: 0.9 x max(9, 10) = 9; 5 -1-> 6: 0.9 x max(9, 10) = 9; 6 -0-> 5: 0.9 x 9 = 8.1.
    assert state["weights"][0, :2, 5].tolist() == pytest.approx([9, 9])
    assert state["weights"][0, :2, 6].tolist() == pytest.approx([8.1, 10])


def slow_linear(features, timesteps, rule, cap, num_actions):
    """Return the values [T, A] of one row: each update as its equation says, in float64."""
    weights = np.zeros((num_actions, features.shape[1]))
    weights[:, -1] = rule.first_value
    values, moves = [], 0
    for t, now in enumerate(features):
        if t > 0 and not (timesteps.first[t] and moves >= cap):
            action, reward = int(timesteps.previous_action[t]), float(timesteps.previous_reward[t])
            legal = timesteps.legal_actions[t].numpy()
            ahead = 0.0 if timesteps.first[t] else max((weights @ now)[legal])
            error = reward + rule.discount * ahead - weights[action] @ features[t - 1]
            weights[action] += rule.step_size * error * features[t - 1]
        moves = 1 if timesteps.first[t] else moves + 1
        values.append(weights @ now)
    return np.stack(values)


def test_linear_learning_equals_the_slow_version(assigned, tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    parameters = [store_network(tmp_path / name, BREAKOUT, seed) for seed, name in enumerate("ab")]
    player = controls.load("in-state-learner")[0].build_control(
        assigned(BREAKOUT, [tmp_path / "a", tmp_path / "b"])
    )
    timesteps = imitator_checks.random_timesteps(BREAKOUT, 2, 60, seed=1)
    with torch.no_grad():
        features = player.features(timesteps.observation, torch.arange(2))  # [2, 60, 129]
    torch.testing.assert_close(features.norm(dim=2), torch.ones(2, 60))
    for lane, lane_parameters in enumerate(parameters):
        hidden = features[lane, :, :-1] / features[lane, :, -1:]
        values = hidden @ lane_parameters["linear1.weight"][0] + lane_parameters["linear1.bias"]
        torch.testing.assert_close(
            values, network.q_values(BREAKOUT, lane_parameters, timesteps.observation[[lane]])[0]
        )
    logits = imitator_checks.play(player, timesteps)
    for lane in range(2):
        row = Timestep(*(field[lane] for field in timesteps))
        expected = slow_linear(
            features[lane].double().numpy(), row, in_state_learner.RULES["planes"], 2500, 6
        )
        np.testing.assert_allclose(logits[lane].numpy(), expected, atol=1e-4)
    assert logits.abs().max() > 0.1


def test_the_in_state_learner_finds_the_goal(assigned, tmp_path):
    """Points an episode approach 20 minus the moves to the goal; a random player has a fifth of a point."""
    player = controls.load("in-state-learner")[0].build_control(assigned(DARKROOM, [tmp_path]))
    lanes, moves = 4, 4000
    environment = DarkRoomVectorEnv(np.array([0, 20, 40, 60]))
    cell, _ = environment.reset(seed=np.arange(lanes))
    state = player.initial_state(lanes)
    action, reward, first = np.zeros(lanes, np.int64), np.zeros(lanes, np.float32), np.ones(lanes, bool)
    legal = torch.ones(lanes, 5, dtype=torch.bool)
    uniforms = draws.Uniforms(0, "test", 2 * lanes)
    points = np.zeros((moves, lanes))
    for move in range(moves):
        feedback = (torch.from_numpy(x) for x in (action, reward, first, np.full(lanes, move == 0)))
        logits, state = player.step(Timestep(torch.from_numpy(cell), legal, *feedback), state)
        drawn = uniforms.at(move)
        explored = drawn[:lanes] < 0.1
        action = np.where(explored, (drawn[lanes:] * 5).astype(np.int64), logits.argmax(1).numpy())
        cell, reward, _, first, _ = environment.step(action)
        points[move] = reward
    assert points[:200].sum() / (10 * lanes) < 6
    assert points[-1000:].sum() / (50 * lanes) > 9
