"""Functions on a player's state: copy, take rows, join, restore rows, measure, hash, save, load.

The state of a player in a process of its own is a `RemoteState`, which these functions take as well; nothing
else looks into a state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from understudy.suite.errors import InputError
from understudy.suite.harness.player_messages import Fault
from understudy.suite.io import files
from understudy.suite.protocols import State

FORMAT = "understudy-state-1"


@runtime_checkable
class RemoteState(Protocol):
    """A state that lives in another process, whose methods do there what this module's functions do here."""

    fault: Fault | None  # why the player could not make it
    largest_bytes: int  # size of all rows, the largest since it was made

    def clone(self) -> RemoteState:
        """As `clone`."""

    def take(self, rows: Sequence[int]) -> RemoteState:
        """As `take`."""

    def join(self, states: Sequence[Any]) -> RemoteState:
        """As `join`; some of the states may be here."""

    def copy_rows(self, source: Any, mask: Sequence[bool]) -> None:
        """As `copy_rows`."""

    def size_bytes(self) -> int:
        """As `size_bytes`."""

    def tensors(self) -> State:
        """As `tensors`."""


def is_remote(state: object) -> bool:
    """Whether a state is in another process."""
    return type(state) is not dict and isinstance(state, RemoteState)


def clone(state: State) -> State:
    """Return a copy that shares no memory with `state`."""
    if is_remote(state):
        return cast(State, cast(RemoteState, state).clone())
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def take(state: State, rows: Sequence[int] | Tensor) -> State:
    """Return a new state of the given rows, int [R]; a row may be taken more than once."""
    index = torch.as_tensor(rows, dtype=torch.int64)
    if is_remote(state):
        return cast(State, cast(RemoteState, state).take(index.tolist()))
    return {name: tensor.detach().index_select(0, index.to(tensor.device)) for name, tensor in state.items()}


def join(states: Sequence[State]) -> State:
    """Return a new state with the rows of several, in order; those that are here go to where others are."""
    for state in states:
        if is_remote(state):
            return cast(State, cast(RemoteState, state).join(states))
    return {name: torch.cat([state[name] for state in states]) for name in states[0]}


def tensors(state: State) -> State:
    """Return a state's tensors: the state itself, or those of one in another process, on the CPU."""
    return cast(RemoteState, state).tensors() if is_remote(state) else state


def copy_rows(state: State, source: State, mask: Tensor) -> State:
    """Copy the rows of `mask` (bool [B]) from `source` into `state`, in place, and return `state`.

    The mask may be on the CPU where the state is on another device: then nothing is copied down.
    """
    if is_remote(state):
        cast(RemoteState, state).copy_rows(source, mask.tolist())
        return state
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
    if is_remote(state):
        return cast(RemoteState, state).size_bytes()
    storages: dict[int, int] = {}  # address -> bytes
    tensors: dict[int, int] = {}  # address of the storage -> bytes of the tensors in it
    for tensor in state.values():
        storage = tensor.untyped_storage()
        address = storage.data_ptr()
        storages[address] = max(storages.get(address, 0), storage.nbytes())
        tensors[address] = tensors.get(address, 0) + tensor.numel() * tensor.element_size()
    return sum(max(size, tensors[address]) for address, size in storages.items())


def sha256(state: State) -> bytes:
    """Return the SHA-256 over names, dtypes, shapes and bytes of a state's tensors, by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().contiguous().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.digest()


def to_bytes(state: State) -> bytes:
    """Return a state as the bytes of one safetensors file; equal states give equal bytes."""
    found = {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors(state).items()
    }
    return safetensors.torch.save(found, {"format": FORMAT})


def save(state: State, path: Path) -> None:
    """Write a state atomically as one safetensors file; equal states give equal bytes."""
    files.write_atomically(path, to_bytes(state))


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
