"""A player in a process of its own: it looks like a module, and its states stay in the child.

Requests without a reply cost no wait; what goes wrong in them is said by the next reply. Whoever asks a
player whose process has failed gets a `Fault` for an answer, of which `PlayerChecks` makes the one line that
names the move.
"""

from __future__ import annotations

import math
import struct
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NoReturn, cast

import numpy as np
import torch
from torch import Tensor, nn

from understudy.suite import devices
from understudy.suite.errors import InputError
from understudy.suite.harness import child_states, states, transfers
from understudy.suite.harness.child_process import ChildProcess, Launch
from understudy.suite.harness.child_states import StateInChild, WeightsInChild
from understudy.suite.harness.player_checks import PlayerRefused
from understudy.suite.harness.player_messages import (
    ANSWER,
    Ask,
    Fault,
    Reply,
    TimestepWriter,
)
from understudy.suite.harness.player_replies import Digest, ParametersHash, StateForm
from understudy.suite.io import tensor_files
from understudy.suite.protocols import State, Timestep

MOVE_SECONDS: Final = 60.0  # of `step`, and of `unroll` for each move, up to UNROLL_SECONDS
UNROLL_SECONDS: Final = 600.0
STATE_SECONDS: Final = 120.0  # to send a state, or the hash of parameters
HEAD_BYTES: Final = 1 << 20  # of a safetensors file, before its tensors
MOST_WEIGHTS_BYTES: Final = 1 << 32  # of a learning player's parameters
IN_PROCESS: Final = "in-process"


def confinement_of(player: object) -> str:
    """Return by what a player is confined: `bubblewrap`, `resource limits`, or `in-process` for nothing."""
    return player.confinement if isinstance(player, ChildPlayer) else IN_PROCESS


def device_here(player: object, device: str) -> torch.device:
    """Return where timesteps are given to a player on a device: for one in another process, on the CPU."""
    return transfers.CPU if isinstance(player, ChildPlayer) else devices.torch_device(device)


@contextmanager
def closing(player: nn.Module) -> Iterator[nn.Module]:
    """Yield a player; its process, if it has one of its own, ends with the block."""
    try:
        yield player
    finally:
        if isinstance(player, ChildPlayer):
            player.close()


class ChildPlayer(nn.Module):
    """A player whose parameters and states are in a child process."""

    _process: ChildProcess
    _writer: TimestepWriter
    _live: weakref.WeakSet[StateInChild]  # of which a new process gets the tensors
    _dropped: list[int]  # handles of states that are gone here

    def __init__(self, launch: Launch) -> None:
        """Start the process and load the player; InputError if it cannot be loaded."""
        super().__init__()
        self.launch = launch
        self._forms: dict[str, tuple[str, tuple[int, ...]]] | None = None  # of one run's state
        self._next_handle = 0
        self._moves_before = 0  # that earlier processes were asked for, for messages
        self._start()

    @property
    def confinement(self) -> str:
        """By what the process is confined."""
        return self._process.confinement

    @property
    def reach_moves(self) -> int | None:
        """As `Imitator.reach_moves`, as the process says."""
        return self._process.reach_moves

    def initial_state(self, batch_size: int) -> State:
        """Return a handle of the empty memory; what is wrong with it, `PlayerChecks` says."""
        state = StateInChild(self, batch_size)
        self.send(Ask.INITIAL_STATE, [struct.pack("<II", state.handle, batch_size)])
        form = self._process.said(StateForm, MOVE_SECONDS)
        if form is not None:
            self._take_forms(state, form)
        state.fault = self._process.fault
        return cast(State, state)

    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State] | Fault:
        """Return logits [B, A] and the next state, or what is wrong with them."""
        shape = timestep.first.shape[0], self.launch.num_actions
        return self._answer(Ask.STEP, timestep, state, shape, MOVE_SECONDS)

    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State] | Fault:
        """Return logits [B, T, A] and the next state, or what is wrong with them."""
        B, T = timesteps.first.shape
        shape, seconds = (B, T, self.launch.num_actions), min(MOVE_SECONDS * T, UNROLL_SECONDS)
        return self._answer(Ask.UNROLL, timesteps, state, shape, seconds)

    def parameters_sha256(self) -> str:
        """Return the hash of the parameters and buffers that the process says it has."""
        self.send(Ask.PARAMETERS, [])
        found = self._process.said(ParametersHash, STATE_SECONDS)
        if found is None:
            self.raise_fault()
        return found.sha256

    def weights(self, kept: bool) -> WeightsInChild:
        """Return what watches the parameters there for changes."""
        self.send(Ask.WATCH_WEIGHTS, [bytes([kept])])
        return WeightsInChild(self)

    def reload(self) -> None:
        """Continue in a new process, which loads the player afresh and is given the states' tensors alone.

        Whatever the player kept elsewhere is gone. Raises PlayerRefused if a state has not the form of the
        first one, or if the old process says that its parameters are other than those that are loaded.
        """
        before = self.parameters_sha256()
        kept = [(state, state.tensors()) for state in list(self._live)]
        self.close()
        self._moves_before += self._process.moves
        self._start()
        for state, tensors in kept:
            self.put(tensors, state)
        if self.parameters_sha256() != before:
            self._process.fail("parameters as they were loaded", "others", "leave them as they are")
            self.raise_fault()

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def put(self, tensors: State, state: StateInChild | None = None) -> StateInChild:
        """Return the handle, a new one or the given one, of a state that is sent there."""
        rows = len(next(iter(tensors.values()))) if tensors else 0
        target = StateInChild(self, rows) if state is None else state
        self._live.add(target)  # also one of the process before
        self.send(Ask.PUT, [struct.pack("<I", target.handle), states.to_bytes(tensors)])
        return target

    def send(self, ask: Ask, parts: Sequence[Any], seconds: float = STATE_SECONDS) -> None:
        """Send a request, and before it which states are gone."""
        self._send_dropped(seconds)
        self._process.send(ask, parts, seconds)

    def tensors_of(self, state: StateInChild) -> State:
        """Return a state's tensors, on the CPU; PlayerRefused unless they have the form of the first one."""
        forms = self._forms or {}
        expected = {name: (dtype, (state.rows, *shape)) for name, (dtype, shape) in forms.items()}
        most_bytes = sum(_size_bytes(*form) for form in expected.values())
        self.send(Ask.GET, [struct.pack("<I", state.handle)])
        found = self._tensors(most_bytes)
        if {name: (_dtype(tensor), tuple(tensor.shape)) for name, tensor in found.items()} != expected:
            self._process.fail("a state of the form that it had at the start", "another", "keep its form")
            self.raise_fault()
        return found

    def moved_weights(self) -> State:
        """Return the parameters and buffers there if one of them changed; otherwise nothing."""
        self.send(Ask.MOVED_WEIGHTS, [])
        return self._tensors(MOST_WEIGHTS_BYTES)

    def size_of(self, state: StateInChild) -> int:
        """Return a state's size in bytes, as the process says."""
        found = self._digest(state, hashed=False)
        self._require_size(state, found.size_bytes)
        if self._process.fault:
            self.raise_fault()
        return found.size_bytes

    def digest_of(self, state: StateInChild) -> str:
        """Return the SHA-256 of a state (`states.sha256`), as the process says."""
        return str(self._digest(state, hashed=True).sha256)

    def account(self, state: StateInChild) -> int:
        """Return the handle of a new state; it is removed there when it is gone here."""
        self._next_handle += 1
        self._live.add(state)
        weakref.finalize(state, self._forget, self._next_handle).atexit = False
        return self._next_handle

    def raise_fault(self) -> NoReturn:
        """Raise what went wrong, as PlayerRefused."""
        fault = self._process.fail("an answer", "none")
        moves = self._moves_before + self._process.moves
        when = f"after {moves:,} moves" if moves else "before the first move"
        raise PlayerRefused(
            f"{self.launch.name}, {when}: expected {fault.expected}; found {fault.found}; {fault.advice}; "
            "score it again",
            fault,
        )

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Raise RuntimeError: they are in the child."""
        raise RuntimeError("a player's parameters are in its own process")

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """Raise RuntimeError: they are in the child."""
        raise RuntimeError("a player's parameters are in its own process")

    def named_buffers(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, Tensor]]:
        """Raise RuntimeError: they are in the child."""
        raise RuntimeError("a player's buffers are in its own process")

    def _start(self) -> None:
        self._live, self._dropped, self._writer = weakref.WeakSet(), [], TimestepWriter()
        self._process = ChildProcess(self.launch)
        fault = self._process.fault
        if fault:
            self.close()
            if not fault.expected:  # an error of loading, which is a whole line
                raise InputError(fault.found)
            self.raise_fault()

    def _send_dropped(self, seconds: float) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, []
            self._process.send(Ask.DROP, [child_states.bytes_of(dropped)], seconds)

    def _forget(self, handle: int) -> None:
        self._dropped.append(handle)

    def _take_forms(self, state: StateInChild, reply: StateForm) -> None:
        """Check the form of a new state, and keep that of one row."""
        forms = reply.forms
        of_a_row = {name: (dtype, shape[1:]) for name, (dtype, shape) in forms.items()}
        known = all(isinstance(getattr(torch, dtype, None), torch.dtype) for dtype, _ in forms.values())
        batched = all(shape[:1] == (state.rows,) for _, shape in forms.values())
        if not (known and batched) or (self._forms is not None and of_a_row != self._forms):
            self._process.fail("a state of one form, batch first", "another", "keep its form")
            return
        self._forms, state.largest_bytes = of_a_row, reply.size_bytes
        self._require_size(state, reply.size_bytes)

    def _require_size(self, state: StateInChild, size_bytes: int) -> None:
        """Kill the process if a size that it says is less than its state's form has, or beyond the cap."""
        least = state.rows * sum(_size_bytes(*form) for form in (self._forms or {}).values())
        if max(least, size_bytes) > self.launch.state_cap_bytes * state.rows:
            cap = f"a state of at most {self.launch.state_cap_bytes:,} bytes a run"
            found = max(least, size_bytes) // max(state.rows, 1)
            self._process.fail(cap, f"one of {found:,}", "make it smaller")
        elif size_bytes < least:
            self._process.fail(
                f"a size of at least {least:,} bytes, as its state's form has", f"{size_bytes:,}"
            )

    def _answer(
        self, ask: Ask, timesteps: Timestep, state: State, shape: tuple[int, ...], seconds: float
    ) -> tuple[Tensor, State] | Fault:
        self._process.moves += 1 if len(shape) == 2 else shape[1]
        here = state if isinstance(state, StateInChild) else self.put(state)
        self._send_dropped(seconds)
        fields = [field.numpy() for field in timesteps]
        self._process.send_whole(self._writer.message(ask, here.handle, False, fields), seconds)
        size_bytes = ANSWER.size + 4 * math.prod(shape)
        body = self._process.receive(Reply.ANSWER, size_bytes, seconds, size_bytes)
        if body is not None and len(body) != size_bytes:
            self._process.fail(f"an answer of {size_bytes:,} bytes", f"one of {len(body):,}")
        if body is not None and self._process.fault is None:
            here.largest_bytes = ANSWER.unpack_from(body)[0]
            self._require_size(here, here.largest_bytes)
        if body is None or self._process.fault:
            return self._process.fail("an answer", "none")
        logits = torch.from_numpy(np.frombuffer(body, np.float32, offset=ANSWER.size).reshape(shape))
        return logits, cast(State, here)

    def _tensors(self, most_bytes: int) -> State:
        """Return tensors that the process was asked for; PlayerRefused if it sends none."""
        body = self._process.receive(Reply.TENSORS, most_bytes + HEAD_BYTES, STATE_SECONDS)
        if body is None:
            self.raise_fault()
        try:
            return tensor_files.tensors(bytes(body), "its reply")
        except InputError:
            self._process.fail("tensors", "a reply that holds none")
            self.raise_fault()

    def _digest(self, state: StateInChild, hashed: bool) -> Digest:
        """Return what the process says of a state; PlayerRefused if it says nothing."""
        self.send(Ask.DIGEST, [struct.pack("<I?", state.handle, hashed)])
        found = self._process.said(Digest, STATE_SECONDS)
        if found is None:
            self.raise_fault()
        return found


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _size_bytes(dtype: str, shape: Sequence[int]) -> int:
    one: torch.dtype = getattr(torch, dtype)
    return math.prod(shape) * one.itemsize
