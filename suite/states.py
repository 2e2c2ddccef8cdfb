"""What the suite does with a player's state: copy, choose rows, restore rows, measure, store, read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from understudy.suite import files
from understudy.suite.errors import InputError
from understudy.suite.protocols import State

FORMAT = "understudy-state-1"


def clone(state: State) -> State:
    """Return a copy that shares no memory with `state`."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def take(state: State, rows: Sequence[int] | Tensor) -> State:
    """Return a new state of the given rows, int [R]; a row may be taken more than once."""
    index = torch.as_tensor(rows, dtype=torch.int64)
    return {name: tensor.detach().index_select(0, index) for name, tensor in state.items()}


def copy_rows(state: State, source: State, mask: Tensor) -> State:
    """Return `state`, changed in place, with the rows of `mask` (bool [B]) as they are in `source`."""
    rows = mask.nonzero()[:, 0]
    with torch.inference_mode():  # in it tensors from either mode may be written to
        for name, tensor in state.items():
            tensor.index_copy_(0, rows, source[name].index_select(0, rows))
    return state


def size_bytes(state: State) -> int:
    """Return the bytes that the numbers of all rows take."""
    return sum(tensor.numel() * tensor.element_size() for tensor in state.values())


def save(state: State, path: Path) -> None:
    """Write a state as one safetensors file, whole or not at all; the same state gives the same bytes."""
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}
    files.write_atomically(path, safetensors.torch.save(tensors, {"format": FORMAT}))


def load(path: Path) -> State:
    """Read a state; InputError if the file is missing, damaged or of another format."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            found = (file.metadata() or {}).get("format")
            if found != FORMAT:
                raise InputError(f"{path}: expected a state of format {FORMAT}; found {found!r}")
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such state file") from error
    except safetensors.SafetensorError as error:
        raise InputError(f"{path}: not a whole state file ({error}); make it again") from error
