"""Behaviour cloning that also knows how many moves its life has: it imitates how a teacher changed with time.

It can't learn: what happened in those moves is not remembered. A count is read as an age bucket; the buckets
grow from one move, each by the same factor, and the last one, which ends the watched moves, holds all later
ages. So it becomes what teachers were late in what it watched, and from then on it stays that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.baselines.learning import drawing, settings
from understudy.baselines.learning.encoder import encode, encoder, observation_kind
from understudy.suite.protocols import Game, State, Timestep


@dataclass(frozen=True)
class Config:
    """Sizes of one model."""

    width: int = settings.bounded(2, 4096)  # units of the encoder's output and of the hidden layer
    ages: int = settings.bounded(2, 1024)  # buckets of the count
    watched_moves: int = settings.bounded(2, 1_000_000_000)  # up to which the count is told apart


# W of each family's benchmark.
DEFAULTS = {
    "cell": Config(64, ages=16, watched_moves=1_300),
    "planes": Config(128, ages=16, watched_moves=250_000),
    "frames": Config(256, ages=16, watched_moves=1_000_000),
}


class StepCounter(nn.Module):
    """Encoder plus a vector of the age, one hidden layer, one logit an action; the state is the age."""

    reach_moves = None  # the first move of the life is what is counted from
    context_moves = 1

    def __init__(self, config: Config, game: Game) -> None:
        super().__init__()
        self.encoder = encoder(game, config.width)
        self.age_vectors = nn.Embedding(config.ages, config.width)
        nn.init.zeros_(self.age_vectors.weight)  # a rarely seen age starts as no age at all, not as noise
        self.decide = nn.Sequential(
            nn.ReLU(),
            nn.Linear(config.width, config.width),
            nn.ReLU(),
            nn.Linear(config.width, game.num_actions),
        )
        self.first_ages: Tensor
        self.register_buffer("first_ages", torch.tensor(_first_ages(config)), persistent=False)

    def initial_state(self, batch_size: int) -> State:
        """Return the count of moves seen, zero: {"age": int64 [B]}."""
        return {"age": torch.zeros(batch_size, dtype=torch.int64)}

    def state_at(self, moves: Tensor) -> State:
        """Return what a life's state is after so many moves, int64 [B], whatever was seen in them."""
        return {"age": moves.clone()}

    @torch.no_grad()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, A] for one move, and the next state."""
        age = state["age"].masked_fill(timestep.first_of_life, 0)
        vectors = encode(self.encoder, timestep.observation, 1)  # [B, width]
        return self.decide(vectors + self._age_vector(age)), {"age": age + 1}

    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, T, A] for T moves, and the state after them."""
        T = timesteps.first.shape[1]
        age = state["age"].masked_fill(timesteps.first_of_life[:, 0], 0)
        vectors = encode(self.encoder, timesteps.observation, 2)  # [B, T, width]
        ages = age[:, None] + torch.arange(T)
        return self.decide(vectors + self._age_vector(ages)), {"age": age + T}

    def _age_vector(self, age: Tensor) -> Tensor:
        """Return vectors [..., width] of ages [...] in moves."""
        bucket = torch.bucketize(age, self.first_ages, right=True)
        return functional.embedding(bucket, self.age_vectors.weight)


class StepCounterArchitecture:
    """The registered object."""

    name = "step-counter"
    control = False

    def config(self, game: Game, **overrides: Any) -> dict[str, Any]:
        """Return all settings for a game; InputError for an unknown or unfit one."""
        defaults = asdict(DEFAULTS[observation_kind(game)])
        return asdict(settings.checked(Config, defaults | overrides, self.name))

    def build(self, config: Mapping[str, Any], game: Game, seed: int = 0) -> nn.Module:
        """Return an untrained model, its parameters drawn from `seed`; InputError for a bad config."""
        with drawing.parameters_from(seed):
            return cast(nn.Module, StepCounter(settings.checked(Config, config, self.name), game))


def _first_ages(config: Config) -> list[int]:
    """Return the first age of each bucket but the first, rising: W^(k / buckets), one move apart at least."""
    factor = config.watched_moves ** (1 / config.ages)
    return [max(k + 1, round(factor**k)) for k in range(1, config.ages)]


ARCHITECTURE = StepCounterArchitecture()
