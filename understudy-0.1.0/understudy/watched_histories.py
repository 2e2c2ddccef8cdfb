"""The watched part of a benchmark's teacher runs, for a training loop of one's own."""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch.utils.data import Dataset

from understudy.suite import benchmarks, games, registry
from understudy.suite.benchmarks import Benchmark, TeacherRun
from understudy.suite.errors import InputError
from understudy.suite.histories import columns, frame_store
from understudy.suite.histories.history_format import History
from understudy.suite.histories.loader import Batch, WindowDataset, WindowLoader
from understudy.suite.histories.windows import CHOSEN, WatchedRuns
from understudy.suite.hub import client, locations
from understudy.suite.io import paths, walks
from understudy.suite.protocols import Game

if TYPE_CHECKING:
    import pandas as pd


class Histories(Dataset[Batch]):
    """Watched runs of a benchmark: a map-style dataset of windows; `loader` gives batches of random windows.

    Item i is window i, tensors [T, ...]: the runs one after another, each cut into windows side by side. Only
    logs are in memory, 8 bytes a move; frames are rebuilt at first use and read from the user's cache.
    """

    def __init__(self, benchmark: Benchmark, runs: Sequence[TeacherRun], window_moves: int) -> None:
        """Use the first W moves of these runs, in windows of `window_moves`."""
        self.benchmark, self.window_moves = benchmark, window_moves
        self._runs = {run.name: run for run in runs}
        self._process = os.getpid()

    @property
    def names(self) -> tuple[str, ...]:
        """The runs' names, e.g. `breakout/seed-0`, as a submission declares them."""
        return tuple(self._runs)

    @property
    def watched_moves(self) -> int:
        """W: how many moves of each run may be watched."""
        return self.benchmark.watched_moves

    @cached_property
    def game(self) -> Game:
        """A game of the runs, whose observations and actions all of them have."""
        return games.load(next(iter(self._runs.values())).game)

    @cached_property
    def windows(self) -> WatchedRuns:
        """The runs with their frames, from which any window can be read."""
        histories = list(self._histories.values())
        return WatchedRuns(
            histories, frame_store.open_stores(histories, 0, self.watched_moves), self.watched_moves
        )

    def loader(
        self,
        window_moves: int | None = None,
        batch_size: int = 32,
        seed: int = 0,
        num_workers: int = 2,
        targets: str = CHOSEN,
        pin_memory: bool = False,
    ) -> WindowLoader:
        """Return a DataLoader of batches `(timesteps, targets, mask)`, [B, T, ...], in threads.

        An iteration is an epoch: nearly every watched move once, in an order drawn from the seed and the
        epoch. `num_workers` changes no batch.

        Args:
            window_moves: T; None: that of these histories.
            batch_size: B.
            seed: of the order of windows.
            num_workers: threads that read ahead.
            targets: chosen (the mask leaves explored actions out) or executed (it has all).
            pin_memory: whether the tensors lie in pinned memory, for a CUDA device.

        Raises InputError for windows or batches larger than the runs, and other targets.
        """
        moves = self.window_moves if window_moves is None else window_moves
        return WindowLoader(self.windows, moves, batch_size, seed, num_workers, targets, pin_memory)

    def select(self, names: Iterable[str]) -> Histories:
        """Return the runs of these names, or of one, alone; InputError for an unknown one."""
        wanted = dict.fromkeys([names] if isinstance(names, str) else names)
        chosen = [self._runs[registry.choose(name, self._runs, "run")] for name in wanted]
        if not chosen:
            raise InputError("expected at least one run; found none")
        return Histories(self.benchmark, chosen, self.window_moves)

    def numpy(self) -> Mapping[str, Mapping[str, np.ndarray]]:
        """Return each run's columns by name, read-only arrays [moves]: action, reward, explored, ..."""
        return {name: columns.arrays(each, self.watched_moves) for name, each in self._histories.items()}

    def to_pandas(self) -> pd.DataFrame:
        """Return a frame of all runs, a row a move, indexed by run and move."""
        import pandas as pd

        frames = {name: columns.frame(each, self.watched_moves) for name, each in self._histories.items()}
        return pd.concat(frames, names=["run"])

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle what names the runs; a DataLoader's worker processes open them anew."""
        return Histories, (self.benchmark, list(self._runs.values()), self.window_moves)

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._dataset)

    def __getitem__(self, index: int) -> Batch:
        """Return a window, tensors [T, ...]; raises IndexError beyond the last."""
        if self._process != os.getpid():  # forked after stores were opened, whose locks are the parent's
            self.__dict__.pop("windows", None)
            self.__dict__.pop("_dataset", None)
            self._process = os.getpid()
        return self._dataset[operator.index(index)]

    def __repr__(self) -> str:
        return f"<{len(self._runs)} runs of {self.benchmark.name}, at most {self.watched_moves:,} moves each>"

    @cached_property
    def _histories(self) -> dict[str, History]:
        return {name: benchmarks.read(run) for name, run in self._runs.items()}

    @cached_property
    def _dataset(self) -> WindowDataset:
        return WindowDataset(self.windows, self.window_moves)


def load_histories(
    source: str | Path, benchmark: str | None = None, *, window_moves: int = 256, extra_games: bool = False
) -> Histories:
    """Return the watched part of a benchmark's teacher runs on this machine, or in a place of their own.

    Moves from W on and new games are left out: an imitator must not watch them.

    Args:
        source: a benchmark's name, e.g. "minatar-v1"; a folder with runs, as `understudy train-teacher`
            writes them; or `hf://datasets/user/repo@<commit hash>`, which is fetched once and checked.
        benchmark: of a folder or a dataset that has the runs of several.
        window_moves: T, moves of a window.
        extra_games: whether the games that only the mode multi-game may watch are among them.

    Raises:
        InputError: an unknown benchmark, no such place, or no run in it that may be watched.
    """
    folder = _folder(source)
    declared = benchmarks.load(str(source) if folder is None else benchmark or _only_benchmark(folder))
    runs = benchmarks.teacher_runs(declared, None if folder is None else [folder])
    allowed = {*declared.watched_games, *(declared.extra_watchable_games if extra_games else ())}
    found = [run for run in runs if run.game in allowed]
    if not found:
        raise InputError(
            f"{source}: no teacher run of a game that {declared.name} watches; see: understudy histories list"
        )
    return Histories(declared, found, window_moves)


def _folder(source: str | Path) -> Path | None:
    """Return the folder of a source; None if it is the name of a benchmark."""
    text = str(source)
    if isinstance(source, str) and locations.names_hub(text):
        return client.folder(text, lambda line: print(line, file=sys.stderr))
    bare = isinstance(source, str) and Path(text).name == text
    if bare and (text in benchmarks.names() or not Path(text).is_dir()):
        return None
    folder = paths.folder(text)
    if not folder.is_dir():
        raise InputError(f"{source}: expected a benchmark's name or a folder with runs; found no such folder")
    return folder


def _only_benchmark(folder: Path) -> str:
    found = [name for name in benchmarks.names() if walks.matching(folder, name)]
    if len(found) != 1:
        remedy = "give benchmark=" if found else "give the folder above, or one that has such a folder"
        raise InputError(
            f"{folder}: expected runs of one benchmark in it, in a folder of its name; found "
            f"{', '.join(found) or 'none'}; {remedy}"
        )
    return found[0]
