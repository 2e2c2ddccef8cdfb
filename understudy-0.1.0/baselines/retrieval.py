"""A small transformer that also attends to the nearest of its own past moves and of a learned bank.

Each layer attends to the last C moves. The layer in the middle attends to memory too: the (key, value) of
each of the M moves before those, among which it chooses the k nearest. With queries and keys of length 1 in
each of H heads, a past move at distance m has the nearness

    z = mean over heads of (query . key) - r (m - C) / M,   0 < r < 1 learned,

so that of equal moves the newer are nearer. Neighbour i of the k nearest gets in head h the weight

    a_(h,i) ~ (z_i - z') exp(s_h query_h . key_(h,i)),   z' the nearness of the next one, k + 1,

so a weight is 0 where a move begins or ceases to be a neighbour, and the weights' sum has one of an empty
entry more, 0.02 exp(s_h z'). Logits are continuous in spite of the choice, and ties do not matter. A gate of
each head mixes what is retrieved with what the last C moves gave.

Watched moves are retrieved in two ways. In a run that was primed with them they are past moves like others,
the last C + M of them. And the bank, N pairs (key, value) that are parameters, has been trained by gradient
on the watched histories: no stored copies of moves, but what training made of them. Its entries compete with
the neighbours, all of them, with a learned nearness in the place of z - z'.
Source: Wu, Rabe, Hutchins and Szegedy, Memorizing transformers (ICLR 2022), for memory of keys and
values in one layer, the choice of the k nearest and the gate; Henry et al., Query-key normalization for
transformers (2020), for the scale; Sukhbaatar et al., Augmenting self-attention with persistent memory
(2019), for the bank. The weights that fade are this project's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.baselines.training.configured_architecture import ConfiguredArchitecture
from understudy.baselines.training.sequence_model import INITIAL_STD, SequenceModel
from understudy.baselines.training.token import CELL_DIGITS
from understudy.suite import validation
from understudy.suite.errors import InputError
from understudy.suite.protocols import Game, State

FIRST_SCALE = 8.0  # s of every head before training; a softmax of cosines needs one well above 1
FIRST_RECENCY = 0.1  # r before training
FIRST_BANK_NEARNESS = 0.1  # a bank's entry has it where a neighbour has z - z'
NOTHING = -3.0  # the nearness of an empty slot, below that of any move
LARGEST_SCALE = 32.0  # exp(2 s) has to be finite
LEAST_GAP = 0.02  # of the empty entry: it bounds how fast shares change where all neighbours are alike
SEARCH_MOVES = 64  # queries of which `unroll` searches the memory at once


@dataclass(frozen=True)
class RetrievalConfig:
    """Settings of one model."""

    layers: int = validation.bounded(
        1, 64, meaning="blocks, one after another; the one in the middle retrieves"
    )
    context_moves: int = validation.bounded(
        2, 65_536, meaning="moves a layer attends to, the present one included"
    )
    memory_moves: int = validation.bounded(2, 1_048_576, meaning="older moves of which neighbours are chosen")
    neighbours: int = validation.bounded(
        1, 1024, meaning="past moves that are retrieved; fewer than memory_moves"
    )
    bank_entries: int = validation.bounded(1, 65_536, meaning="learned entries that stand for watched moves")
    width: int = validation.bounded(4, 4096, meaning="units of a token; a multiple of heads")
    heads: int = validation.bounded(1, 64, meaning="attention heads of a layer")
    mlp_width: int = validation.bounded(1, 65_536, meaning="hidden units of a block's MLP")
    cell_digits: int = validation.bounded(1, 2, 1, CELL_DIGITS)

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise InputError(
                f"retrieval: width must be a multiple of heads; found {self.width}, {self.heads}"
            )
        if self.neighbours >= self.memory_moves:
            raise InputError(
                f"retrieval: neighbours must be fewer than memory_moves; found {self.neighbours} and "
                f"{self.memory_moves}"
            )


def _default(width: int, mlp_width: int) -> RetrievalConfig:
    return RetrievalConfig(
        layers=4,
        context_moves=64,
        memory_moves=1024,
        neighbours=8,
        bank_entries=64,
        width=width,
        heads=4,
        mlp_width=mlp_width,
    )


DEFAULTS = {"cell": _default(64, 238), "planes": _default(128, 494), "frames": _default(128, 494)}


class Retrieval(SequenceModel):
    """Blocks of attention to the last C moves, of which the one in the middle also retrieves.

    State: `age` int64 [B], the number of moves seen in this run; `keys_l` and `values_l` float32 [B, H, C, D]
    of the last C moves in layer l, oldest first; `memory_l` float32 [B, M, 2W] of the layer that retrieves,
    key and value of the move of age a in slot a mod M. What is from before the run is masked by age.
    """

    masks_by_age = True

    def __init__(self, config: RetrievalConfig, game: Game) -> None:
        middle, made = config.layers // 2, iter(range(config.layers))
        super().__init__(
            game,
            config.width,
            config.layers,
            config.mlp_width,
            lambda: (RetrievingAttention if next(made) == middle else LocalAttention)(config),
            config.cell_digits,
        )
        self.context_moves = config.context_moves
        self.reach_moves = config.layers * (config.context_moves - 1) + 1 + config.memory_moves


class LocalAttention(nn.Module):
    """A mixer of attention to the last C moves, with a learned bias for each head and distance."""

    def __init__(self, config: RetrievalConfig) -> None:
        super().__init__()
        W, H, C = config.width, config.heads, config.context_moves
        self.heads, self.head_width, self.context_moves = H, W // H, C
        self.views = nn.Linear(W, 3 * W, bias=False)  # query, key, value
        self.log_scale = nn.Parameter(torch.full((H, 1, 1), math.log(FIRST_SCALE)))
        self.bias = nn.Parameter(torch.zeros(H, C))  # of the distances 0 ... C - 1
        self.out = nn.Linear(W, W, bias=False)
        nn.init.normal_(self.views.weight, std=INITIAL_STD)
        nn.init.normal_(self.out.weight, std=INITIAL_STD / math.sqrt(2 * config.layers))

    def initial_state(self, batch_size: int) -> State:
        """Return the state without a move."""
        shape = batch_size, self.heads, self.context_moves, self.head_width
        return {name: torch.zeros(shape, device=self.bias.device) for name in ("keys", "values")}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return [B, W] of tokens [B, W] of one move, and the next state."""
        query, key, value = self._views(x)  # [B, H, D] each
        seen, after = self._local_step(query, key, value, state)
        return cast(Tensor, self.out(seen.flatten(1))), after

    def unroll(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return [B, T, W] of tokens [B, T, W], and the state after them."""
        query, key, value = (part.transpose(1, 2) for part in self._views(x))  # [B, H, T, D] each
        seen, after = self._local_unroll(query, key, value, state)
        return cast(Tensor, self.out(seen.transpose(1, 2).flatten(2))), after

    def _local_step(self, query: Tensor, key: Tensor, value: Tensor, state: State) -> tuple[Tensor, State]:
        """Return what the last C moves give, [B, H, D], and the state with this one."""
        C = self.context_moves
        keys = torch.cat((state["keys"][:, :, 1:], key[:, :, None]), dim=2)  # [B, H, C, D]
        values = torch.cat((state["values"][:, :, 1:], value[:, :, None]), dim=2)
        distance = torch.arange(C - 1, -1, -1, device=query.device)
        unseen = distance > state["age"][:, None]  # [B, C]
        scores = torch.matmul(keys, (query * self._scale()[..., 0])[..., None])[..., 0] + self.bias.flip(1)
        shares = scores.masked_fill(unseen[:, None], -math.inf).softmax(-1)  # [B, H, C]
        return torch.matmul(shares[:, :, None], values)[:, :, 0], {"keys": keys, "values": values}

    def _local_unroll(self, query: Tensor, key: Tensor, value: Tensor, state: State) -> tuple[Tensor, State]:
        """Return what the last C moves of each of T give, [B, H, T, D], and the state after them."""
        C, T = self.context_moves, query.shape[2]
        keys = torch.cat((state["keys"], key), dim=2)  # [B, H, C + T, D], oldest first
        values = torch.cat((state["values"], value), dim=2)
        bias = self._banded_bias(min(C, T))  # [H, n, C + n - 1]
        query = query * self._scale()
        pieces = []
        for t in range(0, T, C):  # C queries and 2 C - 1 keys: the cost is linear in the number of moves
            n = min(C, T - t)
            reached = slice(t + 1, t + C + n)
            scores = torch.matmul(query[:, :, t : t + n], keys[:, :, reached].transpose(2, 3))
            scores = scores + bias[:, :n, : C + n - 1]
            if t == 0:  # all keys of later pieces are of this run
                slots = torch.arange(1, C + n, device=query.device)
                before = slots < C - state["age"][:, None]  # [B, C + n - 1]
                scores = scores.masked_fill(before[:, None, None], -math.inf)
            pieces.append(torch.matmul(scores.softmax(-1), values[:, :, reached]))
        after = {"keys": keys[:, :, T:], "values": values[:, :, T:]}
        return torch.cat(pieces, dim=2), after

    def _views(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return query and key of length 1, and value, [..., H, D] each."""
        views = self.views(x).view(*x.shape[:-1], 3, self.heads, self.head_width)
        query, key, value = views.unbind(-3)
        return functional.normalize(query, dim=-1), functional.normalize(key, dim=-1), value

    def _scale(self) -> Tensor:
        return self.log_scale.clamp(max=math.log(LARGEST_SCALE)).exp()  # [H, 1, 1]

    def _banded_bias(self, n: int) -> Tensor:
        """Return [H, n, C + n - 1] for n queries and their keys, -inf outside the last C moves of each."""
        C, here = self.context_moves, self.bias.device
        distance = C - 1 + torch.arange(n, device=here)[:, None] - torch.arange(C + n - 1, device=here)
        outside = (distance < 0) | (distance >= C)
        return self.bias[:, distance.clamp(0, C - 1)].masked_fill(outside, -math.inf)


class RetrievingAttention(LocalAttention):
    """The same, mixed with attention to the k nearest of M older moves and to a learned bank."""

    def __init__(self, config: RetrievalConfig) -> None:
        super().__init__(config)
        H, D, N = self.heads, self.head_width, config.bank_entries
        self.memory_moves, self.neighbours = config.memory_moves, config.neighbours
        self.bank_keys = nn.Parameter(torch.randn(H, N, D))
        self.bank_values = nn.Parameter(INITIAL_STD * torch.randn(H, N, D))
        self.bank_nearness = nn.Parameter(torch.full((N,), math.log(FIRST_BANK_NEARNESS)))
        self.recency = nn.Parameter(torch.tensor([math.log(FIRST_RECENCY / (1 - FIRST_RECENCY))]))
        self.gate = nn.Parameter(torch.zeros(H, 1))

    def initial_state(self, batch_size: int) -> State:
        """Return the state without a move."""
        shape = batch_size, self.memory_moves, 2 * self.heads * self.head_width
        return super().initial_state(batch_size) | {"memory": torch.zeros(shape, device=self.bias.device)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return [B, W] of tokens [B, W] of one move, and the next state; the memory is written in place."""
        query, key, value = self._views(x)  # [B, H, D] each
        memory, age, M, C = state["memory"], state["age"], self.memory_moves, self.context_moves
        left = torch.cat((state["keys"][:, :, 0].flatten(1), state["values"][:, :, 0].flatten(1)), dim=1)
        slot = ((age - C) % M).view(-1, 1, 1).expand(-1, 1, memory.shape[2])
        memory.scatter_(1, slot, left[:, None])
        seen, after = self._local_step(query, key, value, state)
        older = (age[:, None] - C - torch.arange(M, device=age.device)) % M  # [B, M], distance less C
        alike = torch.bmm(memory[..., : x.shape[1]], query.flatten(1)[..., None])[..., 0] / self.heads
        nearness = (alike - self._recency() * older).masked_fill(older + C > age[:, None], NOTHING)
        nearest, slots = nearness.topk(self.neighbours + 1)  # [B, k + 1]
        entries = memory.gather(1, slots[..., None].expand(-1, -1, memory.shape[2]))  # [B, k + 1, 2W]
        retrieved = self._retrieved(query[:, None], nearest[:, None], entries[:, None])[:, 0]  # [B, H, D]
        return cast(Tensor, self.out(self._gated(retrieved, seen).flatten(1))), after | {"memory": memory}

    def unroll(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return [B, T, W] of tokens [B, T, W], and the state after them."""
        T, M = x.shape[1], self.memory_moves
        query, key, value = self._views(x)  # [B, T, H, D] each
        seen, after = self._local_unroll(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), state
        )
        begun = state["age"] - self.context_moves  # [B], the age of the first move that leaves the context
        recent = torch.cat([state[name].transpose(1, 2).flatten(2) for name in ("keys", "values")], dim=-1)
        new = torch.cat((key.flatten(2), value.flatten(2)), dim=-1)
        entries = torch.cat((_rolled(state["memory"], begun), recent, new), dim=1)  # [B, M + C + T, 2W]
        pieces = [
            self._search(query[:, t : t + SEARCH_MOVES], entries, state["age"], t)
            for t in range(0, T, SEARCH_MOVES)
        ]
        mixed = self._gated(torch.cat(pieces, dim=1), seen.transpose(1, 2))  # [B, T, H, D]
        after["memory"] = _rolled(entries[:, T : T + M].detach(), -(begun + T))
        return cast(Tensor, self.out(mixed.flatten(2))), after

    def _search(self, query: Tensor, entries: Tensor, age: Tensor, first: int) -> Tensor:
        """Return what n queries [B, n, H, D] of the moves `first`, first + 1, ... retrieve, [B, n, H, D].

        Query i may choose the M entries from `first` + 1 + i on. The choice has no gradient: the nearness of
        the chosen is computed again.
        """
        B, n, H, D = query.shape
        M, here = self.memory_moves, query.device
        begin = torch.arange(n, device=here)[:, None]
        slots = torch.arange(M + n - 1, device=here)
        older = M - 1 + begin - slots  # [n, M + n - 1], distance less C
        before = first + 1 + slots < M + self.context_moves - age[:, None]  # [B, M + n - 1]
        with torch.no_grad():
            lost = (self._recency() * older).masked_fill((older < 0) | (older >= M), 2 * abs(NOTHING))
            keys = entries[:, first + 1 : first + M + n, : H * D].transpose(1, 2)
            near = torch.baddbmm(lost.neg(), query.flatten(2), keys, alpha=1 / H)  # [B, n, M + n - 1]
            found, chosen = near.masked_fill_(before[:, None], NOTHING).topk(self.neighbours + 1)
        rows = chosen + first + 1 + torch.arange(B, device=here)[:, None, None] * entries.shape[1]
        chosen_entries = functional.embedding(rows, entries.flatten(0, 1))  # [B, n, k + 1, 2W]
        alike = torch.matmul(chosen_entries[..., : H * D], query.flatten(2)[..., None])[..., 0] / H
        nearness = alike - self._recency() * (M - 1 + begin - chosen)
        return self._retrieved(query, nearness.masked_fill(found <= NOTHING, NOTHING), chosen_entries)

    def _retrieved(self, query: Tensor, nearness: Tensor, entries: Tensor) -> Tensor:
        """Return [B, n, H, D] for queries [B, n, H, D] of their k + 1 nearest and the bank.

        `nearness` [B, n, k + 1] falls, but for rounding; `entries` are [B, n, k + 1, 2W].
        """
        *_, H, D = query.shape
        k = self.neighbours
        gaps = (nearness[..., :k] - nearness[..., k:]).clamp(min=0)  # [B, n, k]
        pairs = entries[..., :k, :].view(*entries.shape[:2], k, 2, H, D)
        keys, values = pairs.unbind(3)  # [B, n, k, H, D] each
        scale = self._scale()[..., 0]  # [H, 1]
        scaled = query * scale  # [B, n, H, D]
        of_run = (keys * scaled[:, :, None]).sum(-1).transpose(2, 3)  # [B, n, H, k]
        of_bank = torch.einsum("bnhd,hed->bnhe", scaled, functional.normalize(self.bank_keys, dim=-1))
        of_none = scale * nearness[..., None, k:]  # [B, n, H, 1]
        scores = torch.cat((of_run, of_bank, of_none), dim=-1)  # [B, n, H, k + N + 1]
        nearer = torch.cat((self.bank_nearness.exp(), self.bank_nearness.new_tensor([LEAST_GAP])))
        nearer = torch.cat((gaps, nearer.expand(*gaps.shape[:2], -1)), dim=-1)[:, :, None]
        # The largest weight becomes 1; a softmax of scores + log(gaps) has no gradient at a gap of 0.
        largest = (scores + nearer.log()).detach().amax(-1, keepdim=True)
        weights = (scores - largest).exp() * nearer
        shares = weights / weights.sum(-1, keepdim=True)
        found = (shares[..., :k].transpose(2, 3)[..., None] * values).sum(2)  # [B, n, H, D]
        return found + torch.einsum("bnhe,hed->bnhd", shares[..., k:-1], self.bank_values)

    def _gated(self, retrieved: Tensor, seen: Tensor) -> Tensor:
        return seen + self.gate.sigmoid() * (retrieved - seen)  # [..., H, D]

    def _recency(self) -> Tensor:
        """Return r / M, by which nearness falls with each move."""
        return self.recency.sigmoid() / self.memory_moves


def _rolled(ring: Tensor, by: Tensor) -> Tensor:
    """Return [B, M, F] with each row's slots rolled: slot s of row b is its old slot (s + by[b]) mod M."""
    B, M, _ = ring.shape
    slots = (torch.arange(M, device=ring.device) + by[:, None]) % M  # [B, M]
    rows = slots + M * torch.arange(B, device=ring.device)[:, None]
    return ring.reshape(B * M, -1).index_select(0, rows.flatten()).view_as(ring)


ARCHITECTURE = ConfiguredArchitecture(
    "retrieval",
    Retrieval,
    DEFAULTS,
    small={
        "layers": 2,
        "context_moves": 4,
        "memory_moves": 10,
        "neighbours": 3,
        "bank_entries": 4,
        "width": 16,
        "heads": 2,
        "mlp_width": 24,
    },
)
