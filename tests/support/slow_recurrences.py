"""The recurrences of the papers, one move at a time: what the chunked forms are compared with."""

from __future__ import annotations

import torch


def gated(query, key, value, log_decay, memory):
    """S_t = a_t S_(t-1) + k_t v_t^T, y_t = S_t^T q_t; shapes as in `gated_recurrence.unroll`."""
    outputs = []
    for t in range(value.shape[2]):
        decay = log_decay[:, :, t, None, None].exp()
        memory = decay * memory + key[:, :, t, :, None] * value[:, :, t, None, :]
        outputs.append((memory * query[:, :, t, :, None]).sum(-2))
    return torch.stack(outputs, dim=2), memory


def gated_delta(query, key, value, log_decay, rate, memory):
    """S_t = a_t (I - b_t k_t k_t^T) S_(t-1) + b_t k_t v_t^T, y_t = S_t^T q_t."""
    identity = torch.eye(key.shape[-1], dtype=key.dtype)
    outputs = []
    for t in range(value.shape[2]):
        decay, part = log_decay[:, :, t, None, None].exp(), rate[:, :, t, None, None]
        outer = key[:, :, t, :, None] * key[:, :, t, None, :]  # [B, H, K, K]
        written = key[:, :, t, :, None] * value[:, :, t, None, :]
        memory = decay * (identity - part * outer) @ memory + part * written
        outputs.append((memory * query[:, :, t, :, None]).sum(-2))
    return torch.stack(outputs, dim=2), memory


def mlstm(query, key, value, log_forget, log_input):
    """C_t = f_t C_(t-1) + i_t k_t v_t^T, n_t = f_t n_(t-1) + i_t k_t, h_t = C_t^T q_t / max(|n_t^T q_t|, 1).

    Without the paper's stabiliser: in float64 the exponentials of the tests don't overflow.
    """
    B, H, T, D = query.shape
    memory, summed = query.new_zeros(B, H, D, value.shape[-1]), query.new_zeros(B, H, D)
    outputs = []
    for t in range(T):
        forget, weight = log_forget[:, :, t, None].exp(), log_input[:, :, t, None].exp()
        memory = (
            forget[..., None] * memory + weight[..., None] * key[:, :, t, :, None] * value[:, :, t, None, :]
        )
        summed = forget * summed + weight * key[:, :, t]
        divisor = (summed * query[:, :, t]).sum(-1, keepdim=True).abs().clamp(min=1)
        outputs.append((memory * query[:, :, t, :, None]).sum(-2) / divisor)
    return torch.stack(outputs, dim=2)
