"""The random player: equal logits, decoded by sampling, so uniform over the legal actions.

A negative control: it never learns, so skill, improvement and transfer must be a no.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from understudy.baselines.controls import Assignment
from understudy.baselines.controls.in_state.located import Located
from understudy.suite.protocols import State, Timestep


class Random(Located):
    """No parameters and no memory; the state counts moves, and nothing reads it."""

    reach_moves = 1

    def __init__(self, num_actions: int) -> None:
        super().__init__()
        self.num_actions = num_actions

    def initial_state(self, batch_size: int) -> State:
        """Return {"age": zeros int64 [B]}, the number of moves seen."""
        return {"age": torch.zeros(batch_size, dtype=torch.int64, device=self.device)}

    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return zeros [B, A], and the next state."""
        logits = torch.zeros(timestep.first.shape[0], self.num_actions, device=self.device)  # [B, A]
        return logits, {"age": state["age"].masked_fill(timestep.first_of_run, 0) + 1}

    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return zeros [B, T, A], and the state after T moves."""
        B, T = timesteps.first.shape
        age = state["age"].masked_fill(timesteps.first_of_run[:, 0], 0) + T
        return torch.zeros(B, T, self.num_actions, device=self.device), {"age": age}


class RandomControl:
    """The control's registered object; its logits are the random player's only if decoded by sampling."""

    name = "random"
    label = "random"
    uses_teachers = False
    decoding = "sample"
    track = "frozen"
    tasks = None
    variants: tuple[str, ...] = ()

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the random player of a game; the teachers' folders are not read."""
        return Random(assignment.game.num_actions)


CONTROL = RandomControl()
