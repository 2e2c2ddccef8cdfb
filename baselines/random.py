"""The random player: equal logits, to be decoded by sampling; uniform over the legal actions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from understudy.baselines import Assignment
from understudy.suite.protocols import State, Timestep


class Random(nn.Module):
    """No parameters and nothing to remember; the state counts moves because a state has a batch axis."""

    reach_moves = 1
    context_moves = 1

    def __init__(self, num_actions: int) -> None:
        super().__init__()
        self.num_actions = num_actions

    def initial_state(self, batch_size: int) -> State:
        """Return the count of moves seen, zero: {"age": int64 [B]}."""
        return {"age": torch.zeros(batch_size, dtype=torch.int64)}

    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return zeros [B, A], and the next state."""
        logits = torch.zeros(timestep.first.shape[0], self.num_actions)  # [B, A]
        return logits, {"age": state["age"].masked_fill(timestep.first_of_life, 0) + 1}

    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return zeros [B, T, A], and the state after T moves."""
        B, T = timesteps.first.shape
        age = state["age"].masked_fill(timesteps.first_of_life[:, 0], 0) + T
        return torch.zeros(B, T, self.num_actions), {"age": age}


class RandomControl:
    """The registered object; its logits mean the random player only when decoded by sampling."""

    name = "random"
    control = True
    decoding = "sample"
    track = "frozen"
    tasks = ("skill", "improvement", "transfer")
    variants: tuple[str, ...] = ()

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the random player of a game; the teachers' folders aren't read."""
        return Random(assignment.game.num_actions)


ARCHITECTURE = RandomControl()
