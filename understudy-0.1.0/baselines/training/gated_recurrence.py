"""Gated linear recurrences over many moves: a matrix memory decays and takes in an outer product each move.

With the memory S [K, V] of a head, a key k [K], a value v [V], a query q [K] and a decay a in (0, 1],

    S_t = a_t S_(t-1) + k_t v_t^T,    y_t = S_t^T q_t.

The delta rule takes from the value what the memory already returns for the key: v_t becomes
u_t = b_t (v_t - a_t S_(t-1)^T k_t), so that S_t = a_t (I - b_t k_t k_t^T) S_(t-1) + b_t k_t v_t^T.

The moves are cut into chunks. Within a chunk each move reads the earlier ones by a matrix of products, and
between chunks only the memory is passed on. Products of decays are differences of summed logarithms, which
are never positive where they are used, so no exponential overflows.
Sources: Dao and Gu, Transformers are SSMs (ICML 2024), for the chunks; Yang, Kautz and
Hatamizadeh, Gated delta networks (ICLR 2025), for the delta rule in them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

CHUNK_MOVES = 32  # at most; a compromise between the products within chunks and the memories between them
# exp(-30) is nothing beside 1 in float32; the bound limits the rounding of sums of logarithms.
LEAST_LOG_DECAY = -30.0


def unroll(
    query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor, memory: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the outputs of T moves of the recurrence, and the memory after them.

    Args:
        query: [B, H, T, K], or [B, 1, T, K] where all heads share it.
        key: of the query's shape.
        value: [B, H, T, V].
        log_decay: [B, H, T], logarithm of a_t, at most 0 but for rounding.
        memory: [B, H, K, V], before the first move.

    Returns outputs [B, H, T, V] and the memory [B, H, K, V].
    """
    T = value.shape[2]
    query, key, value = (_chunks(part) for part in (query, key, value))  # [B, H, N, C, K or V]
    decays = _decays(log_decay)
    updates = key.mT @ (value * decays.to_end)  # [B, H, N, K, V]
    memories = [memory]
    for update, kept in zip(updates.unbind(2), decays.of_chunk.unbind(2), strict=True):
        memories.append(torch.addcmul(update, kept, memories[-1]))
    before = torch.stack(memories[:-1], dim=2)  # [B, H, N, K, V]
    return _outputs(query, key, value, decays, before)[:, :, :T], memories[-1]


def unroll_delta(
    query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor, rate: Tensor, memory: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the outputs of T moves of the recurrence with the delta rule, and the memory after them.

    The values u of a chunk solve a triangular system, (I + L) u = b (v - decay S k) with
    L[t, s] = b_t a_(s+1) ... a_t k_s^T k_t for s < t. Its solution is affine in the memory S before the
    chunk, so it is solved for all chunks at once.

    Args:
        query: [B, H, T, K].
        key: [B, H, T, K], of length 1 at most, or the memory may grow without bound.
        value: [B, H, T, V].
        log_decay: [B, H, T], logarithm of a_t, at most 0 but for rounding.
        rate: [B, H, T], b_t, from 0 to 1.
        memory: [B, H, K, V], before the first move.

    Returns outputs [B, H, T, V] and the memory [B, H, K, V].
    """
    T, V = value.shape[2:]
    query, key, value = (_chunks(part) for part in (query, key, value))  # [B, H, N, C, K or V]
    rates = _chunks(rate[..., None])  # [B, H, N, C, 1]
    decays = _decays(log_decay)
    system = (key * rates) @ key.mT * decays.between  # [B, H, N, C, C]; the solver takes 1 for its diagonal
    sides = torch.cat((value * rates, key * (rates * decays.from_start)), dim=-1)  # [B, H, N, C, V + K]
    solved = torch.linalg.solve_triangular(system, sides, upper=False, unitriangular=True)
    fresh, corrections = solved.split((V, solved.shape[-1] - V), dim=-1)  # u = fresh - corrections S
    to_end = (key * decays.to_end).mT  # [B, H, N, K, C]
    updates = to_end @ fresh  # [B, H, N, K, V]
    transitions = torch.diag_embed(decays.of_chunk[..., 0].expand(*updates.shape[:-1])) - to_end @ corrections
    memories = [memory]
    for update, transition in zip(updates.unbind(2), transitions.unbind(2), strict=True):
        memories.append(update + transition @ memories[-1])
    before = torch.stack(memories[:-1], dim=2)  # [B, H, N, K, V]
    value = fresh - corrections @ before
    return _outputs(query, key, value, decays, before)[:, :, :T], memories[-1]


def stabilised(log_decay: Tensor, log_input: Tensor, peak: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gates of a recurrence with exponential input gates, for a memory divided by exp(peak).

    S_t = exp(f_t) S_(t-1) + exp(i_t) k_t v_t^T would overflow. S'_t = exp(-m_t) S_t does not, with
    m_t = max(f_t + m_(t-1), i_t): it has the decay f_t + m_(t-1) - m_t and the input gate i_t - m_t, neither
    of them positive. What is computed from S' and m together does not depend on m, so m gets no gradient.
    Source: Beck et al., xLSTM (NeurIPS 2024).

    Args:
        log_decay: [B, H, T], f_t, at most 0.
        log_input: [B, H, T], i_t, any number.
        peak: [B, H], m before the first move.

    Returns the log decays [B, H, T], the weights of the inputs [B, H, T] in [0, 1], and m [B, H, T].
    """
    with torch.no_grad():
        fallen = log_decay.cumsum(-1)
        highest = torch.maximum((log_input - fallen).cummax(-1).values, peak[..., None])
        peaks = fallen + highest  # [B, H, T]
        before = torch.cat((peak[..., None], peaks[..., :-1]), dim=-1)
    return log_decay + (before - peaks), (log_input - peaks).exp(), peaks


def initial_step_biases(heads: int, sizes: tuple[float, float]) -> Tensor:
    """Return [H] whose softplus is drawn log-uniformly between two sizes.

    Source: Gu and Dao, Mamba (COLM 2024).
    """
    least, most = (math.log(size) for size in sizes)
    drawn = torch.empty(heads).uniform_(least, most).exp()
    return drawn + (-(-drawn).expm1()).log()  # the inverse of softplus


class _Decays(NamedTuple):
    """Products of decays within the N chunks of C moves each."""

    between: Tensor  # [B, H, N, C, C], from behind move s to move t, 0 for s > t
    from_start: Tensor  # [B, H, N, C, 1], from the memory before the chunk to move t
    to_end: Tensor  # [B, H, N, C, 1], from behind move s to the chunk's end
    of_chunk: Tensor  # [B, H, N, 1, 1]


def _decays(log_decay: Tensor) -> _Decays:
    summed = _chunks(log_decay.clamp(min=LEAST_LOG_DECAY)[..., None]).cumsum(-2)  # [B, H, N, C, 1]
    C = summed.shape[-2]
    later = torch.full((C, C), -torch.inf, device=summed.device).triu(1)
    of_chunk = summed[..., -1:, :]
    between = (summed - summed.mT + later).exp()
    return _Decays(between, summed.exp(), (of_chunk - summed).exp(), of_chunk.exp())


def _outputs(query: Tensor, key: Tensor, value: Tensor, decays: _Decays, before: Tensor) -> Tensor:
    """Return [B, H, N x C, V]: what a move reads of its chunk's moves up to it and of the memory before."""
    within = (query @ key.mT * decays.between) @ value  # [B, H, N, C, V]
    return torch.addcmul(within, decays.from_start, query @ before).flatten(2, 3)


def _chunks(part: Tensor) -> Tensor:
    """Return [B, H, N, C, D] of [B, H, T, D], with zeros behind: they decay nothing and add nothing."""
    B, H, T, D = part.shape
    num_chunks = -(-T // CHUNK_MOVES)
    moves = -(-T // num_chunks)
    padded = functional.pad(part, (0, 0, 0, num_chunks * moves - T))
    return padded.view(B, H, num_chunks, moves, D)
