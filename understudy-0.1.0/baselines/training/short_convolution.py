"""A causal convolution over each channel's last moves, with SiLU behind it, for many moves or one.

It lets keys, values and queries look at the neighbouring moves before they enter a recurrence.
Source: Gu and Dao, Mamba (COLM 2024).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

MOVES = 4  # that an output depends on, its own included


def drawn_weight(channels: int) -> nn.Parameter:
    """Return a weight [MOVES, channels], oldest move first, in the uniform range of torch's convolutions."""
    bound = MOVES**-0.5
    return nn.Parameter(torch.empty(MOVES, channels).uniform_(-bound, bound))


def step(inputs: Tensor, window: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return outputs [B, C] of one move's inputs [B, C], and the last MOVES inputs [B, MOVES, C].

    `window` is that of the move before, zeros before a run's first moves.
    """
    window = torch.cat((window[:, 1:], inputs[:, None]), dim=1)
    return functional.silu((window * weight).sum(1), inplace=True), window


def unroll(inputs: Tensor, window: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return outputs [B, T, C] of inputs [B, T, C], and the last MOVES inputs [B, MOVES, C]."""
    inputs = torch.cat((window[:, 1:], inputs), dim=1)  # [B, MOVES - 1 + T, C]
    image = inputs.mT[:, :, None]  # [B, C, 1, MOVES - 1 + T]; with channels last this is the fastest form
    outputs = functional.conv2d(image, weight.t()[:, None, None], groups=weight.shape[1])
    return functional.silu(outputs[:, :, 0].mT), torch.cat((window, inputs[:, MOVES - 1 :]), dim=1)[
        :, -MOVES:
    ]
