"""TTT-Linear: a layer whose memory is a linear model, which learns at every move by a gradient step.

In each head, a move gives a key k, a value v and a query q, views of its token, with k of length 1. The
memory is the weight matrix of a linear model, W, which begins at learned weights W_0. The inner loss of a
move is how badly W reconstructs one view from another. W takes one gradient step on it, at a rate e in (0, 1)
that the token chooses, and answers the query:

    loss(W) = |W k - v|^2 / 2,   W_t = W_(t-1) - e (W_(t-1) k - v) k^T,   output = norm(W_t q).

The paper's inner model has a layer normalisation behind W. A step on its loss has no closed form over several
moves, so the paper takes the gradients of 16 moves at one W; then a move's step does not know of up to 15
before it. With the linear loss the exact step of every move has a dual form (below) and neither is needed;
the paper's own comparison prefers small batches of moves. Steps cannot diverge: with k of length 1 each
reduces its own move's loss by the factor (1 - e)^2. The normalisation stands behind the output instead.
Source: Sun et al., Learning to (learn at test time): RNNs with expressive hidden states (2024),
in the form that they put into a transformer's blocks, without convolutions. The dual form is that of
the delta rule: Yang et al., Parallelizing linear transformers with the delta rule over sequence length
(NeurIPS 2024). So this layer is their delta rule with a learned beginning, as the paper shows that
its linear model with full batches is linear attention.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.baselines.training.configured_architecture import ConfiguredArchitecture
from understudy.baselines.training.sequence_model import INITIAL_STD, HeadsConfig, SequenceModel
from understudy.suite.protocols import Game, State

CHUNK_MOVES = (
    32  # moves of which `unroll` computes the dual form at once; it changes last bits and speed alone
)


DEFAULTS = {
    "cell": HeadsConfig(layers=4, width=64, heads=4, mlp_width=248),
    "planes": HeadsConfig(layers=4, width=128, heads=4, mlp_width=496),
    "frames": HeadsConfig(layers=4, width=128, heads=4, mlp_width=496),
}


class TTTLinear(SequenceModel):
    """Blocks whose mixers are linear models that learn at every move.

    State: as of `SequenceModel`, with `learned_l` float32 [B, H, D, D] of layer l: each head's transposed W
    less the transposed W_0.
    """

    def __init__(self, config: HeadsConfig, game: Game) -> None:
        super().__init__(
            game,
            config.width,
            config.layers,
            config.mlp_width,
            lambda: OnlineLearner(config),
            config.cell_digits,
        )


class OnlineLearner(nn.Module):
    """A mixer of `heads` linear models, each of which takes a gradient step a move on its own loss."""

    def __init__(self, config: HeadsConfig) -> None:
        super().__init__()
        W, H = config.width, config.heads
        self.heads, self.head_width = H, W // H
        self.views = nn.Linear(W, 3 * W + H, bias=False)  # query, key, value, and the heads' rates
        self.rate_bias = nn.Parameter(torch.zeros(H))
        self.start = nn.Parameter(INITIAL_STD * torch.randn(H, W // H, W // H))  # W_0, transposed
        self.norm_gain = nn.Parameter(torch.ones(W))
        self.out = nn.Linear(W, W, bias=False)
        nn.init.normal_(self.views.weight, std=INITIAL_STD)
        nn.init.normal_(self.out.weight, std=INITIAL_STD / math.sqrt(2 * config.layers))

    def initial_state(self, batch_size: int) -> State:
        """Return the state in which every W is W_0."""
        D = self.head_width
        return {"learned": torch.zeros(batch_size, self.heads, D, D, device=self.start.device)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return [B, W] of tokens [B, W], and the state after the move's gradient step."""
        B, H, D = len(x), self.heads, self.head_width
        query, key, value, rate = self._views(x)  # [B, H, D] each, rate [B, H, 1]
        learned = state["learned"]
        both = torch.stack((query, key), dim=2)  # [B, H, 2, D]
        answers = torch.matmul(both, learned + self.start)  # [B, H, 2, D], by W_(t-1)
        error = rate * (value - answers[:, :, 1])  # [B, H, D]
        output = torch.addcmul(answers[:, :, 0], (query * key).sum(-1, keepdim=True), error)
        changed = torch.addcmul(learned, key[..., None], error[:, :, None])  # [B, H, D, D]
        return self._finish(output.view(B, H * D), output.shape[:-1]), {"learned": changed}

    def unroll(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return [B, T, W] of tokens [B, T, W], and the state after them.

        The steps of a chunk of C moves, as rows u_t = e_t (v_t - W_(t-1) k_t) with which W^T grows by the sum
        of k_t u_t^T, solve the triangular system
        u_t + e_t sum over s < t of (k_t . k_s) u_s = e_t (v_t - W k_t),
        where W is that of the chunk's start. All chunks' systems are solved at once for v and for k.
        """
        B, T, H, D, C = *x.shape[:2], self.heads, self.head_width, CHUNK_MOVES
        query, key, value, rate = (part.transpose(1, 2) for part in self._views(x))  # [B, H, T, D]
        value = value - torch.matmul(key, self.start)
        N = -(-T // C)  # chunks; moves that fill the last one have keys and rates of 0
        q, k, v, e = (
            functional.pad(part, (0, 0, 0, N * C - T)).reshape(B * H, N, C, -1)
            for part in (query, key, value, rate)
        )
        transposed = k.transpose(2, 3)  # [BH, N, D, C]
        exact = torch.promote_types(x.dtype, torch.float32)  # there is no solver in bfloat16
        system = (e * torch.matmul(k, transposed)).tril(-1).to(exact)  # [BH, N, C, C]
        sides = (e * torch.cat((v, k), dim=-1)).to(exact)  # [BH, N, C, 2D]
        solved = torch.linalg.solve_triangular(system, sides, upper=False, unitriangular=True)
        of_values, of_keys = solved.split(D, dim=-1)  # [BH, N, C, D]
        within = torch.matmul(q, transposed).tril()  # [BH, N, C, C]
        learned = state["learned"].reshape(B * H, D, D)
        pieces = []
        for n in range(N):
            rows = of_values[:, n] - torch.bmm(of_keys[:, n], learned)  # [BH, C, D]
            pieces.append(torch.bmm(q[:, n], learned) + torch.bmm(within[:, n], rows))
            learned = learned + torch.bmm(transposed[:, n], rows)
        output = torch.cat(pieces, dim=1)[:, :T].view(B, H, T, D) + torch.matmul(query, self.start)
        output = output.transpose(1, 2)  # [B, T, H, D]
        return self._finish(output.flatten(2), output.shape[:-1]), {"learned": learned.view(B, H, D, D)}

    def _views(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return query, key of length 1, and value, [..., H, D] each, and the rate [..., H, 1]."""
        width, H = self.heads * self.head_width, self.heads
        views, rate = self.views(x).split((3 * width, H), dim=-1)
        query, key, value = views.view(*x.shape[:-1], 3, H, self.head_width).unbind(-3)
        return (
            query,
            functional.normalize(key, dim=-1),
            value,
            torch.sigmoid(rate + self.rate_bias)[..., None],
        )

    def _finish(self, output: Tensor, heads: tuple[int, ...]) -> Tensor:
        """Return the mixer's output [..., W] of the heads' outputs [..., W], each normalised by itself."""
        normed = functional.layer_norm(output.view(*heads, self.head_width), (self.head_width,))
        mixed: Tensor = self.out(normed.view(output.shape) * self.norm_gain)
        return mixed


ARCHITECTURE = ConfiguredArchitecture(
    "ttt-linear", TTTLinear, DEFAULTS, small={"layers": 2, "width": 16, "heads": 2, "mlp_width": 24}
)
