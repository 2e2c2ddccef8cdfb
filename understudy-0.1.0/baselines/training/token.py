"""One move as one vector, the input of every sequence model."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.baselines.training.encoder import encode, encoder
from understudy.suite.protocols import Game, Timestep

CELL_DIGITS = (
    "vectors that a number observed is the sum of: 1, or one for each of its 2 digits, row and column"
)


class Token(nn.Module):
    """The sum of the encoded observation, the previous action's vector and its outcome's."""

    def __init__(self, game: Game, width: int, cell_digits: int = 1) -> None:
        super().__init__()
        self.observation = encoder(game, width, cell_digits)
        self.action = nn.Embedding(game.num_actions + 1, width)  # the last one: a run begins, no action yet
        self.outcome = nn.Linear(3, width, bias=False)

    def forward(self, timestep: Timestep, leading_axes: int) -> Tensor:
        """Return tokens [..., W]; a reward r is represented by its sign and by sign(r) log(1 + |r|)."""
        action = timestep.previous_action.masked_fill(timestep.first_of_run, self.action.num_embeddings - 1)
        reward = timestep.previous_reward
        sign = reward.sign()
        outcome = torch.stack((sign, sign * reward.abs().log1p(), timestep.first.float()), dim=-1)  # [..., 3]
        seen = encode(self.observation, timestep.observation, leading_axes)
        done = functional.embedding(action, self.action.weight)  # two functions: modules take twice as long
        return seen + done + functional.linear(outcome, self.outcome.weight)
