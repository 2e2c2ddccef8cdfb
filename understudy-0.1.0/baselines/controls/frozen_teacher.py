"""The teacher's Q-network at move W, frozen: action values as logits, decoded greedily.

A positive control of skill, which must be a yes by construction: its start is the reference's start. A
negative control of improvement and transfer, which must be a no: it never changes. If there are several
networks, lane i plays network i; a single one is played by all lanes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from understudy.baselines.controls import Assignment
from understudy.baselines.controls.in_state.located import Located
from understudy.suite.io.file_names import NETWORK_AT_W
from understudy.suite.protocols import Game, State, Timestep
from understudy.suite.teachers import network


class FrozenTeacher(Located):
    """Action values of the present observation; the state counts moves, and nothing reads it."""

    reach_moves = 1

    def __init__(self, parameters: network.Parameters, game: Game) -> None:
        super().__init__()
        self.game = game
        for name, tensor in parameters.items():
            self.register_buffer(name.replace(".", "_"), tensor)  # [S, ...], S networks
        self._names = tuple(parameters)
        self._shared = len(next(iter(parameters.values()))) == 1

    def initial_state(self, batch_size: int) -> State:
        """Return {"age": zeros int64 [B]}, the number of moves seen."""
        return {"age": torch.zeros(batch_size, dtype=torch.int64, device=self.device)}

    @torch.no_grad()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return action values [B, A] for one move, and the next state."""
        age = state["age"].masked_fill(timestep.first_of_run, 0) + 1
        return self._values(timestep.observation.unsqueeze(1))[:, 0], {"age": age}

    @torch.no_grad()
    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return action values [B, T, A] for T moves, and the state after them."""
        age = state["age"].masked_fill(timesteps.first_of_run[:, 0], 0) + timesteps.first.shape[1]
        return self._values(timesteps.observation), {"age": age}

    def _values(self, observation: Tensor) -> Tensor:
        parameters = {name: self.get_buffer(name.replace(".", "_")) for name in self._names}
        if self._shared:  # all lanes are one batch of the network
            B, T = observation.shape[:2]
            flat = observation.flatten(0, 1).unsqueeze(0)  # [1, B*T, ...]
            return network.q_values(self.game, parameters, flat).view(B, T, -1)
        return network.q_values(self.game, parameters, observation)  # [B, T, A]


class FrozenTeacherControl:
    """The control's registered object."""

    name = "frozen-teacher"
    label = "frozen-teacher"
    uses_teachers = True
    decoding = "greedy"
    track = "frozen"
    tasks = None
    variants: tuple[str, ...] = ()

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player; InputError if a folder's network at W is missing or doesn't fit the game."""
        game = assignment.game
        networks = network.load_each([folder / NETWORK_AT_W for folder in assignment.teachers], game)
        networks = networks[:1] if len(set(assignment.teachers)) == 1 else networks
        return FrozenTeacher({name: torch.cat([n[name] for n in networks]) for name in networks[0]}, game)


CONTROL = FrozenTeacherControl()
