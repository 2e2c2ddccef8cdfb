"""A transformer over the whole learning history: one token per move, a sliding window of moves in each layer.

Each layer attends to the last `context_moves` moves, so the logits depend on about layers x context moves.
`unroll` computes banded attention over many moves; `step` computes the same for one move, with ring buffers.
Source: Laskin et al., In-context reinforcement learning with algorithm distillation (ICLR 2023), for the
learning history as a sequence; Jiang et al., Mistral 7B (2023), section 2, for the rolling cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.baselines.training.configured_architecture import ConfiguredArchitecture
from understudy.baselines.training.token import CELL_DIGITS, Token
from understudy.suite import validation
from understudy.suite.errors import InputError
from understudy.suite.protocols import Game, State, Timestep

INITIAL_STD = 0.02  # Source: Radford et al., Language models are unsupervised multitask learners (2019)
PERIOD_CONTEXTS = 8  # contexts after which the rotary angles repeat


@dataclass(frozen=True)
class TransformerConfig:
    """Settings of one model."""

    layers: int = validation.bounded(1, 64, meaning="transformer blocks, one after another")
    context_moves: int = validation.bounded(
        2, 65_536, meaning="moves a layer attends to, the present one included"
    )
    width: int = validation.bounded(4, 4096, meaning="units of a token; a multiple of 2 x heads")
    heads: int = validation.bounded(1, 64, meaning="attention heads of a layer")
    cell_digits: int = validation.bounded(1, 2, 1, CELL_DIGITS, is_later=True)

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise InputError(
                f"transformer: width must be a multiple of 2 x heads; found {self.width}, {self.heads}"
            )


DEFAULTS = {
    "cell": TransformerConfig(layers=4, context_moves=256, width=64, heads=4),
    "planes": TransformerConfig(layers=4, context_moves=256, width=128, heads=4),
    "frames": TransformerConfig(layers=4, context_moves=256, width=128, heads=4),
}


class Transformer(nn.Module):
    """Tokens, blocks, one logit per action.

    State: `age` int64 [B], the number of moves seen in this run; `keys_l` float32 [B, H, D, C] and `values_l`
    float32 [B, H, C, D] of layer l. The move of age a is in slot a mod C; slots up to the age are filled.
    """

    def __init__(self, config: TransformerConfig, game: Game) -> None:
        super().__init__()
        self.context_moves = config.context_moves
        self.reach_moves = config.layers * (config.context_moves - 1) + 1
        self.heads, self.head_width = config.heads, config.width // config.heads
        self.token = Token(game, config.width, config.cell_digits)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, bias=False)
        self.decide = nn.Linear(config.width, game.num_actions)
        self.phases: Tensor  # [P, 3, 1, D/2] complex64
        self.register_buffer("phases", rotary_phases(config.context_moves, self.head_width), persistent=False)
        self._draw_parameters()

    def initial_state(self, batch_size: int) -> State:
        """Return the empty state of `batch_size` rows."""
        B, H, D, C = batch_size, self.heads, self.head_width, self.context_moves
        here = self.phases.device
        state = {"age": torch.zeros(B, dtype=torch.int64, device=here)}
        for layer in range(len(self.blocks)):
            state[f"keys_{layer}"] = torch.zeros(B, H, D, C, device=here)
            state[f"values_{layer}"] = torch.zeros(B, H, C, D, device=here)
        return state

    @torch.inference_mode()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, A] for one move, and the next state; the state is updated in place."""
        B, H, D, C = len(timestep.first), self.heads, self.head_width, self.context_moves
        age = state["age"].masked_fill(timestep.first_of_run, 0)  # [B]
        here = age.device
        unseen = torch.arange(C, device=here) > age[:, None, None]  # [B, 1, C]
        position = Position(
            slot=(age % C).view(B, 1, 1, 1).expand(B, H, D, 1),
            phase=self.phases[age % len(self.phases)],  # [B, 3, 1, D/2]
            mask=torch.zeros(B, H, C, device=here).masked_fill_(unseen, -math.inf).view(B * H, 1, C),
        )
        x = self.token(timestep, 1)  # [B, W]
        for layer, block in enumerate(self.blocks):
            x = cast(Block, block).step(x, position, state[f"keys_{layer}"], state[f"values_{layer}"])
        state["age"].copy_(age + 1)
        return self.decide(self.norm(x)), state  # [B, A]

    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, T, A] for T moves, and the state after them, detached from the graph.

        Memory grows with T: unroll a long history in pieces. `first_of_run` is read at the first move only.
        """
        T = timesteps.first.shape[1]
        age = state["age"].masked_fill(timesteps.first_of_run[:, 0], 0)  # [B]
        moves = age[:, None] + torch.arange(T, device=age.device)  # [B, T]
        phase = self.phases[moves % len(self.phases)]  # [B, T, 3, 1, D/2]
        x = self.token(timesteps, 2)  # [B, T, W]
        after = {"age": age + T}
        for layer, block in enumerate(self.blocks):
            memory = state[f"keys_{layer}"], state[f"values_{layer}"]
            x, (keys, values) = cast(Block, block).unroll(x, age, phase, memory)
            after |= {f"keys_{layer}": keys, f"values_{layer}": values}
        return self.decide(self.norm(x)), after  # [B, T, A]

    def _draw_parameters(self) -> None:
        """Draw the blocks' weights; output layers of the residual stream are scaled down with its depth.

        Source: Radford et al. (2019), section 2.3.
        """
        for block in self.blocks:
            for name, weight in block.named_parameters():
                adds = name.startswith(("attention_out", "mlp_out"))
                if weight.dim() == 2:
                    nn.init.normal_(
                        weight, std=INITIAL_STD / math.sqrt(2 * len(self.blocks)) if adds else INITIAL_STD
                    )


class Position(NamedTuple):
    """Position of a move in the ring buffers, the same for all layers."""

    slot: Tensor  # [B, H, D, 1] int64
    phase: Tensor  # [B, 3, 1, D/2] complex64, rotation of the move's query, key and value
    mask: Tensor  # [B x H, 1, C] float32, -inf at slots that hold nothing of this run


class Block(nn.Module):
    """Attention to the last C moves and a two-layer MLP, each added to the residual stream."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.context_moves, self.heads = config.context_moves, config.heads
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.attention_in = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.mlp_norm = nn.LayerNorm(width, bias=False)
        self.mlp_in = nn.Linear(width, 4 * width, bias=False)
        self.mlp_out = nn.Linear(4 * width, width, bias=False)

    def step(self, x: Tensor, position: Position, keys: Tensor, values: Tensor) -> Tensor:
        """Return the next layer's tokens [B, W]; this move's key and value are written into the caches."""
        B, H, D, C = keys.shape
        query, key, value = self._query_key_value(x, position.phase)  # [B, H, D] each
        keys.scatter_(3, position.slot, key.unsqueeze(3))
        values.scatter_(2, position.slot.transpose(2, 3), value.unsqueeze(2))
        queries = query.reshape(B * H, 1, D)
        scores = torch.baddbmm(position.mask, queries, keys.view(B * H, D, C))  # [B x H, 1, C]
        seen = torch.bmm(scores.softmax(-1), values.view(B * H, C, D))  # [B x H, 1, D]
        return self._finish(x, seen.view(B, H * D))

    def unroll(
        self, x: Tensor, age: Tensor, phase: Tensor, memory: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the next layer's tokens [B, T, W] and the caches after T moves."""
        C, T = self.context_moves, x.shape[1]
        query, key, value = (part.transpose(1, 2) for part in self._query_key_value(x, phase))  # [B, H, T, D]
        past_keys = _rolled(memory[0].transpose(2, 3), age)  # [B, H, C, D], oldest first
        keys = torch.cat((past_keys, key), dim=2)  # [B, H, C + T, D]
        values = torch.cat((_rolled(memory[1], age), value), dim=2)
        pieces = []
        for t in range(0, T, C):  # C queries attend to at most 2 C keys: the cost is linear in T
            reached = slice(t, t + 2 * C)
            queries = query[:, :, t : t + C]
            pieces.append(self._attend(queries, keys[:, :, reached], values[:, :, reached], age + t))
        seen = torch.cat(pieces, dim=2)  # [B, H, T, D]
        new_keys, new_values = (_rolled(part[:, :, T:].detach(), -(age + T)) for part in (keys, values))
        caches = new_keys.transpose(2, 3).contiguous(), new_values
        return self._finish(x, seen.transpose(1, 2).flatten(2)), caches

    def _query_key_value(self, x: Tensor, phase: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the scaled and rotated query, the rotated key, and the value, [..., H, D] each."""
        parts = self.attention_in(self.attention_norm(x))  # [..., 3 x H x D]
        pairs = torch.view_as_complex(parts.view(*x.shape[:-1], 3, self.heads, -1, 2))  # [..., 3, H, D/2]
        query, key, value = torch.view_as_real(pairs * phase).flatten(-2).unbind(-3)  # [..., H, D] each
        return query, key, value

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor, age: Tensor) -> Tensor:
        """Return the attention of n <= C queries [B, H, n, D], each to its own move and the C - 1 before it.

        `age` [B] is the age of the first query's move; slots from before the run are masked.
        """
        C, n = self.context_moves, query.shape[2]
        slots = torch.arange(C + n, device=query.device)
        distance = C + slots[:n, None] - slots  # [n, C + n], moves from key to query
        band = (distance >= 0) & (distance < C)
        in_run = slots >= (C - age)[:, None]  # [B, C + n]
        mask = band & in_run[:, None, None]  # [B, 1, n, C + n]
        return functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=1.0)

    def _finish(self, x: Tensor, seen: Tensor) -> Tensor:
        x = x + self.attention_out(seen)
        return x + cast(Tensor, self.mlp_out(functional.relu(self.mlp_in(self.mlp_norm(x)))))


def rotary_phases(context_moves: int, head_width: int) -> Tensor:
    """Return complex64 factors [P, 3, 1, D/2] for queries, keys and values of moves 0 ... P-1.

    They rotate pairs of units. Queries are also scaled by 1/sqrt(D); values are multiplied by 1. P is
    PERIOD_CONTEXTS x context_moves, and each frequency is a whole number of turns in P moves. So the phase of
    a move is that of the move modulo P, exactly, at any age; float32 angles would be 0.18 rad off at ten
    million moves. Wavelengths range from about 6 moves, the usual shortest, to two contexts.
    Source: Su et al., RoFormer: enhanced transformer with rotary position embedding (2021), equation 34.
    """
    period = PERIOD_CONTEXTS * context_moves
    fewest, most = PERIOD_CONTEXTS / 2, max(period / math.tau, PERIOD_CONTEXTS / 2)
    exponents = torch.linspace(0, 1, head_width // 2, dtype=torch.float64)
    turns = (most * (fewest / most) ** exponents).round()  # [D/2]
    angles = math.tau * (torch.arange(period)[:, None] * turns % period) / period  # [P, D/2]
    phases = torch.polar(torch.ones_like(angles), angles)
    ones = torch.ones_like(phases)
    return torch.stack((phases * head_width**-0.5, phases, ones), dim=1)[:, :, None].to(torch.complex64)


def _rolled(ring: Tensor, by: Tensor) -> Tensor:
    """Return [B, H, C, D] with each row's slots rolled: slot s of row b is its old slot (s + by[b]) mod C."""
    B, H, C, D = ring.shape
    slots = (torch.arange(C, device=ring.device) + by[:, None]) % C  # [B, C]
    return ring.gather(2, slots[:, None, :, None].expand(B, H, C, D))


ARCHITECTURE = ConfiguredArchitecture(
    "transformer", Transformer, DEFAULTS, small={"layers": 2, "context_moves": 6, "width": 16, "heads": 2}
)
