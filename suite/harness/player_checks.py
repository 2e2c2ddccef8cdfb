"""Player checks: logits and states have the declared form at every move; otherwise the row ends there.

Whatever asks a player for logits passes the answer through here: playing, priming, measuring agreement,
rechecking and checking isolation. A player that answers otherwise cannot be scored: a NaN would silently play
action 0, and a state that grows or changes its form would hold a memory that nobody declared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from understudy.suite.errors import InputError
from understudy.suite.harness import states, transfers
from understudy.suite.harness.jobs import Labels
from understudy.suite.harness.player_messages import Fault
from understudy.suite.protocols import State


class PlayerRefused(InputError):
    """A player's answer has not the declared form; the message names player, lane and move."""

    def __init__(self, message: str, fault: Fault) -> None:
        super().__init__(message, fault)
        self.fault = fault

    def __str__(self) -> str:
        return str(self.args[0])


def name_of(labels: Labels) -> str:
    """Return how a message names a job's player: its name and its checkpoint."""
    return f"{labels.name}/{labels.checkpoint}"


class PlayerChecks:
    """Checks the answers of one player to one batch of lanes, and measures the size of its state."""

    def __init__(
        self,
        player: str,
        lanes: Sequence[str],
        num_actions: int,
        state: State,
        move_name: str = "move",
        device: torch.device = transfers.CPU,
    ) -> None:
        """Take the form of the state before the first move; every later state must have the same.

        Args:
            player: its name, for messages.
            lanes: what messages call each lane [B].
            num_actions: A.
            state: before the first move, B rows.
            move_name: what messages call a move.
            device: of the player, on which its logits and its state must be.

        Raises PlayerRefused unless the state is a dict of plain dense tensors on the device, batch first and
        without gradients. The state of a player in a process of its own is checked there.
        """
        self._player, self._lanes, self._move_name = player, list(lanes), move_name
        self._shape, self._device = (len(self._lanes), num_actions), device
        self._array = transfers.down(self._shape, device)
        self._all_finite = np.ones(self._shape, bool).tobytes()
        self._names: dict[str, str] = {}  # of each tensor of the state: its form, for messages
        self._forms: list[tuple[Any, ...]] = []  # as `_form`, with a storage of the tensor's own size
        self._is_remote = states.is_remote(state)
        if not self._is_remote:
            self._take_forms(state)
        elif state.fault:  # type: ignore[attr-defined]  # a RemoteState
            raise self._refused(state.fault, None)  # type: ignore[attr-defined]
        self.largest_bytes = states.size_bytes(state)  # of all lanes together, over all moves so far

    def step(self, answer: Any, move: int) -> tuple[np.ndarray, State]:
        """Return logits float32 [B, A] and the next state of an answer of `step`; PlayerRefused otherwise.

        The logits may be overwritten at the next call.
        """
        if self._is_remote:
            return self._of_other_process(answer, move)
        try:  # this costs a few microseconds, at every move of every run
            logits, state = answer
            values = self._array(logits)
            if (
                type(answer) is tuple
                and type(logits) is Tensor
                and logits.dtype is torch.float32
                and values.shape == self._shape
                and np.isfinite(values).tobytes() == self._all_finite
                and type(state) is dict
                and [_form(name, tensor) for name, tensor in state.items()] == self._forms
            ):
                return values, state
        except (AttributeError, TypeError, ValueError, NotImplementedError, RuntimeError):
            pass  # what is wrong is found out below
        return self._examined(answer, self._shape, move, move)

    def unroll(self, answer: Any, first_move: int, moves: int) -> tuple[np.ndarray, State]:
        """Return logits float32 [B, T, A] and the next state of an answer of `unroll` to T moves.

        Raises PlayerRefused; a state of another form is noticed after the last of these moves.
        """
        if self._is_remote:
            return self._of_other_process(answer, first_move)
        B, A = self._shape
        return self._examined(answer, (B, moves, A), first_move, first_move + moves - 1)

    def _examined(
        self, answer: Any, shape: tuple[int, ...], first_move: int, last_move: int
    ) -> tuple[np.ndarray, State]:
        """Return the logits and the state of an answer, after measuring the state, or say what is wrong."""
        if not isinstance(answer, tuple) or len(answer) != 2:
            found = f"a {type(answer).__name__}"
            raise self._refusal(first_move, "a pair of logits and state", found, "return both")
        logits, state = answer
        plain = f"float32 {list(shape)} on {self._device}"
        if _described(logits) != plain:
            advice = "return a plain dense tensor of these at every move"
            if isinstance(logits, Tensor) and logits.device != self._device:
                advice += ", every tensor made on the module's own device"
            raise self._refusal(first_move, f"logits {plain}", _described(logits), advice)
        values: np.ndarray = logits.resolve_neg().cpu().numpy()
        if not np.isfinite(values).all():
            raise self._bad_numbers(values.reshape(len(values), -1, values.shape[-1]), first_move)
        if type(state) is not dict:
            raise self._bad_state(last_move, "a dict of tensors", f"a {type(state).__name__}")
        for name in sorted({*self._names, *state}, key=str):
            expected = self._names.get(name, "no tensor")
            found = _described(state[name]) if name in state else "none"
            if expected != found:
                raise self._bad_state(last_move, f"{expected} under the name {name!r}", found)
        self.largest_bytes = max(self.largest_bytes, states.size_bytes(state))
        return values, state

    def _of_other_process(self, answer: Any, first_move: int) -> tuple[np.ndarray, State]:
        """Return logits and state of an answer whose form its channel and the other process have checked."""
        if isinstance(answer, Fault):
            raise self._refused(answer, first_move)
        logits, state = answer
        values: np.ndarray = logits.numpy()
        finite = np.isfinite(values)
        if finite.tobytes() != self._all_finite and not finite.all():  # the first is quicker, for one move
            raise self._bad_numbers(values.reshape(len(values), -1, values.shape[-1]), first_move)
        self.largest_bytes = max(self.largest_bytes, state.largest_bytes)
        return values, state

    def _refused(self, fault: Fault, first_move: int | None) -> PlayerRefused:
        """Return the refusal of a fault that was found in another process, or in what it sent."""
        move = None if fault.move is None or first_move is None else first_move + fault.move
        lane = fault.lane if fault.lane in range(len(self._lanes)) else None
        return self._refusal(move, fault.expected, fault.found, fault.advice, lane)

    def _take_forms(self, state: Any) -> None:
        """Keep the forms of the first state's tensors, and check them."""
        if type(state) is not dict:
            raise self._bad_state(None, "a dict of tensors", f"a {type(state).__name__}")
        B = self._shape[0]
        for name, tensor in state.items():
            found = _described(tensor)
            batched = type(tensor) is Tensor and tensor.dim() > 0 and len(tensor) == B
            if not (type(name) is str and batched and found == _plain(tensor, self._device)):
                expected = f"a plain dense tensor [{B}, ...] on {self._device} without gradient"
                raise self._bad_state(None, f"{expected} under the name {name!r}", found)
            self._names[name] = found
            self._forms.append((*_form(name, tensor)[:-1], tensor.numel() * tensor.element_size()))

    def _bad_numbers(self, values: np.ndarray, first_move: int) -> PlayerRefused:
        """Name the first move at which logits [B, T, A] are not finite, and its lane."""
        _, t, lane, action = min((t, t, b, a) for b, t, a in np.argwhere(~np.isfinite(values)).tolist())
        return self._refusal(
            first_move + t,
            "finite logits",
            f"{values[lane, t, action]} for action {action}",
            "return finite numbers, also for illegal actions, which the harness masks",
            lane,
        )

    def _bad_state(self, move: int | None, expected: str, found: str) -> PlayerRefused:
        advice = "keep names, dtypes, shapes and device of the state as they are at the start"
        return self._refusal(move, f"a state with {expected}", found, advice)

    def _refusal(
        self, move: int | None, expected: str, found: str, advice: str, lane: int | None = None
    ) -> PlayerRefused:
        one = lane if lane is not None else 0 if len(self._lanes) == 1 else None
        where = self._lanes[one] if one is not None else f"all {len(self._lanes)} lanes"
        when = f"{self._move_name} {move:,}" if move is not None else f"before the first {self._move_name}"
        return PlayerRefused(
            f"{self._player}, {where}, {when}: expected {expected}; found {found}; {advice}; score it again",
            Fault(expected, found, advice, move, lane),
        )


def _form(name: str, tensor: Tensor) -> tuple[Any, ...]:
    """Return what must stay as it is, and the size of the tensor's storage in bytes."""
    return (
        name,
        type(tensor),
        tensor.dtype,
        tensor.shape,
        tensor.device,
        tensor.requires_grad,
        tensor.untyped_storage().nbytes(),
    )


def _plain(tensor: Tensor, device: torch.device) -> str:
    """Return the description of a plain tensor of this dtype and shape on a device."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)} on {device}"


def _described(found: Any) -> str:
    if not isinstance(found, Tensor):
        return f"a {type(found).__name__}"
    parts = [f"{str(found.dtype).removeprefix('torch.')} {list(found.shape)} on {found.device}"]
    if type(found) is not Tensor:
        parts.append(f"of the class {type(found).__name__}")
    if found.layout != torch.strided:
        parts.append(f"of the layout {found.layout}")
    if found.requires_grad:
        parts.append("with a gradient")
    return " ".join(parts)
