"""A selective state space in each layer: the memory's decay and its input are chosen by the present move.

With x_t [P] of a head, B_t and C_t [N] that the heads share, a step size d_t > 0 and A < 0 of each head,

    S_t = exp(d_t A) S_(t-1) + d_t B_t x_t^T,    y_t = S_t^T C_t + D x_t.

x, B and C come out of a short convolution over moves. The output is multiplied by SiLU(z_t), normalised and
projected. The normalisation is a LayerNorm, which torch computes in one operation on the CPU.
Source: Dao and Gu, Transformers are SSMs (ICML 2024), with one group of B and C.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.baselines.training import gated_recurrence, short_convolution
from understudy.baselines.training.configured_architecture import ConfiguredArchitecture
from understudy.baselines.training.sequence_model import SequenceModel, drawn
from understudy.baselines.training.token import CELL_DIGITS
from understudy.suite import validation
from understudy.suite.errors import InputError
from understudy.suite.protocols import Game, State

EXPANSION = 2  # inner width over width. Source: Dao and Gu (2024)
STEP_SIZES = (1e-3, 1e-1)  # of initial models, log-uniform. Source: Gu and Dao, Mamba (2024)
DECAY_RATES = (1.0, 16.0)  # -A of initial models, uniform. Source: the code published with Dao and Gu (2024)


@dataclass(frozen=True)
class MambaConfig:
    """Settings of one model."""

    layers: int = validation.bounded(1, 64, meaning="blocks, one after another")
    width: int = validation.bounded(4, 4096, meaning="units of a token; twice that is a multiple of heads")
    heads: int = validation.bounded(1, 64, meaning="parts of a layer's memory, each with its own decay")
    state_width: int = validation.bounded(1, 1024, meaning="units of the memory for each unit of its input")
    mlp_width: int = validation.bounded(1, 16_384, meaning="hidden units of a block's MLP")
    cell_digits: int = validation.bounded(1, 2, 1, CELL_DIGITS)

    def __post_init__(self) -> None:
        if EXPANSION * self.width % self.heads:
            raise InputError(
                f"mamba: {EXPANSION} x width must be a multiple of heads; found {self.width}, {self.heads}"
            )


DEFAULTS = {
    "cell": MambaConfig(layers=4, width=64, heads=4, state_width=16, mlp_width=174),
    "planes": MambaConfig(layers=4, width=128, heads=4, state_width=16, mlp_width=360),
    "frames": MambaConfig(layers=4, width=128, heads=4, state_width=16, mlp_width=360),
}


class MambaMixer(nn.Module):
    """State: `memory` float32 [B, N, 2 W]; `inputs` float32 [B, 4, 2 W + 2 N], the convolution's last."""

    def __init__(self, config: MambaConfig) -> None:
        super().__init__()
        W, H, N = config.width, config.heads, config.state_width
        self.inner, self.heads, self.state_width = EXPANSION * W, H, N
        self.convolved = self.inner + 2 * N
        self.project_in = drawn(self.convolved + self.inner + H, W, std=math.sqrt(2 / (5 * W)))
        self.weight = short_convolution.drawn_weight(self.convolved)
        self.step_bias = nn.Parameter(gated_recurrence.initial_step_biases(H, STEP_SIZES))
        self.log_rate = nn.Parameter(torch.empty(H).uniform_(*DECAY_RATES).log())
        self.skip = nn.Parameter(torch.ones(H, 1))
        self.project_out = drawn(W, self.inner, std=1 / math.sqrt(self.inner * 2 * config.layers))

    def initial_state(self, batch_size: int) -> State:
        """Return the empty memory of `batch_size` rows."""
        zeros, moves = self.log_rate.new_zeros, short_convolution.MOVES
        return {
            "memory": zeros(batch_size, self.state_width, self.inner),
            "inputs": zeros(batch_size, moves, self.convolved),
        }

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return [B, W] of tokens [B, W], and the next state."""
        B, H, N, memory = len(x), self.heads, self.state_width, state["memory"]
        inputs, gate, size = self._project(x)
        mixed, inputs = short_convolution.step(inputs, state["inputs"], self.weight)
        value, key, query = torch.split_with_sizes(mixed, (self.inner, N, N), -1)
        decay = (size * self.log_rate.exp().neg()).exp_()  # [B, H]
        heads = value.view(B, H, -1)  # [B, H, P]
        memory.mul_(decay[..., None].expand_as(heads).reshape(B, 1, -1))
        memory.addcmul_(key[..., None], (heads * size[..., None]).view(B, 1, -1))
        read = torch.bmm(query[:, None], memory).view_as(heads).addcmul_(self.skip, heads)
        return self._finish(read.flatten(1), gate), {"memory": memory, "inputs": inputs}

    def unroll(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return [B, T, W] of tokens [B, T, W], and the state after them."""
        B, T, H, N = *x.shape[:2], self.heads, self.state_width
        inputs, gate, size = self._project(x)
        mixed, inputs = short_convolution.unroll(inputs, state["inputs"], self.weight)
        value, key, query = torch.split_with_sizes(mixed, (self.inner, N, N), -1)
        heads = value.view(B, T, H, -1)
        memory = state["memory"].view(B, N, H, -1).transpose(1, 2)  # [B, H, N, P]
        read, memory = gated_recurrence.unroll(
            query[:, None],
            key[:, None],
            (heads * size[..., None]).transpose(1, 2),
            (size * -self.log_rate.exp()).transpose(1, 2),
            memory,
        )
        read = torch.addcmul(read.transpose(1, 2), self.skip, heads)  # [B, T, H, P]
        memory = memory.transpose(1, 2).reshape(B, N, -1)
        return self._finish(read.flatten(2), gate), {"memory": memory, "inputs": inputs}

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the convolution's inputs [..., 2 W + 2 N], the gate [..., 2 W] and step sizes [..., H]."""
        parts = functional.linear(x, self.project_in)
        inputs, gate, size = torch.split_with_sizes(parts, (self.convolved, self.inner, self.heads), -1)
        return inputs, gate, functional.softplus(size + self.step_bias)

    def _finish(self, read: Tensor, gate: Tensor) -> Tensor:
        """Return the output [..., W]; the normalisation has no scale of its own: the projection has one."""
        gated = read * functional.silu(gate)
        return functional.linear(torch.layer_norm(gated, gated.shape[-1:]), self.project_out)


class Mamba(SequenceModel):
    """The frame of the recurrent architectures with this mixer."""

    def __init__(self, config: MambaConfig, game: Game) -> None:
        super().__init__(
            game,
            config.width,
            config.layers,
            config.mlp_width,
            lambda: MambaMixer(config),
            config.cell_digits,
        )


ARCHITECTURE = ConfiguredArchitecture(
    "mamba", Mamba, DEFAULTS, small={"layers": 2, "width": 16, "heads": 2, "state_width": 4, "mlp_width": 32}
)
