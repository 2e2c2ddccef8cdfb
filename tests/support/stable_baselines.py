"""Stable-Baselines3's DQN with a teacher's network and settings: a peer for speed and for correctness.

Source: Raffin et al., Stable-Baselines3 (JMLR 2021), https://github.com/DLR-RM/stable-baselines3
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from understudy.suite import games
from understudy.suite.protocols import Game
from understudy.suite.teachers import network
from understudy.suite.teachers.dqn import DQNSettings


class OneLane(gymnasium.Env[np.ndarray, np.int64]):
    """One lane of a game as a plain environment; `episodes` collects each episode's last move and return."""

    def __init__(self, game: Game, seed: int) -> None:
        """Take the seed of the first episode; each following episode has the next number."""
        high = min(game.observation_values - 1, 255)
        self.observation_space = gymnasium.spaces.Box(0, high, game.observation_shape, np.uint8)
        self.action_space = gymnasium.spaces.Discrete(game.num_actions)
        self.episodes: list[tuple[int, float]] = []  # (moves so far at its end, return)
        self._lane = games.make([game])
        self._seed = seed
        self._moves = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start the next episode; the seed given here is ignored."""
        self._seed += 1
        self._return = 0.0
        observation, _ = self._lane.reset(seed=np.array([self._seed]))
        return observation[0].astype(np.uint8), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Make one move."""
        observation, reward, terminated, truncated, _ = self._lane.step(np.array([action], np.int64))
        self._moves += 1
        self._return += float(reward[0])
        if terminated[0] or truncated[0]:
            self.episodes.append((self._moves, self._return))
        return observation[0].astype(np.uint8), float(reward[0]), bool(terminated[0]), bool(truncated[0]), {}


def model(environment: OneLane, game: Game, settings: DQNSettings, total_moves: int, seed: int) -> DQN:
    """Return the DQN of a game with convolutions; its loss is the library's, Huber's."""
    return DQN(
        "CnnPolicy",
        environment,
        learning_rate=settings.learning_rate,
        buffer_size=min(settings.memory_moves, total_moves),
        learning_starts=settings.learning_starts,
        batch_size=settings.batch_size,
        gamma=settings.discount,
        train_freq=settings.update_every,
        target_update_interval=settings.target_every,
        exploration_fraction=min(settings.exploration_moves / total_moves, 1.0),
        exploration_final_eps=settings.exploration_end,
        max_grad_norm=1e9,
        policy_kwargs={
            "features_extractor_class": Extractor,
            "features_extractor_kwargs": {"game": game},
            "normalize_images": False,
            "net_arch": [],
            "optimizer_kwargs": {"eps": settings.optimiser_epsilon},
        },
        device="cpu",
        seed=seed,
    )


class Extractor(BaseFeaturesExtractor):
    """A teacher's network without its last layer, as plain modules."""

    def __init__(self, space: gymnasium.spaces.Box, game: Game) -> None:
        convolutions, (units,) = network.ARCHITECTURES[game.family]
        super().__init__(space, units)
        self._scale = 1 / 255 if game.observation_values == 256 else 1.0
        layers: list[nn.Module] = []
        channels, height, width = game.observation_shape
        for out, kernel, stride in convolutions:
            layers += [nn.Conv2d(channels, out, kernel, stride), nn.ReLU()]
            channels, height, width = out, (height - kernel) // stride + 1, (width - kernel) // stride + 1
        layers += [nn.Flatten(), nn.Linear(channels * height * width, units), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, observations: Tensor) -> Tensor:
        """Return features [B, units] of observations [B, C, H, W]."""
        found: Tensor = self.layers(observations.float() * self._scale)
        return found


def set_network(q_network: nn.Module, game: Game, stored: Mapping[str, Tensor]) -> None:
    """Set a network of `model` to a teacher's stored parameters."""
    with torch.no_grad():
        for tensor, value in zip(q_network.parameters(), as_modules(game, stored), strict=True):
            tensor.copy_(value)


def as_modules(game: Game, stored: Mapping[str, Tensor]) -> list[Tensor]:
    """Return stored parameters in the form of plain modules: transposed, and flattened channel by channel."""
    found = []
    channels = network.ARCHITECTURES[game.family][0][-1][0]
    for name, tensor in stored.items():
        value = tensor
        if name == "linear0.weight":
            value = tensor.view(-1, channels, tensor.shape[1]).transpose(0, 1).flatten(0, 1)
        found.append(value.T if name.startswith("linear") and name.endswith("weight") else value)
    return found
