"""Watched runs for a training loop of one's own: a torch dataset of windows, and a loader of batches.

The loader is a `torch.utils.data.DataLoader` whose workers are threads: a script needs no main guard, and
nothing is copied between processes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from understudy.suite import draws
from understudy.suite.errors import InputError
from understudy.suite.histories import read_ahead
from understudy.suite.histories.windows import CHOSEN, WatchedRuns, Windows
from understudy.suite.protocols import Timestep

AHEAD = 2  # batches per worker that are read or wait; as DataLoader's prefetch_factor


class Batch(NamedTuple):
    """Windows to train on: B times T consecutive moves. An item of the dataset has no axis B."""

    timesteps: Timestep  # [B, T, ...], what a player may know before each move
    targets: Tensor  # [B, T] int64, the action executed at each move
    mask: Tensor  # [B, T] bool, which targets count in the loss


class WindowDataset(Dataset[Batch]):
    """The windows of watched runs as a map-style dataset: item i is window i.

    The runs come one after another, and each window of a run begins `stride` moves after the one before;
    what is left at a run's end is in no window. The memory is empty before each window.
    """

    def __init__(
        self,
        source: WatchedRuns,
        window_moves: int = 256,
        stride: int | None = None,
        targets: str = CHOSEN,
        pin_memory: bool = False,
    ) -> None:
        """Use windows of `window_moves` moves, one after another if `stride` is None.

        `targets` are `chosen` (explored actions don't count) or `executed` (all do). Raises InputError for
        other targets, and if no run has a window.
        """
        self.source, self.window_moves = source, window_moves
        self.stride = window_moves if stride is None else stride
        self.targets, self.pin_memory = targets, pin_memory
        if window_moves < 1 or self.stride < 1:
            raise InputError(f"windows of {window_moves} moves, every {self.stride}: expected 1 or more")
        moves = np.array(source.moves)
        self._windows = np.where(moves < window_moves, 0, (moves - window_moves) // self.stride + 1)  # [L]
        self._ends = np.cumsum(self._windows)
        if not len(self):
            raise InputError(
                f"windows of {window_moves} moves: the longest watched run has {moves.max()}; choose shorter "
                "windows"
            )
        self._batch(source.at(np.zeros(0, int), np.zeros(0, int), 1))  # raises for other targets

    def __len__(self) -> int:
        """Return the number of windows."""
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Batch:
        """Return one window, tensors [T, ...]; raises IndexError beyond the last."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        batch = self.__getitems__([index % len(self)])
        return Batch(Timestep(*(t[0] for t in batch.timesteps)), batch.targets[0], batch.mask[0])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return a batch of windows, tensors [B, T, ...], read at once into one block of memory.

        DataLoader calls it where there is one; with `collate_fn=WindowDataset.collated` the batch stays as it
        is.
        """
        runs, starts = self.place(np.asarray(indices, dtype=np.int64))
        return self._batch(self.source.at(runs, starts, self.window_moves, self.pin_memory))

    def place(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the runs [B] and first moves [B] of windows [B]."""
        runs = np.searchsorted(self._ends, indices, side="right")
        return runs, (indices - (self._ends - self._windows)[runs]) * self.stride

    def index(self, run: int, start: np.ndarray) -> np.ndarray:
        """Return the windows [N] of a run that begin at its moves `start` [N], multiples of the stride."""
        found: np.ndarray = int(self._ends[run] - self._windows[run]) + start // self.stride
        return found

    @staticmethod
    def collated(batch: Batch) -> Batch:
        """Return a batch of `__getitems__` as it is: the `collate_fn` for a DataLoader of one's own."""
        return batch

    def _batch(self, windows: Windows) -> Batch:
        return Batch(windows.timesteps, windows.actions, windows.target_mask(self.targets))


class EpochSampler(Sampler[list[int]]):
    """Batches of window numbers: in each epoch nearly every watched move once, in an order of the seed's.

    In epoch e each run is cut into windows from a random move below `window_moves` on, and the windows of
    all runs are shuffled; what is left over makes no batch. Everything depends on (seed, e) alone.
    """

    def __init__(self, dataset: WindowDataset, batch_size: int, seed: int) -> None:
        """Use a dataset of stride 1; raises InputError if its windows make no whole batch."""
        self.dataset, self.batch_size, self.seed, self.epoch = dataset, batch_size, seed, 0
        if batch_size < 1 or not len(self):
            windows = sum(moves // dataset.window_moves for moves in dataset.source.moves)
            raise InputError(
                f"batches of {batch_size} windows: the watched runs have {windows} windows of "
                f"{dataset.window_moves} moves side by side; choose smaller batches or shorter windows"
            )

    def __len__(self) -> int:
        """Return the number of batches of an epoch, the same for each."""
        T = self.dataset.window_moves
        # A run cut from a random move on may have one window less than from move 0 on.
        return sum(max(moves // T - 1, moves >= T) for moves in self.dataset.source.moves) // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the batches of this epoch; the next call those of the next."""
        rng = np.random.Generator(np.random.Philox(key=draws.derive(self.seed, "epoch", self.epoch)))
        self.epoch += 1
        order = rng.permutation(np.concatenate([self._cut(run, rng) for run in range(self.num_runs)]))
        for batch in range(len(self)):
            yield order[batch * self.batch_size : (batch + 1) * self.batch_size].tolist()

    @property
    def num_runs(self) -> int:
        """Number of runs."""
        return len(self.dataset.source.moves)

    def _cut(self, run: int, rng: np.random.Generator) -> np.ndarray:
        """Return the windows [N] of a run from a random move on; none if it is shorter than a window."""
        moves, T = self.dataset.source.moves[run], self.dataset.window_moves
        if moves < T:
            return np.zeros(0, np.int64)
        offset = rng.integers(min(T, moves - T + 1))
        return self.dataset.index(run, np.arange(offset, moves - T + 1, T))


class WindowLoader(DataLoader[Batch]):
    """A DataLoader of `Batch`es of watched runs: an epoch an iteration, `len` its batches.

    The batches are a function of runs, settings, seed and epoch; the number of workers changes none. The
    first iteration is epoch 0, the next one epoch 1; `set_epoch` chooses another, e.g. to resume.
    """

    def __init__(
        self,
        source: WatchedRuns,
        window_moves: int = 256,
        batch_size: int = 32,
        seed: int = 0,
        num_workers: int = 2,
        targets: str = CHOSEN,
        pin_memory: bool = False,
    ) -> None:
        """Read batches of `batch_size` windows of `window_moves` moves ahead, in `num_workers` threads.

        Args:
            source: the watched runs.
            window_moves: moves of a window; its memory is empty before it.
            batch_size: windows of a batch.
            seed: of the order of windows.
            num_workers: threads; 0 reads each batch when it is asked for.
            targets: `chosen` (the mask leaves explored actions out) or `executed` (it has all).
            pin_memory: put the tensors in pinned memory, from which a GPU can be fed asynchronously.

        Raises InputError for windows or batches larger than the runs, other targets, a negative number of
        workers, and pinned memory without a CUDA device.
        """
        if num_workers < 0:
            raise InputError(f"num_workers: expected 0 or more threads; found {num_workers}")
        dataset = WindowDataset(source, window_moves, 1, targets, pin_memory)
        sampler = EpochSampler(dataset, batch_size, seed)
        if pin_memory:
            source.at(np.zeros(0, int), np.zeros(0, int), 1, pinned=True)
        super().__init__(
            dataset,
            batch_sampler=sampler,
            num_workers=num_workers,
            collate_fn=cast(Any, WindowDataset.collated),
            pin_memory=pin_memory,
        )

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration that of epoch 0, 1, 2, ..."""
        cast(EpochSampler, self.batch_sampler).epoch = epoch

    def check_worker_number_rationality(self) -> None:
        """Do nothing: torch warns here of more processes than cores, and these are threads."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override] # DataLoader's own returns a class of torch's
        """Yield the batches of an epoch, in order; threads read later ones meanwhile."""
        dataset, sampler = cast(WindowDataset, self.dataset), cast(EpochSampler, self.batch_sampler)
        calls = (functools.partial(dataset.__getitems__, indices) for indices in sampler)
        return read_ahead.in_order(calls, self.num_workers, ahead=AHEAD * self.num_workers)
