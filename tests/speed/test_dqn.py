"""Our DQN against Stable-Baselines3's, same network, batch and update ratio, same run, one thread."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch

from understudy.suite import games
from understudy.suite.teachers import dqn, teach

ROUNDS = 3


class OneLane(gymnasium.Env):
    """One lane of ours as the plain environment that Stable-Baselines3 takes."""

    def __init__(self, game):
        low, high = 0, min(game.observation_values - 1, 255)
        self.observation_space = gymnasium.spaces.Box(low, high, game.observation_shape, np.uint8)
        self.action_space = gymnasium.spaces.Discrete(game.num_actions)
        self.env = games.make([game])
        self.seed = 0

    def reset(self, seed=None, options=None):
        self.seed += 1
        observation, _ = self.env.reset(seed=np.array([self.seed]))
        return observation[0].astype(np.uint8), {}

    def step(self, action):
        observation, reward, terminated, truncated, _ = self.env.step(np.array([action], np.int64))
        return observation[0].astype(np.uint8), float(reward[0]), bool(terminated[0]), bool(truncated[0]), {}


def stable_baselines(game, settings, moves):
    """Return moves/s of Stable-Baselines3's DQN once it learns."""
    stable_baselines3 = pytest.importorskip("stable_baselines3")
    extractor = {}
    if game.family == "minatar":
        extractor = {
            "features_extractor_class": _minatar_extractor(),
            "net_arch": [],
            "normalize_images": False,
        }
    else:
        extractor = {"net_arch": []}
    model = stable_baselines3.DQN(
        "CnnPolicy",
        OneLane(game),
        learning_rate=settings.learning_rate,
        buffer_size=10_000,
        learning_starts=settings.learning_starts,
        batch_size=settings.batch_size,
        gamma=settings.discount,
        train_freq=settings.update_every,
        target_update_interval=settings.target_every,
        exploration_fraction=1e-6,
        exploration_final_eps=settings.exploration_end,
        policy_kwargs=extractor,
        device="cpu",
    )
    model.learn(settings.learning_starts + 8)
    began = time.perf_counter()
    model.learn(moves, reset_num_timesteps=False)
    return moves / (time.perf_counter() - began)


def _minatar_extractor():
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

    class Extractor(BaseFeaturesExtractor):
        def __init__(self, space):
            super().__init__(space, 128)
            self.layers = torch.nn.Sequential(
                torch.nn.Conv2d(10, 16, 3),
                torch.nn.ReLU(),
                torch.nn.Flatten(),
                torch.nn.Linear(1024, 128),
                torch.nn.ReLU(),
            )

        def forward(self, observations):
            return self.layers(observations.float())

    return Extractor


def ours(game, settings, moves, num_seeds, folder):
    """Return total moves/s of our lessons once they learn."""
    lesson = teach.Lesson((game.name,) * num_seeds, tuple(range(num_seeds)), 10**9, 50_000, settings)
    start = settings.learning_starts + 8
    times = []
    teach.teach(
        lesson,
        folder,
        start + moves,
        10**9,
        lambda progress: times.append(time.perf_counter()) if progress.moves >= start else None,
    )
    return moves * num_seeds / (times[-1] - times[0])


@pytest.mark.parametrize(
    ("name", "moves", "seeds"), [("atari/breakout", 200, (1,)), ("minatar/breakout", 1_000, (1, 8))]
)
def test_against_stable_baselines3(name, moves, seeds, tmp_path, capsys):
    torch.set_num_threads(1)
    game = games.load(name)
    settings = replace(
        dqn.SETTINGS[game.family], learning_starts=200, exploration_moves=1, memory_moves=10_000
    )
    found = {count: [] for count in seeds}
    for round_number in range(ROUNDS):
        peer = stable_baselines(game, settings, moves)
        for count in seeds:
            folder = tmp_path / f"{count}-{round_number}"
            found[count].append(ours(game, settings, moves, count, folder) / peer)
    with capsys.disabled():
        for count, ratios in found.items():
            print(
                f"\n{name}: {count} seeds / one Stable-Baselines3 run, total moves/s: median "
                f"{statistics.median(ratios):.2f} of {[round(ratio, 2) for ratio in ratios]}"
            )
