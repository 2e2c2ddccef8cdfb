"""The device of a player that may have no parameter or buffer to tell it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn


class Located(nn.Module):
    """A module that knows its device.

    A buffer would tell it too, but would be part of the hash of the player's parameters, which is stored
    with its runs. Source: torchmetrics' `Metric`, which moves its tensors likewise.
    """

    def __init__(self) -> None:
        super().__init__()
        self._here = torch.empty(0)

    @property
    def device(self) -> torch.device:
        """Where its tensors are, and those that it makes."""
        return self._here.device

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._here = fn(self._here)
        return self
