"""The frame store: a history's observations, rebuilt by replay at first use and kept compressed.

A log holds no pixels. Each segment's newest frames are one Blosc2 file in the user's cache, named by the
history's content; frames are stacked when they are read.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from understudy.suite import games
from understudy.suite.errors import CheckFailed, MachineError
from understudy.suite.histories import cache as caches
from understudy.suite.histories import replay, segments
from understudy.suite.histories.format import History
from understudy.suite.histories.segments import RUN_MOVES, Place, Report, Tick
from understudy.suite.protocols import Game

CHUNK_FRAMES = RUN_MOVES  # compressed together and appended at once
BLOCK_FRAMES = 32  # decompressed at once
OPEN_FILES = 256  # kept open by a process; opening one takes as long as reading 150 frames


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
    cache = cache or caches.folder()
    for history in histories:
        if history.has_seeds or not caches.store_folder(cache, history).exists():
            replay.require_comparable(history)
    limit = caches.limit_bytes()
    stores = [FrameStore(history, caches.store_folder(cache, history), hold=True) for history in histories]
    missing = [
        (life, index)
        for life, store in enumerate(stores)
        for index in segments.overlapping(store.history, start, store.num_moves if stop is None else stop)
        if not store.holds(index)
    ]
    for life in sorted({life for life, _ in missing}):
        replay.require_comparable(histories[life])  # or an imported life's frames are damaged
        caches.drop_abandoned(stores[life].folder)
    segments.over_segments(functools.partial(_build, cache), histories, missing, processes, report)
    if missing:
        caches.evict(cache, limit)
    return stores


class FrameStore:
    """Frames seen before each move of a life; `store[start:stop]` reads single ones, [T, *frame_shape]."""

    def __init__(self, history: History, folder: Path, hold: bool = False) -> None:
        """Look at a folder of segment files; none is opened before it is read.

        A store that is held isn't evicted from the cache as long as it is referenced.
        """
        self._hold = caches.Hold(folder) if hold else None
        self.history = history
        self.folder = folder
        self.game = games.load(history.header.game)
        self._episode_starts = np.flatnonzero(history.first)  # rising

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

    def observations(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Return what a player sees before each of the moves [start, stop): [T, *observation_shape].

        Given an array `out` of that shape and the game's dtype, it is filled and returned.
        """
        if not 0 <= start <= stop <= self.num_moves:
            raise ValueError(f"moves [{start}, {stop}) are not within this life of {self.num_moves} moves")
        if out is None:
            out = np.empty((stop - start, *self.game.observation_shape), self.game.observation_dtype)
        depth = self.game.stacked_frames
        if depth == 1:
            out[...] = self[start:stop]
        elif start < stop:
            oldest = max(start - depth + 1, int(self._episode_start(np.array(start))))
            self._stack(np.arange(start, stop), np.arange(oldest, stop), self[oldest:stop], out)
        return out

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
        stacked = np.empty((moves.size, *self.game.observation_shape), self.game.observation_dtype)
        self._stack(moves.reshape(-1), needed, found, stacked)
        shaped: np.ndarray = stacked.reshape(moves.shape + self.game.observation_shape)
        return shaped

    def _stack(self, moves: np.ndarray, held: np.ndarray, frames: np.ndarray, out: np.ndarray) -> None:
        """Fill out [N, *observation_shape] for moves [N], from the frames before the moves held, both [M]."""
        depth = self.game.stacked_frames
        wanted = moves[:, None] + np.arange(1 - depth, 1)  # [N, depth], oldest first
        starts = self._episode_start(moves)[:, None]
        rows = out.reshape(len(moves), depth, *self.game.frame_shape)
        np.take(frames, np.searchsorted(held, np.maximum(wanted, starts)), axis=0, out=rows, mode="clip")
        rows[wanted < starts] = 0

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
        path = segment_file(self.folder, index)
        state = path.stat()
        opened = _opened(str(path), state.st_ino, state.st_mtime_ns, state.st_size)
        expected = self.history.header.segments[index].length * _items_per_frame(self.game)
        if opened.nbytes != expected * opened.typesize:
            raise ValueError(f"{opened.nbytes} bytes of frames, expected {expected * opened.typesize}")
        return opened


@functools.lru_cache(OPEN_FILES)
def _opened(path: str, *state: int) -> Any:
    """Return a file as blosc2.SChunk; `state` tells it from another that had its name before."""
    import blosc2

    return blosc2.open(path, mode="r", mmap_mode="r")


def _build(cache: Path, histories: Sequence[History], wave: Sequence[Place], tick: Tick) -> list[None]:
    """Replay a wave of segments into their files, which appear when all frames are in them and checked."""
    stores = [FrameStore(histories[life], caches.store_folder(cache, histories[life])) for life, _ in wave]
    todo = [
        row for row, (_, index) in enumerate(wave) if not stores[row].holds(index)
    ]  # others may build too
    if not todo:
        return [None] * len(wave)
    with contextlib.ExitStack() as opened:
        writers = [
            opened.enter_context(
                SegmentWriter(segment_file(stores[row].folder, wave[row][1]), stores[row].game)
            )
            for row in todo
        ]
        for stretch in replay.play(histories, [wave[row] for row in todo]):
            if stretch.difference:
                raise CheckFailed(stretch.difference)
            writers[stretch.place].append(stretch.frames)
            tick(len(stretch.frames))
        for writer in writers:
            writer.finish()
    return [None] * len(wave)


class SegmentWriter:
    """Compresses one segment's frames into its file, which appears when it is whole."""

    def __init__(self, target: Path, game: Game) -> None:
        """Begin the file beside its place."""
        import blosc2

        self._target = target
        self._part = target.with_name(f".{target.name}.{os.getpid()}.part")
        itemsize = np.dtype(game.observation_dtype).itemsize
        frame_bytes = _items_per_frame(game) * itemsize
        self._part.unlink(missing_ok=True)
        with _disk_errors(self._part):
            self._store = blosc2.SChunk(
                chunksize=CHUNK_FRAMES * frame_bytes,
                cparams={
                    "codec": blosc2.Codec.ZSTD,
                    "clevel": 1,
                    "filters": [blosc2.Filter.NOFILTER],  # shuffles make flat screens larger and slower
                    "typesize": itemsize,
                    "blocksize": BLOCK_FRAMES * frame_bytes,
                    "nthreads": 1,
                },
                urlpath=str(self._part),
                contiguous=True,
                mode="w",
            )

    def append(self, frames: np.ndarray) -> None:
        """Append frames [n, *frame_shape]: n = CHUNK_FRAMES but in the last call."""
        if len(frames):
            with _disk_errors(self._part):
                self._store.append_data(np.ascontiguousarray(frames))

    def finish(self) -> None:
        """Sync the file and put it in its place, over another builder's equal one."""
        with self._part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(self._part, self._target)

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._part.unlink(missing_ok=True)


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise MachineError(f"{path.parent}: frames can't be written ({error}); is the disk full?") from error


def segment_file(folder: Path, index: int) -> Path:
    """Return where a store keeps the frames of a segment."""
    return folder / f"segment-{index:05d}.b2frame"


def _items_per_frame(game: Game) -> int:
    return math.prod(game.frame_shape)
