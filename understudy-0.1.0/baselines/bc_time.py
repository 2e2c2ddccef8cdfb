"""Behaviour cloning with the number of moves as a second input: it imitates how a teacher changes over time.

It cannot learn in its run, as it remembers nothing else of the past moves. The number of moves, the age, is
read as a bucket. The buckets grow from one move by a constant factor; the last one covers the end of the
watched moves and all later ages. So the model's behaviour approaches the teachers' at the end of what it
watched, and does not change afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.baselines.training.configured_architecture import ConfiguredArchitecture
from understudy.baselines.training.encoder import encode, encoder
from understudy.suite import validation
from understudy.suite.protocols import Game, State, Timestep


@dataclass(frozen=True)
class BCTimeConfig:
    """Settings of one model."""

    width: int = validation.bounded(2, 4096, meaning="units of the encoder's output and of the hidden layer")
    ages: int = validation.bounded(2, 1024, meaning="number of age buckets")
    watched_moves: int = validation.bounded(
        2, 1_000_000_000, meaning="moves up to which ages are distinguished"
    )


# watched_moves is W of each family's benchmark.
DEFAULTS = {
    "cell": BCTimeConfig(64, ages=16, watched_moves=1_300),
    "planes": BCTimeConfig(128, ages=16, watched_moves=250_000),
    "frames": BCTimeConfig(256, ages=16, watched_moves=1_000_000),
}


class BCTime(nn.Module):
    """Encoder plus a learned age vector, one hidden layer, one logit per action; its state is the age."""

    reach_moves = None  # the age counts from the first move of the run

    def __init__(self, config: BCTimeConfig, game: Game) -> None:
        super().__init__()
        self.encoder = encoder(game, config.width)
        self.age_vectors = nn.Embedding(config.ages, config.width)
        nn.init.zeros_(self.age_vectors.weight)  # so that a rarely seen age adds nothing instead of noise
        self.decide = nn.Sequential(
            nn.ReLU(),
            nn.Linear(config.width, config.width),
            nn.ReLU(),
            nn.Linear(config.width, game.num_actions),
        )
        self.first_ages: Tensor
        self.register_buffer("first_ages", torch.tensor(_first_ages(config)), persistent=False)

    def initial_state(self, batch_size: int) -> State:
        """Return {"age": zeros int64 [B]}, the number of moves seen."""
        return {"age": torch.zeros(batch_size, dtype=torch.int64, device=self.first_ages.device)}

    def state_at(self, moves: Tensor) -> State:
        """Return the state of runs after so many moves, int64 [B]; it does not depend on what was seen."""
        return {"age": moves.clone()}

    @torch.no_grad()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, A] for one move, and the next state."""
        age = state["age"].masked_fill(timestep.first_of_run, 0)
        vectors = encode(self.encoder, timestep.observation, 1)  # [B, width]
        return self.decide(vectors + self._age_vector(age)), {"age": age + 1}

    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, T, A] for T moves, and the state after them."""
        T = timesteps.first.shape[1]
        age = state["age"].masked_fill(timesteps.first_of_run[:, 0], 0)
        vectors = encode(self.encoder, timesteps.observation, 2)  # [B, T, width]
        ages = age[:, None] + torch.arange(T, device=age.device)
        return self.decide(vectors + self._age_vector(ages)), {"age": age + T}

    def _age_vector(self, age: Tensor) -> Tensor:
        """Return vectors [..., width] of ages [...] in moves."""
        bucket = torch.bucketize(age, self.first_ages, right=True)
        return functional.embedding(bucket, self.age_vectors.weight)


def _first_ages(config: BCTimeConfig) -> list[int]:
    """Return the first age of each bucket but the first, rising: W^(k / buckets), at least one move apart."""
    factor = config.watched_moves ** (1 / config.ages)
    return [max(k + 1, round(factor**k)) for k in range(1, config.ages)]


ARCHITECTURE = ConfiguredArchitecture("bc-time", BCTime, DEFAULTS, small={"width": 32})
