"""A player that is not the submission's, whose logs a hostile claimant hands in."""

from __future__ import annotations

import torch
from torch import nn


class Other(nn.Module):
    """Moves right in every cell of Dark room."""

    reach_moves = 1

    def initial_state(self, batch_size):
        return {"age": torch.zeros(batch_size, dtype=torch.int64)}

    def step(self, timestep, state):
        logits = torch.zeros(len(timestep.first), 5)
        logits[:, 4] = 1.0
        return logits, {"age": state["age"] + 1}

    def unroll(self, timesteps, state):
        B, T = timesteps.first.shape
        logits = torch.zeros(B, T, 5)
        logits[..., 4] = 1.0
        return logits, {"age": state["age"] + T}
