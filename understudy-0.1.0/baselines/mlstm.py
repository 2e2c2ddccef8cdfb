"""A matrix memory with exponential input gates in each layer, the mLSTM of xLSTM.

With a query, a key and a value [D] of a head, and the logarithms i_t and f_t of its input and forget gates,

    C_t = exp(f_t) C_(t-1) + exp(i_t) k_t v_t^T,    n_t = exp(f_t) n_(t-1) + exp(i_t) k_t,
    h_t = C_t^T q_t / max(|n_t^T q_t|, 1),

all of it divided by exp(m_t), so that nothing overflows (`gated_recurrence.stabilised`). An empty memory is
C = n = m = 0. The output is normalised in each head, multiplied by a sigmoid gate and projected.
Sources: Beck et al., xLSTM (NeurIPS 2024), with the forget gate a sigmoid; Beck et al., xLSTM 7B
(ICML 2025), for a block without a convolution.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.baselines.training import gated_recurrence
from understudy.baselines.training.configured_architecture import ConfiguredArchitecture
from understudy.baselines.training.sequence_model import HeadsConfig, SequenceModel, drawn
from understudy.suite.protocols import Game, State

# Of the first and the last head, and of the input gate. Source: the code published with Beck et al. (2024)
FORGET_BIASES = (3.0, 6.0)
INPUT_BIAS_STD = 0.1


DEFAULTS = {
    "cell": HeadsConfig(layers=4, width=64, heads=2, mlp_width=220),
    "planes": HeadsConfig(layers=4, width=128, heads=4, mlp_width=444),
    "frames": HeadsConfig(layers=4, width=128, heads=4, mlp_width=444),
}


class MLSTMMixer(nn.Module):
    """State: `memory` float32 [B, H, D, D + 1], C with n as its last column, and `peak` float32 [B, H], m."""

    def __init__(self, config: HeadsConfig) -> None:
        """Draw the weights; the key's factor of the paper, 1/sqrt(D), is in its initial weights.

        Source: the code published with Beck et al. (2024), for the weights and biases of the gates.
        """
        super().__init__()
        W, H = config.width, config.heads
        self.heads, self.head_width = H, W // H
        self.project_in = drawn(4 * W + 2 * H, W, std=math.sqrt(2 / (5 * W)))
        self.bias = nn.Parameter(torch.zeros(4 * W + 2 * H))
        with torch.no_grad():
            self.project_in[: 3 * W].view(H, 3, -1, W)[:, 1].mul_(self.head_width**-0.5)
            self.project_in[4 * W :].zero_()
            self.bias[4 * W : 4 * W + H].normal_(std=INPUT_BIAS_STD)
            self.bias[4 * W + H :].copy_(torch.linspace(*FORGET_BIASES, H))
        self.project_out = drawn(W, W, std=1 / math.sqrt(W * 2 * config.layers))

    def initial_state(self, batch_size: int) -> State:
        """Return the empty memory of `batch_size` rows."""
        zeros, H, D = self.bias.new_zeros, self.heads, self.head_width
        return {"memory": zeros(batch_size, H, D, D + 1), "peak": zeros(batch_size, H)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return [B, W] of tokens [B, W], and the next state."""
        B, H, D, memory = len(x), self.heads, self.head_width, state["memory"]
        parts, gate, log_input, forget = self._project(x)
        parts = parts.reshape(B * H, 3, D)
        kept = functional.logsigmoid(forget).add_(state["peak"])  # [B, H]
        peak = torch.maximum(kept, log_input)
        matrices = memory.view(B * H, D, D + 1).mul_(kept.sub_(peak).exp_().view(-1, 1, 1))
        key = parts[:, 1].mul_((log_input - peak).exp_().view(-1, 1))
        matrices.addcmul_(key[..., None], functional.pad(parts[:, 2:], (0, 1), value=1.0))
        read = torch.bmm(parts[:, :1], matrices).view(B, H, D + 1)
        return self._finish(read, peak, gate), {"memory": memory, "peak": peak}

    def unroll(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return [B, T, W] of tokens [B, T, W], and the state after them."""
        parts, gate, log_input, forget = self._project(x)
        log_decay, weight, peak = gated_recurrence.stabilised(
            functional.logsigmoid(forget).transpose(1, 2), log_input.transpose(1, 2), state["peak"]
        )
        query, key, value = parts.transpose(1, 2).unbind(3)  # [B, H, T, D]
        value = functional.pad(value, (0, 1), value=1.0) * weight[..., None]  # [B, H, T, D + 1]
        read, memory = gated_recurrence.unroll(query, key, value, log_decay, state["memory"])
        mixed = self._finish(read.transpose(1, 2), peak.transpose(1, 2), gate)
        return mixed, {"memory": memory, "peak": peak[..., -1].contiguous()}

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return query, key, value [..., H, 3, D], output gate [..., W], input and forget gate [..., H]."""
        W, H = len(self.project_out), self.heads
        parts = functional.linear(x, self.project_in, self.bias)
        vectors, gate, log_input, forget = torch.split_with_sizes(parts, (3 * W, W, H, H), -1)
        return vectors.view(*x.shape[:-1], H, 3, self.head_width), gate, log_input, forget

    def _finish(self, read: Tensor, peak: Tensor, gate: Tensor) -> Tensor:
        """Return the output [..., W] of what was read [..., H, D + 1], n's part last.

        The normalisation has no scale of its own: the projection behind it has one.
        """
        D = self.head_width
        numerator, denominator = torch.split_with_sizes(read, (D, 1), -1)
        least = peak.neg().exp_()[..., None]  # 1 divided by exp(m); where it is infinite, nothing is left
        hidden = numerator / torch.maximum(denominator.abs(), least)  # [..., H, D]
        normed = torch.layer_norm(hidden, (D,)).flatten(-2)
        return functional.linear(normed * gate.sigmoid(), self.project_out)


class MLSTM(SequenceModel):
    """The frame of the recurrent architectures with this mixer."""

    def __init__(self, config: HeadsConfig, game: Game) -> None:
        super().__init__(
            game,
            config.width,
            config.layers,
            config.mlp_width,
            lambda: MLSTMMixer(config),
            config.cell_digits,
        )


ARCHITECTURE = ConfiguredArchitecture(
    "mlstm", MLSTM, DEFAULTS, small={"layers": 2, "width": 16, "heads": 2, "mlp_width": 32}
)
