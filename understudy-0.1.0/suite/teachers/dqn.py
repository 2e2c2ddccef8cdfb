"""DQN in one file: settings with their sources, the update rule, several seeds stacked along one axis.

Source: Mnih et al., Human-level control through deep reinforcement learning (Nature 2015).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from understudy.suite.protocols import Game
from understudy.suite.teachers import graphs, network
from understudy.suite.teachers.replay_memory import Batch

VECTOR = 64  # numbers; a multiple of a processor's vector width


@dataclass(frozen=True)
class DQNSettings:
    """Hyper-parameters of one family's teachers; counts are in moves."""

    discount: float = 0.99
    batch_size: int = 32
    memory_moves: int = 1_000_000
    learning_starts: int = 20_000
    update_every: int = 4
    target_every: int = 8_000
    exploration_moves: int = 250_000  # over which exploration falls linearly from 1, after learning_starts
    exploration_end: float = 0.01
    reward_clip: float | None = 1.0  # for learning only; the log holds raw points
    learning_rate: float = 6.25e-5  # of Adam
    optimiser_epsilon: float = 1.5e-4  # of Adam

    def exploration(self, move: int) -> float:
        """Return the probability of exploring at a move: 1, then linear decay, then `exploration_end`."""
        progress = (move - self.learning_starts) / self.exploration_moves
        if progress >= 1:
            return self.exploration_end
        return 1 + (self.exploration_end - 1) * max(0.0, progress)


# Sources: the configurations published with Dopamine (Castro et al., arXiv:1812.06110): atari, its Adam
# runs; minatar, labs/environments/minatar, but exploration falls over 100k moves as in Young and Tian
# (arXiv:1903.03176), so that it is at the benchmark's 0.01 before W. darkroom: ours.
SETTINGS: Mapping[str, DQNSettings] = {
    "atari": DQNSettings(),
    "minatar": DQNSettings(
        memory_moves=100_000,
        learning_starts=1_000,
        target_every=1_000,
        exploration_moves=100_000,
        reward_clip=None,
        learning_rate=2.5e-4,
        optimiser_epsilon=3.125e-4,
    ),
    "darkroom": DQNSettings(
        discount=0.95,
        memory_moves=20_000,
        learning_starts=100,
        update_every=1,
        target_every=100,
        exploration_moves=1_000,  # ends before W
        exploration_end=0.1,
        reward_clip=None,
        learning_rate=4e-4,
        optimiser_epsilon=1e-8,
    ),
}


def td_targets(settings: DQNSettings, batch: Batch, target: network.Network, illegal: Tensor) -> Tensor:
    """Return one-step targets r + discount * max over legal a of Q_target(s', a), [S, B].

    `illegal` is a mask [S, 1, A].
    """
    rewards = batch.rewards
    if settings.reward_clip is not None:
        rewards = rewards.clamp(-settings.reward_clip, settings.reward_clip)
    q = target.q_values(batch.next_observations)
    best = q.masked_fill(illegal, -torch.inf).amax(2)
    return rewards + settings.discount * ~batch.terminated * best


def backward(batch: Batch, targets: Tensor, online: network.Network, gradients: network.Parameters) -> Tensor:
    """Write the gradients of the mean squared errors to `gradients`; return Q(s, a) - target, [S, B]."""
    q = online.q_values(batch.observations)
    actions = batch.actions.unsqueeze(2)
    errors = q.gather(2, actions).squeeze(2) - targets  # [S, B]
    dq = torch.zeros_like(q).scatter_(2, actions, errors.mul(2 / errors.shape[1]).unsqueeze(2))
    online.backward(dq, gradients)
    return errors


class DQNLearner:
    """The networks and optimiser of S seeds; `act` and `update` work on all of them at once."""

    def __init__(
        self,
        games: Sequence[Game],
        settings: DQNSettings,
        seeds: Sequence[int],
        device: str = "cpu",
        precision: str = "float32",
    ) -> None:
        """Take the games [S], all of one family, and the seeds [S] of the initial networks.

        `precision` is one of network.PRECISIONS; InputError if the family does not support it.
        """
        self._settings = settings
        self._device = torch.device(device)
        self._game = games[0]
        initial = {
            name: network.to_layers(self._game, name, tensor).to(self._device)
            for name, tensor in network.initial_parameters(self._game, seeds).items()
        }
        self._padded = {name: _padded_zeros(tensor) for name, tensor in initial.items()}  # Adam's parameters
        self.online = {name: _view_like(self._padded[name], tensor) for name, tensor in initial.items()}
        self.gradients = {}
        for name, padded in self._padded.items():
            self.online[name].copy_(initial[name])
            padded.grad = torch.zeros_like(padded)
            self.gradients[name] = _view_like(padded.grad, initial[name])
        self.target = {name: tensor.clone() for name, tensor in self.online.items()}
        self.optimiser = torch.optim.Adam(
            self._padded.values(),
            settings.learning_rate,
            eps=settings.optimiser_epsilon,
            fused=True,
            capturable=self._device.type == "cuda",
        )
        self._acting = network.Network(games, self.online, 1, precision)
        self._learning = network.Network(games, self.online, settings.batch_size, precision)
        self._looking_ahead = network.Network(games, self.target, settings.batch_size, precision)
        legal = torch.tensor([game.legal_actions for game in games], device=self._device)
        self._illegal = ~legal.unsqueeze(1)  # [S, 1, A]
        self._update = graphs.GraphedFunction(self._learn, self._device)

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Return action values [S, A] of observations [S, *observation_shape]; valid until the next call."""
        seen = torch.from_numpy(observations).unsqueeze(1).to(self._device)
        values: np.ndarray = self._acting.q_values(seen)[:, 0].cpu().numpy()
        return values

    def update(self, batch: Batch) -> Tensor:
        """Make one update in each seed; return the losses [S], valid until the next update."""
        return self._update(batch)

    def td_targets(self, batch: Batch) -> Tensor:
        """Return one-step targets r + discount * max over legal a of Q_target(s', a), [S, B]."""
        return td_targets(self._settings, batch, self._looking_ahead, self._illegal)

    def copy_to_target(self) -> None:
        """Make the target network equal to the online one."""
        for name, tensor in self.online.items():
            self.target[name].copy_(tensor)

    def tensors(self, seed_index: int) -> dict[str, Tensor]:
        """Return one seed's networks and optimiser by name; a target equal to the network is left out."""
        found = {}
        for name, tensor in self.online.items():
            found[f"network.{name}"] = self._of_seed(name, tensor, seed_index)
        if any(not torch.equal(self.target[n][seed_index], t[seed_index]) for n, t in self.online.items()):
            for name, tensor in self.target.items():
                found[f"target.{name}"] = self._of_seed(name, tensor, seed_index)
        for name, tensor in self.online.items():
            for key, value in self.optimiser.state[self._padded[name]].items():
                stored = _view_like(value, tensor) if value.dim() else value
                found[f"optimiser.{key}.{name}"] = self._of_seed(name, stored, seed_index)
        return found

    def load_tensors(self, seed_index: int, tensors: Mapping[str, Tensor]) -> None:
        """Set one seed's networks and optimiser to what `tensors` returned."""
        for name, tensor in self.online.items():
            network_tensor = tensors[f"network.{name}"]
            self._set_of_seed(name, tensor, seed_index, network_tensor)
            self._set_of_seed(
                name, self.target[name], seed_index, tensors.get(f"target.{name}", network_tensor)
            )
            padded = self._padded[name]
            state = self.optimiser.state[padded]
            prefix, suffix = "optimiser.", f".{name}"
            for entry, value in tensors.items():
                if entry.startswith(prefix) and entry.endswith(suffix):
                    key = entry[len(prefix) : -len(suffix)]
                    if value.dim() == 0:
                        state[key] = value.clone().to(tensor.device)
                    else:
                        averages = state.setdefault(key, torch.zeros_like(padded))
                        self._set_of_seed(name, _view_like(averages, tensor), seed_index, value)

    def _learn(self, batch: Batch) -> Tensor:
        errors = backward(batch, self.td_targets(batch), self._learning, self.gradients)
        self.optimiser.step()
        return errors.square().mean(1)

    def _of_seed(self, name: str, tensor: Tensor, seed_index: int) -> Tensor:
        """Return one seed's part of a parameter or its averages, as stored; all seeds share a scalar."""
        if tensor.dim() > 0:
            tensor = network.from_layers(self._game, name, tensor[seed_index : seed_index + 1])[0]
        return tensor.cpu().clone(memory_format=torch.contiguous_format)

    def _set_of_seed(self, name: str, tensor: Tensor, seed_index: int, stored: Tensor) -> None:
        tensor[seed_index] = network.to_layers(self._game, name, stored.unsqueeze(0))[0].to(tensor.device)


def _padded_zeros(tensor: Tensor) -> Tensor:
    """Return flat zeros for a tensor's numbers, padded to whole vectors.

    Adam rounds a remainder after the last whole vector differently. Without a remainder each seed's numbers
    do not depend on the seeds that are stacked with it.
    """
    return tensor.new_zeros(-(-tensor.numel() // VECTOR) * VECTOR)


def _view_like(padded: Tensor, tensor: Tensor) -> Tensor:
    """Return a view of the first numbers of flat ones, with a tensor's shape and strides."""
    return padded.as_strided(tensor.shape, tensor.stride())
