"""A gated recurrent unit in each layer: the memory is one vector, replaced in part at every move.

Source: Cho et al., Learning phrase representations using RNN encoder-decoder (EMNLP 2014), in
the form that torch computes: the reset gate acts on the memory's product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from understudy.baselines.training.configured_architecture import ConfiguredArchitecture
from understudy.baselines.training.sequence_model import SequenceModel
from understudy.baselines.training.token import CELL_DIGITS
from understudy.suite import validation
from understudy.suite.protocols import Game, State


@dataclass(frozen=True)
class GRUConfig:
    """Settings of one model."""

    layers: int = validation.bounded(1, 64, meaning="blocks, one after another")
    width: int = validation.bounded(4, 4096, meaning="units of a token and of a layer's memory")
    mlp_width: int = validation.bounded(1, 16_384, meaning="hidden units of a block's MLP")
    cell_digits: int = validation.bounded(1, 2, 1, CELL_DIGITS)


DEFAULTS = {
    "cell": GRUConfig(layers=4, width=64, mlp_width=190),
    "planes": GRUConfig(layers=4, width=128, mlp_width=382),
    "frames": GRUConfig(layers=4, width=128, mlp_width=382),
}


class GRUMixer(nn.Module):
    """State: `hidden` float32 [B, W], between -1 and 1."""

    def __init__(self, width: int) -> None:
        """Draw the weights: orthogonal those of the memory's gates, uniform those of the input.

        Source: Cho et al. (2014), appendix, for the orthogonal ones. The input's have torch's range. The
        paper's standard deviation of 0.01 would leave a layer nearly without effect in the first updates.
        """
        super().__init__()
        self.gru = nn.GRU(width, width, batch_first=True)
        _, memory, *biases = self._weights()
        for gate in memory.data.split_with_sizes((width, width, width)):
            nn.init.orthogonal_(gate)
        for bias in biases:
            nn.init.zeros_(bias)

    def initial_state(self, batch_size: int) -> State:
        """Return the empty memory of `batch_size` rows."""
        return {"hidden": self._weights()[0].new_zeros(batch_size, self.gru.hidden_size)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the memory [B, W] after one move, twice."""
        hidden = torch.gru_cell(x, state["hidden"], *self._weights())
        return hidden, {"hidden": hidden}

    def unroll(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the memories [B, T, W] after each move, and the last."""
        mixed, hidden = self.gru(x, state["hidden"][None])
        return mixed, {"hidden": hidden[0]}

    def _weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the weights of the input and of the memory, [3 W, W] each, and their biases [3 W]."""
        gru = cast(Any, self.gru)  # whose parameters are declared by no type
        return gru.weight_ih_l0, gru.weight_hh_l0, gru.bias_ih_l0, gru.bias_hh_l0


class GRU(SequenceModel):
    """The frame of the recurrent architectures with this mixer."""

    def __init__(self, config: GRUConfig, game: Game) -> None:
        super().__init__(
            game,
            config.width,
            config.layers,
            config.mlp_width,
            lambda: GRUMixer(config.width),
            config.cell_digits,
        )


ARCHITECTURE = ConfiguredArchitecture("gru", GRU, DEFAULTS, small={"layers": 2, "width": 16, "mlp_width": 32})
