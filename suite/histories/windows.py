"""Windows of watched runs to train an imitator on, drawn at random or read in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from understudy.suite import registry
from understudy.suite.errors import InputError
from understudy.suite.histories.frame_store import FrameStore
from understudy.suite.histories.history_format import History
from understudy.suite.histories.timesteps import empty, empty_tensor, fill
from understudy.suite.protocols import Game, Timestep

CHOSEN, EXECUTED = "chosen", "executed"
TARGETS = (CHOSEN, EXECUTED)  # which actions training predicts


class Windows(NamedTuple):
    """A batch of windows: B times T consecutive moves of a run."""

    timesteps: Timestep  # [B, T, ...]
    actions: Tensor  # [B, T] int64, as executed after each timestep
    explored: Tensor  # [B, T] bool, whether exploration chose the action
    runs: Tensor  # [B] int64, index of each row's run
    starts: Tensor  # [B] int64, each row's first move, counted in its run

    def arrays(self) -> Any:
        """Return the same named tuples with numpy arrays, which share the tensors' memory."""
        return self._each(lambda tensor: tensor.numpy())

    def to(self, device: torch.device | str) -> Windows:
        """Return the windows on a device; pinned ones are copied while the caller goes on."""
        moved: Windows = self._each(lambda tensor: tensor.to(device, non_blocking=True))
        return moved

    def rows(self, start: int, stop: int) -> Windows:
        """Return the rows [start, stop) of the batch, as views."""
        found: Windows = self._each(lambda tensor: tensor[start:stop])
        return found

    def target_mask(self, targets: str) -> Tensor:
        """Return bool [B, T], which actions count as targets of training.

        `chosen`: those that the player chose itself, explored ones left out; `executed`: all.
        Raises InputError for another kind of targets.
        """
        if targets not in TARGETS:
            registry.choose(targets, TARGETS, "kind of training targets")
        return ~self.explored if targets == CHOSEN else torch.ones_like(self.explored)

    def _each(self, change: Callable[[Tensor], Any]) -> Any:
        return Windows(Timestep(*(change(t) for t in self.timesteps)), *(change(t) for t in self[1:]))


class WatchedRuns:
    """Runs whose moves [0, watched_moves) can be read; later ones never are.

    Only the logs are in memory, 8 bytes a move; frames are read from the stores window by window.
    """

    def __init__(
        self, histories: Sequence[History], stores: Sequence[FrameStore], watched_moves: int
    ) -> None:
        """Use runs of one game family, each with its frame store.

        Raises InputError if the runs are of several families, or there are none.
        """
        families = {store.game.family for store in stores}
        if len(families) != 1:
            raise InputError(
                f"watched runs must be of one game family; found {', '.join(sorted(families)) or 'no run'}"
            )
        self._runs = list(zip(histories, stores, strict=True))
        self._moves = np.array([min(watched_moves, history.num_moves) for history in histories])  # [L]

    @property
    def game(self) -> Game:
        """The first run's game; the others have the same observations and actions."""
        return self._runs[0][1].game

    @property
    def moves(self) -> tuple[int, ...]:
        """The number of watched moves of each run."""
        return tuple(self._moves.tolist())

    def sample(
        self, batch_size: int, window_moves: int, rng: np.random.Generator, pinned: bool = False
    ) -> Windows:
        """Return random windows [B, T], a function of `rng` and the runs alone.

        Each window of T watched moves is equally likely, so longer runs are drawn more often. The memory is
        empty before each: `first_of_run` is true at its first move. With `pinned`, the tensors lie in pinned
        memory, from which they can be copied to a GPU asynchronously. Raises InputError if no run has T
        watched moves.
        """
        runs, starts = self._drawn(batch_size, window_moves, rng)
        return self._read(runs, starts, window_moves, starts, pinned)

    def at(self, runs: np.ndarray, starts: np.ndarray, window_moves: int, pinned: bool = False) -> Windows:
        """Return the windows [B, T] of the runs int [B] from their moves `starts` int [B] on.

        The memory is empty before each, as in `sample`. Raises ValueError if one is not within the watched
        moves of its run.
        """
        if len(runs) and (starts.min() < 0 or (starts + window_moves > self._moves[runs]).any()):
            raise ValueError(f"windows of {window_moves} moves at {starts.tolist()} are not all watched")
        return self._read(runs, starts, window_moves, starts, pinned)

    def windows(
        self, window_moves: int, batch_size: int, rng: np.random.Generator, pinned: bool = False
    ) -> Iterator[Windows]:
        """Yield the batches of successive `sample` calls without end; reads one batch ahead in a thread."""
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(self.sample, batch_size, window_moves, rng, pinned)
            while True:
                ready = coming.result()
                coming = reader.submit(self.sample, batch_size, window_moves, rng, pinned)
                yield ready

    def in_order(self, window_moves: int, batch_size: int, pinned: bool = False) -> Iterator[Windows]:
        """Yield every watched move once: `batch_size` runs side by side from move 0 on, then the next runs.

        Each window continues its run's previous one, and `first_of_run` is true at move 0 of a run only, so
        that a state can be carried from batch to batch; `runs` says which run each row is. Windows are
        shorter where a run ends, and the batch is smaller after that.
        """
        for group in range(0, len(self._runs), batch_size):
            runs = np.arange(group, min(group + batch_size, len(self._runs)))
            start = 0
            while len(runs := runs[self._moves[runs] > start]):
                length = min(window_moves, int(self._moves[runs].min()) - start)
                starts = np.full(len(runs), start)
                yield self._read(runs, starts, length, np.zeros_like(starts), pinned)
                start += length

    def _drawn(
        self, batch_size: int, window_moves: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the runs [B] and first moves [B] of random windows."""
        starts = np.maximum(self._moves - window_moves + 1, 0)  # [L], number of possible first moves
        ends = np.cumsum(starts)
        if window_moves < 1 or not ends[-1]:
            raise InputError(
                f"windows of {window_moves} moves: the longest watched run has {self._moves.max()}; "
                "choose shorter windows"
            )
        drawn = rng.integers(ends[-1], size=batch_size)
        runs = np.searchsorted(ends, drawn, side="right")
        return runs, drawn - (ends - starts)[runs]

    def _read(
        self, runs: np.ndarray, starts: np.ndarray, length: int, run_starts: np.ndarray, pinned: bool
    ) -> Windows:
        """Return windows of `length` moves of the runs [B], from the moves `starts` [B] on."""
        shape = (len(runs), length)
        found = Windows(
            empty(self._runs[0][1].game, *shape, pinned),
            empty_tensor(shape, "int64", pinned),
            empty_tensor(shape, "bool", pinned),
            torch.from_numpy(runs.astype(np.int64)),
            torch.from_numpy(starts.astype(np.int64)),
        )
        for row, (run, start) in enumerate(zip(runs.tolist(), starts.tolist(), strict=True)):
            history, store = self._runs[run]
            fill(found.timesteps, row, history, store, start, int(run_starts[row]))
            found.actions[row].numpy()[:] = history.action[start : start + length]
            found.explored[row].numpy()[:] = history.explored[start : start + length]
        return found
