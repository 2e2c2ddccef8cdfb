"""Windows of watched lives to train an imitator on: at random or in order, moves in order inside each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from understudy.suite.errors import InputError
from understudy.suite.histories import timesteps as steps
from understudy.suite.histories.format import History
from understudy.suite.histories.frames import FrameStore
from understudy.suite.protocols import Timestep


class Windows(NamedTuple):
    """Stretches of histories, moves in order."""

    timesteps: Timestep  # [B, T, ...]
    actions: Tensor  # [B, T] int64, as executed after each timestep
    explored: Tensor  # [B, T] bool, where exploration chose the action
    lives: Tensor  # [B] int64, position of each row's life
    starts: Tensor  # [B] int64, the life's move that each row begins with

    def arrays(self) -> Any:
        """Return the same as numpy arrays that share the tensors' memory, in the same two named tuples."""
        return Windows(Timestep(*(t.numpy() for t in self.timesteps)), *(t.numpy() for t in self[1:]))  # type: ignore[arg-type]


class WatchedLives:
    """Lives of which the moves [0, watched_moves) may be seen, and no later one is ever read.

    Of each life only the log is in memory, 8 bytes a move; frames are read from the store window by window.
    """

    def __init__(
        self, histories: Sequence[History], stores: Sequence[FrameStore], watched_moves: int
    ) -> None:
        """Take lives of one game family, each with the store of its frames.

        Raises InputError where the lives are of several families, or there are none.
        """
        families = {store.game.family for store in stores}
        if len(families) != 1:
            raise InputError(
                f"watched lives are of one game family; found {', '.join(sorted(families)) or 'no life'}"
            )
        self._lives = list(zip(histories, stores, strict=True))
        self._moves = np.array([min(watched_moves, history.num_moves) for history in histories])  # [L]

    def sample(
        self, batch_size: int, window_moves: int, rng: np.random.Generator, pinned: bool = False
    ) -> Windows:
        """Return windows [B, T], a function of `rng` and the lives alone.

        Each stretch of T watched moves is equally likely, so lives weigh by their length. The memory is
        empty before each: `first_of_life` is true at its first move. `pinned` puts the tensors where a GPU
        fetches them without waiting. InputError if no life has so many watched moves.
        """
        lives, starts = self._drawn(batch_size, window_moves, rng)
        return self._read(lives, starts, window_moves, starts, pinned)

    def windows(
        self, window_moves: int, batch_size: int, rng: np.random.Generator, pinned: bool = False
    ) -> Iterator[Windows]:
        """Yield the batches of successive `sample` calls without end, each read while the last is used."""
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(self.sample, batch_size, window_moves, rng, pinned)
            while True:
                ready = coming.result()
                coming = reader.submit(self.sample, batch_size, window_moves, rng, pinned)
                yield ready

    def in_order(self, window_moves: int, batch_size: int, pinned: bool = False) -> Iterator[Windows]:
        """Yield every watched move once: `batch_size` lives side by side from move 0 on, then the next ones.

        A row's window follows on its life's last one, and `first_of_life` is true at move 0 of a life only,
        so that a state can be carried along (`lives` says whose). Windows are shorter where a life ends, and
        the batch is smaller once one has ended.
        """
        for group in range(0, len(self._lives), batch_size):
            lives = np.arange(group, min(group + batch_size, len(self._lives)))
            start = 0
            while len(lives := lives[self._moves[lives] > start]):
                length = min(window_moves, int(self._moves[lives].min()) - start)
                starts = np.full(len(lives), start)
                yield self._read(lives, starts, length, np.zeros_like(starts), pinned)
                start += length

    def _drawn(
        self, batch_size: int, window_moves: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the lives [B] and first moves [B] of random windows."""
        starts = np.maximum(self._moves - window_moves + 1, 0)  # [L], possible first moves
        ends = np.cumsum(starts)
        if window_moves < 1 or not ends[-1]:
            raise InputError(
                f"windows of {window_moves} moves: the longest watched life has {self._moves.max()}; "
                "choose shorter windows"
            )
        drawn = rng.integers(ends[-1], size=batch_size)
        lives = np.searchsorted(ends, drawn, side="right")
        return lives, drawn - (ends - starts)[lives]

    def _read(
        self, lives: np.ndarray, starts: np.ndarray, length: int, life_starts: np.ndarray, pinned: bool
    ) -> Windows:
        """Return the windows of `length` moves of the lives [B] from the moves starts [B] on."""
        shape = (len(lives), length)
        found = Windows(
            steps.empty(self._lives[0][1].game, *shape, pinned),
            steps.empty_tensor(shape, "int64", pinned),
            steps.empty_tensor(shape, "bool", pinned),
            torch.from_numpy(lives.astype(np.int64)),
            torch.from_numpy(starts.astype(np.int64)),
        )
        for row, (life, start) in enumerate(zip(lives.tolist(), starts.tolist(), strict=True)):
            history, store = self._lives[life]
            steps.fill(found.timesteps, row, history, store, start, int(life_starts[row]))
            found.actions[row].numpy()[:] = history.action[start : start + length]
            found.explored[row].numpy()[:] = history.explored[start : start + length]
        return found
