"""Behaviour cloning: predict the next action from the present observation alone, without memory.

Source: Pomerleau, ALVINN: an autonomous land vehicle in a neural network (NeurIPS 1988).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from understudy.baselines.training.configured_architecture import ConfiguredArchitecture
from understudy.baselines.training.encoder import encode, encoder
from understudy.suite import validation
from understudy.suite.protocols import Game, State, Timestep


@dataclass(frozen=True)
class BCConfig:
    """Settings of one model."""

    width: int = validation.bounded(2, 4096, meaning="units of the encoder's output and of the hidden layer")


DEFAULTS = {"cell": BCConfig(64), "planes": BCConfig(128), "frames": BCConfig(256)}


class BC(nn.Module):
    """Encoder, one hidden layer, one logit per action; the state counts moves, and nothing reads it."""

    reach_moves = 1

    def __init__(self, config: BCConfig, game: Game) -> None:
        super().__init__()
        self.encoder = encoder(game, config.width)
        self.decide = nn.Sequential(
            nn.ReLU(),
            nn.Linear(config.width, config.width),
            nn.ReLU(),
            nn.Linear(config.width, game.num_actions),
        )

    def initial_state(self, batch_size: int) -> State:
        """Return {"age": zeros int64 [B]}, the number of moves seen."""
        here = next(self.parameters()).device
        return {"age": torch.zeros(batch_size, dtype=torch.int64, device=here)}

    @torch.no_grad()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, A] for one move, and the next state."""
        logits = self.decide(encode(self.encoder, timestep.observation, 1))  # [B, A]
        return logits, {"age": state["age"].masked_fill(timestep.first_of_run, 0) + 1}

    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, T, A] for T moves, and the state after them."""
        logits = self.decide(encode(self.encoder, timesteps.observation, 2))  # [B, T, A]
        num_moves = timesteps.first.shape[1]
        age = state["age"].masked_fill(timesteps.first_of_run[:, 0], 0) + num_moves
        return logits, {"age": age}


ARCHITECTURE = ConfiguredArchitecture("bc", BC, DEFAULTS, small={"width": 32})
