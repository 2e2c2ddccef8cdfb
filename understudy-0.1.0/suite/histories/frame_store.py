"""The frame store: a history's observations, rebuilt by replay at first use and kept compressed.

A log holds no pixels. The newest frames before a segment's moves are one Blosc2 file in the user's cache,
in a folder named by the history's content hash; frames are stacked when they are read.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from understudy.suite import games
from understudy.suite.errors import CheckFailed, MachineError
from understudy.suite.histories import frame_cache, replay, segments
from understudy.suite.histories.history_format import History
from understudy.suite.histories.segments import CHUNK_MOVES, Report, RunSegment, Tick
from understudy.suite.io import files, parts
from understudy.suite.protocols import Game

CHUNK_FRAMES = CHUNK_MOVES  # compressed together and appended at once
BLOCK_FRAMES = 32  # decompressed at once
OPEN_FILES = 256  # kept open by a process; opening one takes as long as reading 150 frames
_READING = threading.Lock()  # an open file has one decompressor; python-blosc2 4.14 holds the GIL as well
if hasattr(os, "register_at_fork"):  # a fork amid a reading leaves its copy of the lock held
    os.register_at_fork(
        before=_READING.acquire, after_in_parent=_READING.release, after_in_child=_READING.release
    )


def open_store(
    history: History,
    start: int = 0,
    stop: int | None = None,
    processes: int | None = None,
    report: Report = lambda done, total: None,
    cache: Path | None = None,
) -> FrameStore:
    """Return the frame store of a history, after replaying the segments of [start, stop) that it lacks.

    An interrupted build is resumed by the next call; several processes may build the same store.

    Args:
        history: the log.
        start: first move whose frame is needed.
        stop: the move after the last whose frame is needed; the run's end if None.
        processes: number of processes that replay; all cores if None.
        report: called with the moves replayed so far and the moves to replay.
        cache: folder of all stores; the user's if None.

    Raises:
        InputError: the history was recorded under settings that this installation doesn't have.
        CheckFailed: rewards, ends or frames of the replay differ from the record.
        MachineError: the cache can't be written.
    """
    return open_stores([history], start, stop, processes, report, cache)[0]


def open_stores(
    histories: Sequence[History],
    start: int = 0,
    stop: int | None = None,
    processes: int | None = None,
    report: Report = lambda done, total: None,
    cache: Path | None = None,
) -> list[FrameStore]:
    """Return the store of each history, as `open_store` does; all segments are replayed side by side."""
    cache = cache or frame_cache.folder()
    for history in histories:
        if history.has_seeds or not frame_cache.store_folder(cache, history).exists():
            replay.require_comparable(history)
    limit = frame_cache.limit_bytes()
    files.allow_open_files(len(histories) + OPEN_FILES)  # a lock for each store, and the segments being read
    stores = [
        FrameStore(history, frame_cache.store_folder(cache, history), hold=True) for history in histories
    ]
    missing = [
        (run, index)
        for run, store in enumerate(stores)
        for index in segments.overlapping(store.history, start, store.num_moves if stop is None else stop)
        if not store.holds(index)
    ]
    for run in sorted({run for run, _ in missing}):
        replay.require_comparable(histories[run])  # raises where the frames of an imported run are damaged
        frame_cache.drop_abandoned(stores[run].folder)
    segments.map_segments(functools.partial(_build, cache), histories, missing, processes, report)
    if missing:
        frame_cache.evict(cache, limit)
    return stores


class FrameStore:
    """The frame before each move of a run; `store[start:stop]` gives unstacked frames, [T, *frame_shape]."""

    def __init__(self, history: History, folder: Path, hold: bool = False) -> None:
        """Use a folder of segment files; files are opened when they are read.

        With `hold`, the store isn't evicted from the cache while this object is referenced.
        """
        self._hold = frame_cache.Hold(folder) if hold else None
        self.history = history
        self.folder = folder
        self.game = games.load(history.header.game)
        self._episode_starts = np.flatnonzero(history.first)  # ascending

    @property
    def num_moves(self) -> int:
        """Length of the run in moves."""
        return self.history.num_moves

    def holds(self, index: int) -> bool:
        """Whether the frames of a segment are stored, and complete."""
        try:
            return self._segment(index) is not None
        except (OSError, RuntimeError, ValueError):
            return False

    def __getitem__(self, moves: slice) -> np.ndarray:
        """Return the newest frame before each of the moves [start, stop): [T, *frame_shape]."""
        start, stop, step = moves.indices(self.num_moves)
        if step != 1:
            raise ValueError(f"frames are read with step 1; found step {step}")
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
        """Return the observations before the moves [start, stop): [T, *observation_shape].

        `out`, if given, is filled and returned; it must have that shape and the game's dtype.
        """
        if not 0 <= start <= stop <= self.num_moves:
            raise ValueError(f"moves [{start}, {stop}) are not within this run of {self.num_moves} moves")
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
        """Return the observations before moves int [...], in any order: [..., *observation_shape]."""
        if moves.size and not 0 <= moves.min() <= moves.max() < self.num_moves:
            raise ValueError(f"expected moves in [0, {self.num_moves}), found {moves.min()} to {moves.max()}")
        depth = self.game.stacked_frames
        wanted = moves.reshape(-1, 1) + np.arange(1 - depth, 1)  # [N, depth]
        needed = np.unique(np.maximum(wanted, self._episode_start(moves.reshape(-1, 1))))
        near = np.split(needed, np.flatnonzero(np.diff(needed) > BLOCK_FRAMES) + 1) if needed.size else []
        read = [self[group[0] : group[-1] + 1][group - group[0]] for group in near]
        found = np.concatenate(read) if read else self[0:0]
        stacked = np.empty((moves.size, *self.game.observation_shape), self.game.observation_dtype)
        self._stack(moves.reshape(-1), needed, found, stacked)
        shaped: np.ndarray = stacked.reshape(moves.shape + self.game.observation_shape)
        return shaped

    def _stack(self, moves: np.ndarray, held: np.ndarray, frames: np.ndarray, out: np.ndarray) -> None:
        """Fill out [N, *observation_shape] for moves [N], from the frames [M, ...] before the moves held [M].

        An observation's frames from before its episode are zeros.
        """
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

        Reads whole blocks: c-blosc2 3.3.5 returns wrong items for a slice of exactly a block's length that
        doesn't start at a block's start.
        """
        length = self.history.header.segments[index].length
        whole_start = start - start % BLOCK_FRAMES
        whole_stop = min(length, stop + -stop % BLOCK_FRAMES)
        blocks = np.empty((whole_stop - whole_start, *self.game.frame_shape), self.game.observation_dtype)
        size = _items_per_frame(self.game)
        with _READING:
            self._require(index).get_slice(whole_start * size, whole_stop * size, out=blocks)
        return blocks[start - whole_start : stop - whole_start]

    def _require(self, index: int) -> Any:
        segment = self.history.header.segments[index]
        try:
            return self._segment(index)
        except (OSError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"no frames of moves [{segment.first_move}, {segment.first_move + segment.length}) in "
                f"{self.folder}; build them with open_store(history, start, stop)"
            ) from error

    def _segment(self, index: int) -> Any:
        """Return a segment's open file; raise if it is absent, broken or of another length."""
        path = segment_file(self.folder, index)
        state = path.stat()
        opened = _opened(str(path), state.st_ino, state.st_mtime_ns, state.st_size)
        expected = self.history.header.segments[index].length * _items_per_frame(self.game)
        if opened.nbytes != expected * opened.typesize:
            raise ValueError(f"{opened.nbytes} bytes of frames, expected {expected * opened.typesize}")
        return opened


@functools.lru_cache(OPEN_FILES)
def _opened(path: str, *state: int) -> Any:
    """Return a file as blosc2.SChunk; `state` distinguishes it from an earlier file of the same name."""
    import blosc2

    return blosc2.open(
        path, mode="r", mmap_mode="r", dparams={"nthreads": 1}
    )  # a forked process has no others


def _build(cache: Path, histories: Sequence[History], wave: Sequence[RunSegment], tick: Tick) -> list[None]:
    """Replay a wave of segments into their files; a file appears when all its frames are checked."""
    stores = [FrameStore(histories[run], frame_cache.store_folder(cache, histories[run])) for run, _ in wave]
    # Another process may have built some of the segments since the caller looked.
    missing = [lane for lane, (_, index) in enumerate(wave) if not stores[lane].holds(index)]
    if not missing:
        return [None] * len(wave)
    with contextlib.ExitStack() as opened:
        writers = [
            opened.enter_context(
                SegmentWriter(segment_file(stores[lane].folder, wave[lane][1]), stores[lane].game)
            )
            for lane in missing
        ]
        for part in replay.play(histories, [wave[lane] for lane in missing]):
            if part.difference:
                raise CheckFailed(part.difference)
            writers[part.lane].append(part.frames)
            tick(len(part.frames))
        for writer in writers:
            writer.finish()
    return [None] * len(wave)


class SegmentWriter:
    """Compresses one segment's frames into a file, which appears when it is complete."""

    def __init__(self, target: Path, game: Game) -> None:
        """Begin a temporary file beside `target`."""
        import blosc2

        self._target = target
        self._part = parts.beside(target)
        itemsize = np.dtype(game.observation_dtype).itemsize
        frame_bytes = _items_per_frame(game) * itemsize
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
        """Append frames [n, *frame_shape]; n must be CHUNK_FRAMES except in the last call."""
        if len(frames):
            with _disk_errors(self._part):
                self._store.append_data(np.ascontiguousarray(frames))

    def finish(self) -> None:
        """Sync the file and rename it to its target, replacing an equal one of another process."""
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
    """Return the path of a segment's frames in a store's folder."""
    return folder / f"segment-{index:05d}.b2frame"


def _items_per_frame(game: Game) -> int:
    return math.prod(game.frame_shape)
