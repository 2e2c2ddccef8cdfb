"""`unroll` for a test's player that has `step` alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from understudy.suite.protocols import State, Timestep


def unrolled(player: Any, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
    """Return logits [B, T, A] of `step`, move by move, and the state after them."""
    logits = []
    for t in range(timesteps.first.shape[1]):
        answer, state = player.step(Timestep(*(column[:, t] for column in timesteps)), state)
        logits.append(answer)
    return torch.stack(logits, dim=1), state
