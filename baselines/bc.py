"""Behaviour cloning: predict the next action from the present observation alone, without memory.

Source: Pomerleau, ALVINN: an autonomous land vehicle in a neural network (NeurIPS 1988).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from understudy.baselines.training import seeded_parameters
from understudy.baselines.training.encoder import encode, encoder, observation_kind
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


class BCArchitecture:
    """The architecture's registered object."""

    name = "bc"
    settings = BCConfig

    def config(self, game: Game, **overrides: Any) -> dict[str, Any]:
        """Return all settings: the game's defaults with overrides; InputError for an unknown or unfit one."""
        defaults = asdict(DEFAULTS[observation_kind(game)])
        return asdict(validation.checked(BCConfig, defaults | overrides, self.name, "setting"))

    def build(self, config: Mapping[str, Any], game: Game, seed: int = 0) -> nn.Module:
        """Return an untrained model with parameters drawn from `seed`; InputError for a bad config."""
        with seeded_parameters.parameters_from(seed):
            return cast(nn.Module, BC(validation.checked(BCConfig, config, self.name, "setting"), game))


ARCHITECTURE = BCArchitecture()
