"""The frame store: a history's observations, rebuilt by replay at first use and kept compressed.

A log holds no pixels. Each segment's newest frames are one Blosc2 file in the user's cache, named by the
history's content; frames are stacked when they are read.
"""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from understudy.suite import games
from understudy.suite.errors import MachineError
from understudy.suite.histories import replay, segments
from understudy.suite.histories.format import FORMAT, History
from understudy.suite.histories.segments import Report, Tick
from understudy.suite.protocols import Game

CACHE_VARIABLE = "UNDERSTUDY_CACHE"
CHUNK_FRAMES = 256  # compressed together and appended at once
BLOCK_FRAMES = 32  # decompressed at once
ABANDONED_SECONDS = 86_400  # an unfinished file this old belongs to a build that was killed


def frames(
    history: History,
    start: int = 0,
    stop: int | None = None,
    processes: int | None = None,
    report: Report = lambda done, total: None,
    cache: Path | None = None,
) -> FrameStore:
    """Return the store of a history's frames before the moves [start, stop), by default all of them.

    What is not in `cache` (default: the user's) yet is replayed, segment by segment, in `processes`
    processes (default: all cores); `report` is told the moves done and to do. A build that was interrupted
    goes on where it was, and two at once do no harm.

    Raises:
        InputError: the history was recorded under settings that this installation doesn't have.
        CheckFailed: a replay shows other rewards, ends or frames than were recorded.
        MachineError: the cache can't be written.
    """
    return frames_of_lives([history], start, stop, processes, report, cache)[0]


def frames_of_lives(
    histories: Sequence[History],
    start: int = 0,
    stop: int | None = None,
    processes: int | None = None,
    report: Report = lambda done, total: None,
    cache: Path | None = None,
) -> list[FrameStore]:
    """Return a store for each history, as `frames` does; the segments of all are replayed side by side."""
    for history in histories:
        replay.require_comparable(history)
    cache = cache or cache_folder()
    stores = [FrameStore(history, store_folder(cache, history)) for history in histories]
    missing = [
        (life, index)
        for life, store in enumerate(stores)
        for index in segments.overlapping(store.history, start, store.num_moves if stop is None else stop)
        if not store.holds(index)
    ]
    for life in sorted({life for life, _ in missing}):
        _prepare(stores[life].folder)
    segments.over_segments(functools.partial(_build, cache), histories, missing, processes, report)
    return stores


def store_folder(cache: Path, history: History) -> Path:
    """Return where a cache keeps the history's frames; the folder need not exist."""
    return cache / "frames" / f"{history.content_sha256}-{FORMAT}"


def cache_folder() -> Path:
    """Return the folder for what can be made again: UNDERSTUDY_CACHE, or the user's cache."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "understudy"


class FrameStore:
    """Frames seen before each move of a life; `store[start:stop]` reads single ones, [T, *frame_shape]."""

    def __init__(self, history: History, folder: Path) -> None:
        """Look at a folder of segment files; nothing is opened before it is read."""
        self.history = history
        self.folder = folder
        self.game = games.load(history.header.game)
        self._episode_starts = np.flatnonzero(history.first)  # rising
        self._opened: dict[int, Any] = {}  # blosc2.SChunk by position of the segment

    @property
    def num_moves(self) -> int:
        """Length of the life in moves."""
        return self.history.num_moves

    def holds(self, index: int) -> bool:
        """Whether the frames of a segment have been built, and are whole."""
        try:
            return self._segment(index) is not None
        except (OSError, RuntimeError, ValueError):
            return False

    def __getitem__(self, moves: slice) -> np.ndarray:
        """Return the newest frame before each of the moves [start, stop): [T, *frame_shape]."""
        start, stop, step = moves.indices(self.num_moves)
        if step != 1:
            raise ValueError(f"frames are read in order, step 1; found step {step}")
        result = np.empty((max(0, stop - start), *self.game.frame_shape), self.game.observation_dtype)
        for index in segments.overlapping(self.history, start, stop):
            segment = self.history.header.segments[index]
            first = max(start, segment.first_move)
            last = min(stop, segment.first_move + segment.length)
            result[first - start : last - start] = self._read(
                index, first - segment.first_move, last - segment.first_move
            )
        return result

    def observations(self, start: int, stop: int) -> np.ndarray:
        """Return what a player sees before each of the moves [start, stop): [T, *observation_shape]."""
        if not 0 <= start <= stop <= self.num_moves:
            raise ValueError(f"moves [{start}, {stop}) are not within this life of {self.num_moves} moves")
        depth = self.game.stacked_frames
        if depth == 1:
            return self[start:stop]
        if start == stop:
            return np.empty((0, *self.game.observation_shape), self.game.observation_dtype)
        oldest = max(start - depth + 1, int(self._episode_start(np.array(start))))
        return self._stacked(np.arange(start, stop), np.arange(oldest, stop), self[oldest:stop])

    def observations_at(self, moves: np.ndarray) -> np.ndarray:
        """Return what a player sees before any moves int [...], in any order: [..., *observation_shape]."""
        if moves.size and not 0 <= moves.min() <= moves.max() < self.num_moves:
            raise ValueError(f"expected moves in [0, {self.num_moves}), found {moves.min()} to {moves.max()}")
        depth = self.game.stacked_frames
        wanted = moves.reshape(-1, 1) + np.arange(1 - depth, 1)  # [N, depth]
        needed = np.unique(np.maximum(wanted, self._episode_start(moves.reshape(-1, 1))))
        runs = np.split(needed, np.flatnonzero(np.diff(needed) > BLOCK_FRAMES) + 1) if needed.size else []
        read = [self[run[0] : run[-1] + 1][run - run[0]] for run in runs]
        found = np.concatenate(read) if read else self[0:0]
        stacked = self._stacked(moves.reshape(-1), needed, found)
        shaped: np.ndarray = stacked.reshape(moves.shape + self.game.observation_shape)
        return shaped

    def _stacked(self, moves: np.ndarray, held: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """Return [N, *observation_shape] of moves [N], from the frames [M, ...] before the moves held [M]."""
        depth = self.game.stacked_frames
        wanted = moves[:, None] + np.arange(1 - depth, 1)  # [N, depth], oldest first
        starts = self._episode_start(moves)[:, None]
        stacked = frames[np.searchsorted(held, np.maximum(wanted, starts))]  # [N, depth, *frame_shape]
        stacked[wanted < starts] = 0
        observations: np.ndarray = stacked.reshape((len(moves), *self.game.observation_shape))
        return observations

    def _episode_start(self, moves: np.ndarray) -> np.ndarray:
        """Return the first move of the episode that each move [...] is in."""
        starts: np.ndarray = self._episode_starts[
            np.searchsorted(self._episode_starts, moves, side="right") - 1
        ]
        return starts

    def _read(self, index: int, start: int, stop: int) -> np.ndarray:
        """Return the frames [start, stop) of a segment.

        Whole blocks are read: c-blosc2 3.3.5 gives wrong items for a slice of just a block's length that
        doesn't start at a block.
        """
        length = self.history.header.segments[index].length
        whole_start = start - start % BLOCK_FRAMES
        whole_stop = min(length, stop + -stop % BLOCK_FRAMES)
        blocks = np.empty((whole_stop - whole_start, *self.game.frame_shape), self.game.observation_dtype)
        size = _items_per_frame(self.game)
        self._require(index).get_slice(whole_start * size, whole_stop * size, out=blocks)
        return blocks[start - whole_start : stop - whole_start]

    def _require(self, index: int) -> Any:
        segment = self.history.header.segments[index]
        try:
            return self._segment(index)
        except (OSError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"no frames of moves [{segment.first_move}, {segment.first_move + segment.length}) in "
                f"{self.folder}; build them with frames(history, start, stop)"
            ) from error

    def _segment(self, index: int) -> Any:
        """Return a segment's open file; an error if it is absent, broken or of another length."""
        if index not in self._opened:
            import blosc2

            opened = blosc2.open(str(_segment_file(self.folder, index)), mode="r", mmap_mode="r")
            expected = self.history.header.segments[index].length * _items_per_frame(self.game)
            if opened.nbytes != expected * opened.typesize:
                raise ValueError(f"{opened.nbytes} bytes of frames, expected {expected * opened.typesize}")
            self._opened[index] = opened
        return self._opened[index]


def _build(cache: Path, history: History, index: int, tick: Tick) -> None:
    """Replay one segment into its file; the file appears when all its frames are in it and checked."""
    target = _segment_file(store_folder(cache, history), index)
    if target.exists() and FrameStore(history, target.parent).holds(index):
        return  # another builder was faster
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        _compress(part, games.load(history.header.game), replay.segment_frames(history, index), tick)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _compress(path: Path, game: Game, replayed: Iterator[np.ndarray], tick: Tick) -> None:
    import blosc2

    itemsize = np.dtype(game.observation_dtype).itemsize
    frame_bytes = _items_per_frame(game) * itemsize
    path.unlink(missing_ok=True)
    try:
        store = blosc2.SChunk(
            chunksize=CHUNK_FRAMES * frame_bytes,
            cparams={
                "codec": blosc2.Codec.ZSTD,
                "clevel": 1,
                "filters": [blosc2.Filter.NOFILTER],  # shuffles make flat screens larger and slower
                "typesize": itemsize,
                "blocksize": BLOCK_FRAMES * frame_bytes,
                "nthreads": 1,
            },
            urlpath=str(path),
            contiguous=True,
            mode="w",
        )
        for chunk in _chunks(game, replayed, tick):
            store.append_data(chunk)
    except RuntimeError as error:
        raise MachineError(f"{path.parent}: frames can't be written ({error}); is the disk full?") from error


def _chunks(game: Game, replayed: Iterator[np.ndarray], tick: Tick) -> Iterator[np.ndarray]:
    """Yield the frames in arrays [256, *frame_shape], the last one shorter."""
    chunk = np.empty((CHUNK_FRAMES, *game.frame_shape), game.observation_dtype)
    filled = 0
    for frame in replayed:
        chunk[filled] = frame
        filled += 1
        tick()
        if filled == CHUNK_FRAMES:
            yield chunk
            filled = 0
    if filled:
        yield chunk[:filled].copy()


def _prepare(folder: Path) -> None:
    """Make the folder, and drop what killed builds have left in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in folder.glob(".*.part"):
        if time.time() - part.stat().st_mtime > ABANDONED_SECONDS:
            part.unlink(missing_ok=True)


def _segment_file(folder: Path, index: int) -> Path:
    return folder / f"segment-{index:05d}.b2frame"


def _items_per_frame(game: Game) -> int:
    return math.prod(game.frame_shape)
