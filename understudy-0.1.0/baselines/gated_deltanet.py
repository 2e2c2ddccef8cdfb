"""A matrix memory in each layer that is corrected by the delta rule and decays, the gated DeltaNet.

With a query and a key [K] of length 1 and a value [V] of a head, a decay a_t and a rate b_t, both in (0, 1),

    S_t = a_t (I - b_t k_t k_t^T) S_(t-1) + b_t k_t v_t^T,    y_t = S_t^T q_t,

the paper's memory transposed: what it returned for the key is replaced, in part b_t, by the value. Queries,
keys and values come out of a short convolution over moves. The output is normalised in each head, multiplied
by SiLU(z_t) and projected. The normalisation is a LayerNorm, one operation of torch on the CPU.
Source: Yang, Kautz and Hatamizadeh, Gated delta networks (ICLR 2025).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.baselines.training import gated_recurrence, short_convolution
from understudy.baselines.training.configured_architecture import ConfiguredArchitecture
from understudy.baselines.training.sequence_model import HeadsConfig, SequenceModel, drawn
from understudy.suite.protocols import Game, State

LEAST_LENGTH = 1e-6  # of a query or key, which is divided by it
STEP_SIZES = (1e-3, 1e-1)  # the decay is Mamba's, with its initial values. Source: Yang et al. (2024)
DECAY_RATES = (1.0, 16.0)


DEFAULTS = {
    "cell": HeadsConfig(layers=4, width=64, heads=2, mlp_width=220),
    "planes": HeadsConfig(layers=4, width=128, heads=4, mlp_width=444),
    "frames": HeadsConfig(layers=4, width=128, heads=4, mlp_width=444),
}


class GatedDeltaNetMixer(nn.Module):
    """State: `memory` float32 [B, H, D, D], and `inputs` float32 [B, 4, 3 W], the convolution's last ones."""

    def __init__(self, config: HeadsConfig) -> None:
        super().__init__()
        W, H = config.width, config.heads
        self.heads, self.head_width = H, W // H
        self.project_in = drawn(4 * W + 2 * H, W, std=math.sqrt(2 / (5 * W)))
        self.weight = short_convolution.drawn_weight(3 * W)
        self.step_bias = nn.Parameter(gated_recurrence.initial_step_biases(H, STEP_SIZES))
        self.log_rate = nn.Parameter(torch.empty(H).uniform_(*DECAY_RATES).log())
        self.project_out = drawn(W, W, std=1 / math.sqrt(W * 2 * config.layers))

    def initial_state(self, batch_size: int) -> State:
        """Return the empty memory of `batch_size` rows."""
        zeros, H, D = self.log_rate.new_zeros, self.heads, self.head_width
        return {
            "memory": zeros(batch_size, H, D, D),
            "inputs": zeros(batch_size, short_convolution.MOVES, 3 * H * D),
        }

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return [B, W] of tokens [B, W], and the next state."""
        B, H, D, memory = len(x), self.heads, self.head_width, state["memory"]
        inputs, gate, log_decay, rate = self._project(x)
        mixed, inputs = short_convolution.step(inputs, state["inputs"], self.weight)
        parts = mixed.view(B * H, 3, D)
        query, key = torch.split_with_sizes(_unit(parts[:, :2]), (1, 1), 1)  # [B x H, 1, D]
        matrices = memory.view(B * H, D, D).mul_(log_decay.exp_().view(-1, 1, 1))
        fresh = (parts[:, 2:] - torch.bmm(key, matrices)).mul_(rate.view(-1, 1, 1))
        matrices.addcmul_(key.mT, fresh)
        read = torch.bmm(query, matrices).view(B, H, D)
        return self._finish(read, gate), {"memory": memory, "inputs": inputs}

    def unroll(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return [B, T, W] of tokens [B, T, W], and the state after them."""
        inputs, gate, log_decay, rate = self._project(x)
        mixed, inputs = short_convolution.unroll(inputs, state["inputs"], self.weight)
        parts = mixed.reshape(*x.shape[:-1], self.heads, 3, self.head_width).transpose(
            1, 2
        )  # [B, H, T, 3, D]
        query, key = _unit(parts[:, :, :, :2]).unbind(3)  # [B, H, T, D]
        read, memory = gated_recurrence.unroll_delta(
            query, key, parts[:, :, :, 2], log_decay.transpose(1, 2), rate.transpose(1, 2), state["memory"]
        )
        return self._finish(read.transpose(1, 2), gate), {"memory": memory, "inputs": inputs}

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the convolution's inputs [..., H x 3 x D], gate [..., W], log decays and rates [..., H]."""
        W, H = len(self.project_out), self.heads
        parts = functional.linear(x, self.project_in)
        inputs, gate, size, rate = torch.split_with_sizes(parts, (3 * W, W, H, H), -1)
        log_decay = functional.softplus(size + self.step_bias) * self.log_rate.exp().neg()
        return inputs, gate, log_decay, rate.sigmoid()

    def _finish(self, read: Tensor, gate: Tensor) -> Tensor:
        """Return the output [..., W] of what was read [..., H, D].

        The normalisation has no scale of its own: the projection behind it has one.
        """
        normed = torch.layer_norm(read, read.shape[-1:]).flatten(-2)
        return functional.linear(normed * functional.silu(gate), self.project_out)


def _unit(vectors: Tensor) -> Tensor:
    """Return vectors [..., D] divided by their lengths."""
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / lengths.clamp(min=LEAST_LENGTH)


class GatedDeltaNet(SequenceModel):
    """The frame of the recurrent architectures with this mixer."""

    def __init__(self, config: HeadsConfig, game: Game) -> None:
        super().__init__(
            game,
            config.width,
            config.layers,
            config.mlp_width,
            lambda: GatedDeltaNetMixer(config),
            config.cell_digits,
        )


ARCHITECTURE = ConfiguredArchitecture(
    "gated-deltanet", GatedDeltaNet, DEFAULTS, small={"layers": 2, "width": 16, "heads": 2, "mlp_width": 32}
)
