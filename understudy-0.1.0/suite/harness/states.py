"""Functions on a player's state: copy, take rows, restore rows, measure, save, load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from understudy.suite.errors import InputError
from understudy.suite.io import files
from understudy.suite.protocols import State

FORMAT = "understudy-state-1"


def clone(state: State) -> State:
    """Return a copy that shares no memory with `state`."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def take(state: State, rows: Sequence[int] | Tensor) -> State:
    """Return a new state of the given rows, int [R]; a row may be taken more than once."""
    index = torch.as_tensor(rows, dtype=torch.int64)
    return {name: tensor.detach().index_select(0, index.to(tensor.device)) for name, tensor in state.items()}


def copy_rows(state: State, source: State, mask: Tensor) -> State:
    """Copy the rows of `mask` (bool [B]) from `source` into `state`, in place, and return `state`.

    The mask may be on the CPU where the state is on another device: then nothing is copied down.
    """
    rows = mask.nonzero()[:, 0]
    with torch.inference_mode():  # tensors made in either mode may be written in it
        for name, tensor in state.items():
            there = rows.to(tensor.device)
            tensor.index_copy_(0, there, source[name].index_select(0, there))
    return state


def size_bytes(state: State) -> int:
    """Return the size of all rows in bytes: of the tensors, or of the storages behind them where larger.

    A small view of a large storage keeps all of it, and tensors that share a storage keep it once.
    """
    storages: dict[int, int] = {}  # address -> bytes
    tensors: dict[int, int] = {}  # address of the storage -> bytes of the tensors in it
    for tensor in state.values():
        storage = tensor.untyped_storage()
        address = storage.data_ptr()
        storages[address] = max(storages.get(address, 0), storage.nbytes())
        tensors[address] = tensors.get(address, 0) + tensor.numel() * tensor.element_size()
    return sum(max(size, tensors[address]) for address, size in storages.items())


def save(state: State, path: Path) -> None:
    """Write a state atomically as one safetensors file; equal states give equal bytes."""
    tensors = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()}
    files.write_atomically(path, safetensors.torch.save(tensors, {"format": FORMAT}))


def load(path: Path, device: torch.device | str = "cpu") -> State:
    """Read a state onto a device; InputError if the file is missing, damaged or of another format."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            found = (file.metadata() or {}).get("format")
            if found != FORMAT:
                raise InputError(f"{path}: expected a state of format {FORMAT}; found {found!r}")
            return {name: file.get_tensor(name).to(device) for name in file.keys()}  # noqa: SIM118 - no mapping
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such state file") from error
    except safetensors.SafetensorError as error:
        raise InputError(f"{path}: not a whole state file ({error}); make it again") from error
