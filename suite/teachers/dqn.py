"""DQN in one file: settings with their sources, the update rule, many seeds side by side.

Source: Mnih et al., Human-level control through deep reinforcement learning (Nature 2015).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from understudy.suite.protocols import Game
from understudy.suite.teachers import network
from understudy.suite.teachers.memory import Batch


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters of one family's teacher; counts are in moves."""

    discount: float = 0.99
    batch_size: int = 32
    memory_moves: int = 1_000_000
    learning_starts: int = 20_000
    update_every: int = 4
    target_every: int = 8_000
    exploration_moves: int = 250_000  # exploration falls linearly from 1 over so many moves after the start
    exploration_end: float = 0.01
    reward_clip: float | None = 1.0  # for learning only; the log holds raw points
    learning_rate: float = 6.25e-5  # of Adam
    optimiser_epsilon: float = 1.5e-4

    def exploration(self, move: int) -> float:
        """Return the probability of exploring at a move: 1, then a line, then the end value."""
        progress = (move - self.learning_starts) / self.exploration_moves
        if progress >= 1:
            return self.exploration_end
        return 1 + (self.exploration_end - 1) * max(0.0, progress)


# Sources: the configurations published with Dopamine (Castro et al., arXiv:1812.06110): atari, its Adam
# runs; minatar, labs/environments/minatar, but exploration falls over 100k moves as in Young and Tian
# (arXiv:1903.03176), so that it is at the benchmark's 0.01 before W. darkroom: ours.
SETTINGS: Mapping[str, Settings] = {
    "atari": Settings(),
    "minatar": Settings(
        memory_moves=100_000,
        learning_starts=1_000,
        target_every=1_000,
        exploration_moves=100_000,
        reward_clip=None,
        learning_rate=2.5e-4,
        optimiser_epsilon=3.125e-4,
    ),
    "darkroom": Settings(
        discount=0.95,
        memory_moves=20_000,
        learning_starts=100,
        update_every=1,
        target_every=100,
        exploration_moves=1_000,  # at its end before W
        exploration_end=0.1,
        reward_clip=None,
        learning_rate=4e-4,
        optimiser_epsilon=1e-8,
    ),
}


class Learner:
    """The networks and optimiser of S seeds; `act` and `update` work on all of them at once."""

    def __init__(self, game: Game, settings: Settings, seeds: Sequence[int]) -> None:
        self._game = game
        self._settings = settings
        self.online = {
            name: tensor.requires_grad_() for name, tensor in network.initial_parameters(game, seeds).items()
        }
        self.target = {name: tensor.detach().clone() for name, tensor in self.online.items()}
        self.optimiser = torch.optim.Adam(
            self.online.values(), settings.learning_rate, eps=settings.optimiser_epsilon, fused=True
        )
        self._illegal = ~torch.tensor(game.legal_actions)  # [A]

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Return action values [S, A] float32 of observations [S, *observation_shape]."""
        with torch.inference_mode():
            q = network.q_values(self._game, self.online, torch.from_numpy(observations).unsqueeze(1))
            values: np.ndarray = q[:, 0].numpy()
            return values

    def update(self, batch: Batch) -> Tensor:
        """Make one gradient step in each seed; return the losses [S]."""
        actions = torch.from_numpy(batch.actions)
        targets = self.td_targets(batch)  # [S, B]
        q = network.q_values(self._game, self.online, torch.from_numpy(batch.observations))
        chosen = q.gather(2, actions.unsqueeze(2)).squeeze(2)  # [S, B]
        losses = (chosen - targets).square().mean(1)  # [S]
        self.optimiser.zero_grad(set_to_none=True)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return losses.detach()

    def td_targets(self, batch: Batch) -> Tensor:
        """Return one-step targets r + discount * max over legal a of Q_target(s', a), [S, B]."""
        rewards = torch.from_numpy(batch.rewards)
        if self._settings.reward_clip is not None:
            rewards = rewards.clamp(-self._settings.reward_clip, self._settings.reward_clip)
        with torch.no_grad():
            q = network.q_values(self._game, self.target, torch.from_numpy(batch.next_observations))
            best = q.masked_fill(self._illegal, -torch.inf).amax(2)
        continues = ~torch.from_numpy(batch.terminated)
        return rewards + self._settings.discount * continues * best

    def copy_to_target(self) -> None:
        """Make the target network equal to the online one."""
        with torch.no_grad():
            for name, tensor in self.online.items():
                self.target[name].copy_(tensor)

    def tensors(self, seed_index: int) -> dict[str, Tensor]:
        """Return everything one seed has learned, by name; a target equal to the network is left out."""
        found = {f"network.{name}": tensor.detach()[seed_index] for name, tensor in self.online.items()}
        if any(not torch.equal(self.target[n][seed_index], t[seed_index]) for n, t in self.online.items()):
            found |= {f"target.{name}": tensor[seed_index] for name, tensor in self.target.items()}
        for name, tensor in self.online.items():
            for key, value in self.optimiser.state[tensor].items():
                found[f"optimiser.{key}.{name}"] = value[seed_index] if value.dim() else value
        return {name: t.clone(memory_format=torch.contiguous_format) for name, t in found.items()}

    def load_tensors(self, seed_index: int, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `tensors` returned for a seed."""
        with torch.no_grad():
            for name, tensor in self.online.items():
                tensor[seed_index] = tensors[f"network.{name}"]
                self.target[name][seed_index] = tensors.get(f"target.{name}", tensors[f"network.{name}"])
                prefix, suffix = "optimiser.", f".{name}"
                for key, value in tensors.items():
                    if key.startswith(prefix) and key.endswith(suffix):
                        self._load_optimiser_entry(tensor, key[len(prefix) : -len(suffix)], seed_index, value)

    def _load_optimiser_entry(self, parameter: Tensor, key: str, seed_index: int, value: Tensor) -> None:
        state = self.optimiser.state[parameter]
        if value.dim() == 0:
            state[key] = value.clone()
        else:
            if key not in state:
                state[key] = torch.zeros_like(parameter)
            state[key][seed_index] = value
