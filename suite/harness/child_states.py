"""States and weights of a player in a process of its own, which stay there: handles for them here."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from understudy.suite.harness import states
from understudy.suite.harness.player_messages import Ask, Fault
from understudy.suite.protocols import State

if TYPE_CHECKING:
    from understudy.suite.harness.child_player import ChildPlayer


class StateInChild:
    """A state that stays in the player's process: a `states.RemoteState`."""

    def __init__(self, player: ChildPlayer, rows: int) -> None:
        self.player, self.rows = player, rows
        self.handle = player.account(self)
        self.fault: Fault | None = None
        self.largest_bytes = 0

    def clone(self) -> StateInChild:
        """As `states.clone`."""
        target = StateInChild(self.player, self.rows)
        self.player.send(Ask.CLONE, [struct.pack("<II", self.handle, target.handle)])
        return target

    def take(self, rows: Sequence[int]) -> StateInChild:
        """As `states.take`."""
        target = StateInChild(self.player, len(rows))
        self.player.send(Ask.TAKE, [struct.pack("<II", self.handle, target.handle), bytes_of(rows)])
        return target

    def join(self, several: Sequence[Any]) -> StateInChild:
        """As `states.join`."""
        there = [each if isinstance(each, StateInChild) else self.player.put(each) for each in several]
        target = StateInChild(self.player, sum(each.rows for each in there))
        self.player.send(Ask.JOIN, [bytes_of([target.handle, *(each.handle for each in there)])])
        return target

    def copy_rows(self, source: Any, mask: Sequence[bool]) -> None:
        """As `states.copy_rows`."""
        there = source if isinstance(source, StateInChild) else self.player.put(source)
        self.player.send(Ask.COPY_ROWS, [struct.pack("<II", self.handle, there.handle), bytes(mask)])

    def size_bytes(self) -> int:
        """As `states.size_bytes`, as the process says."""
        return self.player.size_of(self)

    def tensors(self) -> State:
        """As `states.tensors`."""
        return self.player.tensors_of(self)


class WeightsInChild:
    """As `frozenness.Weights`, of a player in a process of its own."""

    PREFIX: Final = "weights/"

    def __init__(self, player: ChildPlayer) -> None:
        self._player = player

    def moved(self) -> State:
        """As `frozenness.Weights.moved`."""
        return self._player.moved_weights()

    def put_back(self, state: State) -> State:
        """As `frozenness.Weights.put_back`."""
        moved = {name: tensor for name, tensor in state.items() if name.startswith(self.PREFIX)}
        if moved:
            self._player.send(Ask.PUT_WEIGHTS, [states.to_bytes(moved)])
        return {name: tensor for name, tensor in state.items() if name not in moved}

    def restore(self) -> None:
        """As `frozenness.Weights.restore`."""
        self._player.send(Ask.RESTORE_WEIGHTS, [])


def bytes_of(numbers: Sequence[int]) -> np.ndarray:
    """Return numbers as the body of a request: uint32, little-endian."""
    return np.array(numbers, "<u4").view(np.uint8)
