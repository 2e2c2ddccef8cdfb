"""The teacher as it stood at move W, frozen: its Q-network's values as logits, decoded greedily.

A control: it moves like the teacher and never gets better. With one network each lane plays it; with
several, lane i plays network i.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from understudy.baselines import Assignment
from understudy.suite.protocols import Game, State, Timestep
from understudy.suite.teachers import network

NETWORK_FILE = "network_at_w.safetensors"


class PolicyAtW(nn.Module):
    """Action values of the present observation; the state counts moves and nothing reads it."""

    reach_moves = 1
    context_moves = 1

    def __init__(self, parameters: network.Parameters, game: Game) -> None:
        super().__init__()
        self.game = game
        for name, tensor in parameters.items():
            self.register_buffer(name.replace(".", "_"), tensor)  # [S, ...], S networks
        self._names = tuple(parameters)
        self._shared = len(next(iter(parameters.values()))) == 1

    def initial_state(self, batch_size: int) -> State:
        """Return the count of moves seen, zero: {"age": int64 [B]}."""
        return {"age": torch.zeros(batch_size, dtype=torch.int64)}

    @torch.no_grad()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return action values [B, A] for one move, and the next state."""
        age = state["age"].masked_fill(timestep.first_of_life, 0) + 1
        return self._values(timestep.observation.unsqueeze(1))[:, 0], {"age": age}

    @torch.no_grad()
    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return action values [B, T, A] for T moves, and the state after them."""
        age = state["age"].masked_fill(timesteps.first_of_life[:, 0], 0) + timesteps.first.shape[1]
        return self._values(timesteps.observation), {"age": age}

    def _values(self, observation: Tensor) -> Tensor:
        parameters = {name: self.get_buffer(name.replace(".", "_")) for name in self._names}
        if self._shared:  # one network sees the lanes as one batch
            B, T = observation.shape[:2]
            flat = observation.flatten(0, 1).unsqueeze(0)  # [1, B*T, ...]
            return network.q_values(self.game, parameters, flat).view(B, T, -1)
        return network.q_values(self.game, parameters, observation)  # [B, T, A]


class PolicyAtWControl:
    """The registered object."""

    name = "policy-at-w"
    control = True
    decoding = "greedy"
    track = "frozen"
    tasks = ("skill", "improvement", "transfer")
    variants: tuple[str, ...] = ()

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player; InputError if a folder's network at W is missing or doesn't fit the game."""
        game = assignment.game
        networks = network.load_each([folder / NETWORK_FILE for folder in assignment.teachers], game)
        networks = networks[:1] if len(set(assignment.teachers)) == 1 else networks
        return PolicyAtW({name: torch.cat([n[name] for n in networks]) for name in networks[0]}, game)


ARCHITECTURE = PolicyAtWControl()
