"""The child's side of a player process: it holds the player and its states, and answers requests.

It believes its parent and checks its player. What the player's own code may do to this process is bounded
from outside (`confinement`), and what it says is believed only as far as rechecking bears it out.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from understudy.suite import custom_code
from understudy.suite.errors import InputError
from understudy.suite.harness import frozenness, player_messages, states, transfers
from understudy.suite.harness.player_checks import PlayerChecks, PlayerRefused
from understudy.suite.harness.player_messages import (
    ANSWER,
    NO_DIGEST,
    Ask,
    Channel,
    Ended,
    Fault,
    Reply,
    TimestepReader,
    dumped,
)
from understudy.suite.protocols import State, Timestep

HANDLES = struct.Struct("<II")
OWN_ADVICE = "mend the player's code"


class PlayerServer:
    """Answers the requests of one parent for one player until the parent has closed its end."""

    def __init__(self, player: nn.Module, channel: Channel, device: torch.device) -> None:
        self._player: Any = player
        self._channel, self._device = channel, device
        self._states: dict[int, State] = {}  # by handle
        self._checks: dict[int, PlayerChecks] = {}  # by handle, from the first answer on
        self._weights: frozenness.Weights | None = None
        self._timesteps = TimestepReader()
        self._pending: Fault | None = None  # of a request without reply; the next reply says it
        self._do: dict[int, Callable[[memoryview], None]] = {
            Ask.INITIAL_STATE: self._initial_state,
            Ask.STEP: self._step,
            Ask.UNROLL: self._unroll,
            Ask.CLONE: self._clone,
            Ask.TAKE: self._take,
            Ask.COPY_ROWS: self._copy_rows,
            Ask.JOIN: self._join,
            Ask.DROP: self._drop,
            Ask.PUT: self._put,
            Ask.GET: self._get,
            Ask.DIGEST: self._digest,
            Ask.PARAMETERS: self._parameters,
            Ask.WATCH_WEIGHTS: self._watch_weights,
            Ask.MOVED_WEIGHTS: self._moved_weights,
            Ask.PUT_WEIGHTS: self._put_weights,
            Ask.RESTORE_WEIGHTS: self._restore_weights,
        }

    def serve(self) -> None:
        """Answer until the parent has closed its end."""
        answered = {
            *(Ask.INITIAL_STATE, Ask.STEP, Ask.UNROLL, Ask.GET, Ask.DIGEST),
            *(Ask.PARAMETERS, Ask.MOVED_WEIGHTS),
        }
        likely_bytes = 0
        while True:
            try:
                kind, body = self._channel.receive(
                    player_messages.MOST_REQUEST_BYTES, likely_bytes=likely_bytes
                )
            except Ended:
                return
            likely_bytes = len(body)
            if self._pending is None:
                self._pending = self._fault_of(kind, body)
            if self._pending is not None and kind in answered:
                self._channel.send(Reply.FAILED, [self._pending.dumped()])

    def _fault_of(self, kind: int, body: memoryview) -> Fault | None:
        """Do what a request asks; return what went wrong, if anything did."""
        try:
            self._do[kind](body)
        except PlayerRefused as refused:
            return refused.fault
        except InputError as error:
            return Fault("an answer", str(error), OWN_ADVICE, 0)
        except Ended:
            raise
        except (Exception, SystemExit) as error:  # whatever a stranger's code raises
            what = f"{type(error).__name__}{custom_code.place_of(error)}: {custom_code.first_line(error)}"
            return Fault("an answer", what, OWN_ADVICE, 0)
        return None

    def _initial_state(self, body: memoryview) -> None:
        handle, rows = HANDLES.unpack(body)
        with torch.inference_mode():
            state = self._player.initial_state(rows)
        # Its number of actions is known with the first timestep; here the state alone is checked.
        PlayerChecks("", [""] * rows, 1, state, device=self._device)
        self._states[handle] = state
        forms = {name: [_dtype(tensor), list(tensor.shape)] for name, tensor in state.items()}
        self._channel.send(Reply.DONE, [dumped({"forms": forms, "size_bytes": states.size_bytes(state)})])

    def _step(self, body: memoryview) -> None:
        handle, digest, timestep, state = self._asked(body)
        with torch.inference_mode():
            answer = self._player.step(timestep, state)
        self._answer(handle, digest, *self._checks[handle].step(answer, 0))

    def _unroll(self, body: memoryview) -> None:
        handle, digest, timesteps, state = self._asked(body)
        with torch.inference_mode():
            answer = self._player.unroll(timesteps, state)
        moves = timesteps.first.shape[1]
        self._answer(handle, digest, *self._checks[handle].unroll(answer, 0, moves))

    def _asked(self, body: memoryview) -> tuple[int, bool, Timestep, State]:
        """Return what a STEP or UNROLL asks about; the state is given away to the player."""
        handle, digest, fields = self._timesteps.read(body)
        here = Timestep(*map(torch.from_numpy, fields))
        state = self._states.pop(handle)
        if handle not in self._checks:
            lanes, num_actions = [""] * len(here.first), here.legal_actions.shape[-1]
            self._checks[handle] = PlayerChecks("", lanes, num_actions, state, device=self._device)
        return handle, digest, transfers.timesteps_to(here, self._device), state

    def _answer(self, handle: int, digest: bool, logits: np.ndarray, state: State) -> None:
        self._states[handle] = state
        found = states.sha256(state) if digest else NO_DIGEST
        head = ANSWER.pack(self._checks[handle].largest_bytes, found)
        self._channel.send(Reply.ANSWER, [head, logits.tobytes()])

    def _clone(self, body: memoryview) -> None:
        source, target = HANDLES.unpack(body)
        self._states[target] = states.clone(self._states[source])

    def _take(self, body: memoryview) -> None:
        source, target = HANDLES.unpack_from(body)
        rows = np.frombuffer(body, "<u4", offset=HANDLES.size).tolist()
        self._states[target] = states.take(self._states[source], rows)

    def _copy_rows(self, body: memoryview) -> None:
        target, source = HANDLES.unpack_from(body)
        mask = torch.tensor([bool(each) for each in body[HANDLES.size :]])
        self._states[target] = states.copy_rows(self._states[target], self._states[source], mask)

    def _join(self, body: memoryview) -> None:
        target, *sources = np.frombuffer(body, "<u4").tolist()
        self._states[target] = states.join([self._states[source] for source in sources])

    def _drop(self, body: memoryview) -> None:
        for handle in np.frombuffer(body, "<u4").tolist():
            self._states.pop(handle, None)
            self._checks.pop(handle, None)

    def _put(self, body: memoryview) -> None:
        (handle,) = struct.unpack_from("<I", body)
        found = safetensors.torch.load(bytes(body[4:]))
        self._states[handle] = {name: tensor.to(self._device) for name, tensor in found.items()}

    def _get(self, body: memoryview) -> None:
        (handle,) = struct.unpack("<I", body)
        self._channel.send(Reply.TENSORS, [states.to_bytes(self._states[handle])])

    def _digest(self, body: memoryview) -> None:
        handle, hashed = struct.unpack("<I?", body)
        state = self._states[handle]
        sha256 = states.sha256(state).hex() if hashed else None
        found = {"sha256": sha256, "size_bytes": states.size_bytes(state)}
        self._channel.send(Reply.DONE, [dumped(found)])

    def _parameters(self, body: memoryview) -> None:
        self._channel.send(Reply.DONE, [dumped({"sha256": frozenness.parameters_sha256(self._player)})])

    def _watch_weights(self, body: memoryview) -> None:
        self._weights = frozenness.Weights(self._player, kept=bool(body[0]))

    def _moved_weights(self, body: memoryview) -> None:
        assert self._weights is not None, "they are watched first"
        self._channel.send(Reply.TENSORS, [states.to_bytes(self._weights.moved())])

    def _put_weights(self, body: memoryview) -> None:
        assert self._weights is not None, "they are watched first"
        self._weights.put_back(safetensors.torch.load(bytes(body)))

    def _restore_weights(self, body: memoryview) -> None:
        assert self._weights is not None, "they are watched first"
        self._weights.restore()


def reach_moves_of(player: Any) -> int | None:
    """Return how many of the newest moves matter to a player; None: no bound."""
    reach = player.reach_moves
    return None if reach is None else int(reach)


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
