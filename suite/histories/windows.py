"""Windows of watched runs to train an imitator on, drawn at random or read in order."""

from __future__ import annotations

import functools
import itertools
import math
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
from understudy.suite.histories.timesteps import Observations, empty, empty_tensor, fill
from understudy.suite.protocols import Game, Timestep

CHOSEN, EXECUTED = "chosen", "executed"
IN_MEMORY_BYTES = 1 << 27
TARGETS = (CHOSEN, EXECUTED)  # which actions training predicts


class Windows(NamedTuple):
    """A batch of windows: B times T consecutive moves of a run."""

    timesteps: Timestep  # [B, T, ...]
    actions: Tensor  # [B, T] int64, as executed after each timestep
    explored: Tensor  # [B, T] bool, whether exploration chose the action
    runs: Tensor  # [B] int64, index of each row's run
    starts: Tensor  # [B] int64, each row's first move in its run; with a stride, in what is kept

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


class InMemory:
    """The observations before the first moves of a run; implements `timesteps.Observations`."""

    def __init__(self, store: FrameStore, moves: int) -> None:
        """Read the observations before the moves [0, moves)."""
        self.game = store.game
        shape = (moves, *store.game.observation_shape)
        self._observations = store.observations(0, moves, np.empty(shape, store.game.observation_dtype))

    def observations(self, start: int, stop: int, out: np.ndarray) -> np.ndarray:
        """Write the observations before the moves [start, stop) into `out`, and return it."""
        out[...] = self._observations[start:stop]
        return out


class WatchedRuns:
    """Runs whose moves [0, watched_moves) can be read; later ones never are.

    The logs are in memory, 8 bytes a move, and the observations too if they have at most `IN_MEMORY_BYTES` in
    all. Otherwise frames are read from the stores window by window.
    """

    def __init__(
        self,
        histories: Sequence[History],
        stores: Sequence[FrameStore],
        watched_moves: int,
        episode_stride: int = 1,
        last_moves: int = 0,
    ) -> None:
        """Use runs of one game family, each with its frame store.

        With an `episode_stride` of k > 1, a random window consists of every k-th episode of a run, as if the
        others had not been played: it begins with an episode, and the last one may be cut short.
        Source: Laskin et al. (ICLR 2023), who subsample the episodes of long histories. With `last_moves`,
        random windows lie within the last so many watched moves of each run.

        Raises InputError if the runs are of several families, or there are none.
        """
        families = {store.game.family for store in stores}
        if len(families) != 1:
            raise InputError(
                f"watched runs must be of one game family; found {', '.join(sorted(families)) or 'no run'}"
            )
        self._runs = list(zip(histories, stores, strict=True))
        self._moves = np.array([min(watched_moves, history.num_moves) for history in histories])  # [L]
        self._drawn_from = np.maximum(self._moves - (last_moves or watched_moves), 0)  # [L]
        self._stride = episode_stride
        self._first_episodes_of: dict[int, tuple[list[np.ndarray], np.ndarray]] = {}
        frame_bytes = np.dtype(self.game.observation_dtype).itemsize * math.prod(self.game.observation_shape)
        self._is_small = frame_bytes * int(self._moves.sum()) <= IN_MEMORY_BYTES
        self._in_memory: dict[int, InMemory] = {}

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

        Each window of T watched moves, with `last_moves` each within those, is equally likely, so longer runs
        are drawn more often. The memory is empty before each: `first_of_run` is true at its first move. With
        `pinned`, the tensors lie in pinned memory, from which they can be copied to a GPU asynchronously.
        Raises InputError if no run has T such moves, or with a stride so many in every k-th episode.
        """
        if self._stride > 1:
            return self._strided(batch_size, window_moves, rng, pinned)
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
        used = self._moves - self._drawn_from  # [L]
        starts = np.maximum(used - window_moves + 1, 0)  # [L], number of possible first moves
        ends = np.cumsum(starts)
        if window_moves < 1 or not ends[-1]:
            raise InputError(
                f"windows of {window_moves} moves: the longest watched run has {used.max()}"
                f"{' in its last_moves' if self._drawn_from.any() else ''}; choose shorter windows"
            )
        drawn = rng.integers(ends[-1], size=batch_size)
        runs = np.searchsorted(ends, drawn, side="right")
        return runs, self._drawn_from[runs] + drawn - (ends - starts)[runs]

    def _strided(self, batch_size: int, window_moves: int, rng: np.random.Generator, pinned: bool) -> Windows:
        """Return windows [B, T] of every k-th episode; each possible first episode is equally likely."""
        first_episodes, ends = self._first_episodes(window_moves)
        drawn = rng.integers(ends[-1], size=batch_size)
        runs = np.searchsorted(ends, drawn, side="right")
        episodes = [
            int(first_episodes[run][number - (ends[run - 1] if run else 0)])
            for run, number in zip(runs.tolist(), drawn.tolist(), strict=True)
        ]
        chosen = list(zip(runs.tolist(), episodes, strict=True))
        starts = np.array([self._kept_before(run, first) for run, first in chosen])
        found = self._empty(runs, starts, window_moves, pinned)
        for row, (run, first) in enumerate(chosen):
            moves = self._moves_of_episodes(run, first, window_moves)
            self._fill(found, row, run, moves, run_start=int(moves[0]))
        return found

    def _kept_before(self, run: int, episode: int) -> int:
        """Return the moves of the episodes that lie a multiple of k before an episode of a run."""
        return int(np.diff(self._episodes[run])[episode % self._stride : episode : self._stride].sum())

    def _moves_of_episodes(self, run: int, first: int, window_moves: int) -> np.ndarray:
        """Return the moves [T] of every k-th episode of a run from the episode `first` on."""
        borders = self._episodes[run]
        pieces, left = [], window_moves
        for episode in itertools.count(first, self._stride):
            start, stop = borders[episode : episode + 2].tolist()
            pieces.append(np.arange(start, min(stop, start + left)))
            left -= len(pieces[-1])
            if not left:
                return np.concatenate(pieces)
        raise AssertionError("unreachable: the episodes were chosen to have so many moves")

    def _first_episodes(self, window_moves: int) -> tuple[list[np.ndarray], np.ndarray]:
        """Return each run's possible first episodes of a strided window, and the sums [L] of their numbers.

        Raises InputError if there are none.
        """
        if window_moves not in self._first_episodes_of:
            found = [
                self._possible(borders, start, window_moves)
                for borders, start in zip(self._episodes, self._drawn_from, strict=True)
            ]
            ends = np.cumsum([len(each) for each in found])
            if window_moves < 1 or not ends[-1]:
                raise InputError(
                    f"windows of {window_moves} moves with episode_stride {self._stride}: no watched run has "
                    "so many; choose shorter windows, or a smaller episode_stride"
                )
            self._first_episodes_of[window_moves] = found, ends
        return self._first_episodes_of[window_moves]

    def _possible(self, borders: np.ndarray, start: int, window_moves: int) -> np.ndarray:
        """Return the episodes at or after a move from which on every k-th has `window_moves` moves in all."""
        left = np.diff(borders)  # becomes the sum of an episode's moves and those of every k-th after it
        for episode in range(len(left) - self._stride - 1, -1, -1):
            left[episode] += left[episode + self._stride]
        return np.flatnonzero((left >= window_moves) & (borders[:-1] >= start))

    @functools.cached_property
    def _episodes(self) -> list[np.ndarray]:
        """The moves at which the episodes of each run begin, and the end of what is watched of it."""
        return [
            np.append(np.flatnonzero(history.first[:moves]), moves)
            for (history, _), moves in zip(self._runs, self._moves.tolist(), strict=True)
        ]

    def _read(
        self, runs: np.ndarray, starts: np.ndarray, length: int, run_starts: np.ndarray, pinned: bool
    ) -> Windows:
        """Return windows of `length` moves of the runs [B], from the moves `starts` [B] on."""
        found = self._empty(runs, starts, length, pinned)
        for row, (run, start) in enumerate(zip(runs.tolist(), starts.tolist(), strict=True)):
            self._fill(found, row, run, np.arange(start, start + length), int(run_starts[row]))
        return found

    def _fill(self, found: Windows, row: int, run: int, moves: np.ndarray, run_start: int) -> None:
        """Write the moves int [T] of a run into a row; the memory is empty before the move `run_start`."""
        history, store = self._run(run)
        fill(found.timesteps, row, history, store, moves, run_start)
        found.actions[row].numpy()[:] = history.action[moves]
        found.explored[row].numpy()[:] = history.explored[moves]

    def _run(self, run: int) -> tuple[History, Observations]:
        """Return a run's history and its observations, from memory if those of all runs are few."""
        history, store = self._runs[run]
        if not self._is_small:
            return history, store
        if run not in self._in_memory:
            self._in_memory[run] = InMemory(store, int(self._moves[run]))
        return history, self._in_memory[run]

    def _empty(self, runs: np.ndarray, starts: np.ndarray, length: int, pinned: bool) -> Windows:
        shape = (len(runs), length)
        return Windows(
            empty(self._runs[0][1].game, *shape, pinned),
            empty_tensor(shape, "int64", pinned),
            empty_tensor(shape, "bool", pinned),
            torch.from_numpy(runs.astype(np.int64)),
            torch.from_numpy(starts.astype(np.int64)),
        )
