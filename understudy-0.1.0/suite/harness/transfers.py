"""Transfers between the harness on the CPU and a player's device: one copy up and one down a move."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from understudy.suite.protocols import Timestep

CPU = torch.device("cpu")
ALIGNMENT_BYTES = 64  # of each field, so that any kernel can read it


def timesteps_to(timesteps: Timestep, device: torch.device) -> Timestep:
    """Return timesteps of many moves on a device; on the CPU the same ones."""
    if device == CPU:
        return timesteps
    return Timestep(*(field.contiguous().to(device) for field in timesteps))


def up(legal: np.ndarray, device: torch.device) -> TimestepsFromHost | TimestepsToDevice:
    """Return what makes timesteps [B] on a device from a move's arrays; `legal` is bool [B, A]."""
    return TimestepsFromHost(legal) if device == CPU else TimestepsToDevice(legal, device)


def down(shape: Sequence[int], device: torch.device) -> Callable[[Tensor], np.ndarray]:
    """Return a function of logits float32 of a shape on a device that returns them as an array."""
    return Tensor.numpy if device == CPU else LogitsToHost(shape, device)


class TimestepsFromHost:
    """Timesteps that share their memory with the arrays."""

    def __init__(self, legal: np.ndarray) -> None:
        self._legal = torch.from_numpy(legal)

    def timestep(
        self,
        observation: np.ndarray,
        previous_action: np.ndarray,
        previous_reward: np.ndarray,
        first: np.ndarray,
        first_of_run: np.ndarray,
    ) -> Timestep:
        """Return a move's timestep [B]."""
        return Timestep(
            torch.from_numpy(observation),
            self._legal,
            torch.from_numpy(previous_action),
            torch.from_numpy(previous_reward),
            torch.from_numpy(first),
            torch.from_numpy(first_of_run),
        )


class TimestepsToDevice:
    """Timesteps on another device than the CPU, copied up at once; the legal actions stay there.

    The arrays of a move lie side by side in one buffer of host bytes, pinned for CUDA. The buffer is copied
    into new memory of the device, of which the fields are views, so that a player may keep them.
    """

    def __init__(self, legal: np.ndarray, device: torch.device) -> None:
        self._device = device
        self._legal = torch.from_numpy(legal).to(device)
        self._host = torch.empty(0, dtype=torch.uint8)
        self._forms: list[tuple[np.dtype, tuple[int, ...]]] = []  # dtype and shape of each field
        self._begins: list[int] = []  # in bytes
        self._fields: list[np.ndarray] = []  # views of the buffer

    def timestep(
        self,
        observation: np.ndarray,
        previous_action: np.ndarray,
        previous_reward: np.ndarray,
        first: np.ndarray,
        first_of_run: np.ndarray,
    ) -> Timestep:
        """Return a move's timestep [B] on the device.

        The host's buffer is written again at the next move: the logits of this one must be down by then.
        """
        arrays = observation, previous_action, previous_reward, first, first_of_run
        if [(array.dtype, array.shape) for array in arrays] != self._forms:
            self._lay_out(arrays)
        for field, array in zip(self._fields, arrays, strict=True):
            np.copyto(field, array)
        whole = self._host.to(self._device, non_blocking=self._host.is_pinned())
        seen, action, reward, begins, begins_run = (
            whole[begin : begin + field.nbytes].view(getattr(torch, field.dtype.name)).view(field.shape)
            for begin, field in zip(self._begins, self._fields, strict=True)
        )
        return Timestep(seen, self._legal, action, reward, begins, begins_run)

    def _lay_out(self, arrays: Sequence[np.ndarray]) -> None:
        self._forms = [(array.dtype, array.shape) for array in arrays]
        sizes = [-(-array.nbytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES for array in arrays]
        self._begins = [sum(sizes[:index]) for index in range(len(sizes))]
        self._host = torch.empty(sum(sizes), dtype=torch.uint8, pin_memory=self._device.type == "cuda")
        self._host.zero_()
        self._fields = [
            self._host[begin : begin + array.nbytes].numpy().view(array.dtype).reshape(array.shape)
            for begin, array in zip(self._begins, arrays, strict=True)
        ]


class LogitsToHost:
    """Logits that are copied down, into pinned memory from CUDA; the copy waits for the device."""

    def __init__(self, shape: Sequence[int], device: torch.device) -> None:
        self._host = torch.empty(tuple(shape), pin_memory=device.type == "cuda")
        self._device, self._shape = device, self._host.shape

    def __call__(self, logits: Tensor) -> np.ndarray:
        """Return logits [B, A] as an array, valid until the next call; ValueError for another form."""
        if logits.device != self._device or logits.dtype != torch.float32 or logits.shape != self._shape:
            raise ValueError("logits of another form")
        self._host.copy_(logits)
        values: np.ndarray = self._host.numpy()
        return values
