"""Imported runs: recordings of others with frames and actions but without seeds, which can't be replayed.

They become ordinary history files whose segments have no seed. Their frames are written to the frame store,
checked by the segments' CRC-32, and are never evicted from it, because no replay can rebuild them.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from understudy.suite import stored_names
from understudy.suite.errors import InputError
from understudy.suite.histories import frame_cache, frame_store, history_format
from understudy.suite.histories.frame_store import CHUNK_FRAMES, SegmentWriter
from understudy.suite.histories.history_format import COLUMNS, Header, History, Segment
from understudy.suite.protocols import Game

SEGMENT_MOVES = 50_000


class MoveBlock(NamedTuple):
    """Consecutive moves of an imported run."""

    frames: np.ndarray  # [n, *frame_shape] of the game's dtype, the newest frame before each move
    action: np.ndarray  # [n] uint8, in the family's full action set
    reward: np.ndarray  # [n] float32
    terminated: np.ndarray  # [n] bool
    truncated: np.ndarray  # [n] bool


def record(
    path: Path,
    game: Game,
    blocks: Iterable[MoveBlock],
    source: Mapping[str, Any],
    lacks: Sequence[str],
    cache: Path | None = None,
    report: Callable[[int], None] = lambda moves: None,
) -> History:
    """Write an imported run's history file and its frame store; return the history.

    Leaves nothing behind if `blocks` raises.

    Args:
        path: of the history file to write.
        game: that was played.
        blocks: the moves, in order.
        source: where the run comes from, JSON for the header; its entry `importer` names the importer.
        lacks: what the run lacks, texts for the header.
        cache: folder of all frame stores; the user's if None.
        report: called with the moves written so far.

    Raises:
        InputError: `path` exists, there are no moves, or some don't fit the game; names the move.
        MachineError: the cache can't be written.
    """
    if path.exists():
        raise InputError(f"{path}: exists already; choose another folder, or remove it to import again")
    cache = cache or frame_cache.folder()
    work = frame_cache.import_folder(cache)
    frame_cache.make_folder(work)
    try:
        writer = _RunWriter(game, work, report)
        for block in blocks:
            writer.append(block)
        history = writer.finish(source, lacks)
        _move(work, frame_cache.store_folder(cache, history))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    history_format.write(path, history)
    return history


class _RunWriter:
    """Collects a run's blocks: the columns in memory (8 bytes a move), the frames on disk."""

    def __init__(self, game: Game, folder: Path, report: Callable[[int], None]) -> None:
        self._game, self._folder, self._report = game, folder, report
        self._columns: dict[str, list[np.ndarray]] = {name: [] for name in COLUMNS if name != "explored"}
        self._segments: list[Segment] = []
        self._pending: list[np.ndarray] = []  # frames [n, ...] of the open segment that aren't written yet
        self._writer: SegmentWriter | None = None
        self._crc = 0
        self._length = 0  # of the open segment
        self._moves = 0

    def append(self, block: MoveBlock) -> None:
        """Add moves; raise InputError if they don't fit the game."""
        self._check(block)
        for name, column in self._columns.items():
            column.append(np.array(getattr(block, name)))
        for frames in _cut(block.frames, SEGMENT_MOVES - self._moves % SEGMENT_MOVES, SEGMENT_MOVES):
            self._add(frames)
            if self._moves % SEGMENT_MOVES == 0:
                self._close()
        self._report(self._moves)

    def finish(self, source: Mapping[str, Any], lacks: Sequence[str]) -> History:
        """Close the last segment and return the history."""
        if not self._moves:
            raise InputError(f"no moves of {self._game.name} found to import; expected at least one")
        self._close()
        columns = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        header = Header(
            game=self._game.name,
            fingerprint={"game": self._game.name, "imported_from": source["importer"], "seeds": None},
            player={"kind": stored_names.IMPORTED_KIND, "source": dict(source)},
            run={"kind": stored_names.IMPORTED_KIND, "lacks": list(lacks)},
            segments=tuple(self._segments),
            versions={name: version(name) for name in ("understudy", "numpy")},
        )
        return History(header, **columns, explored=np.zeros(self._moves, bool))

    def _check(self, block: MoveBlock) -> None:
        game, n = self._game, len(block.action)
        frames = block.frames
        if frames.shape != (n, *game.frame_shape) or frames.dtype != np.dtype(game.observation_dtype):
            raise InputError(
                f"from move {self._moves} on: expected frames {game.observation_dtype} "
                f"{[n, *game.frame_shape]} of {game.name}, found {frames.dtype} {list(frames.shape)}"
            )
        legal = np.zeros(256, bool)
        legal[: game.num_actions] = game.legal_actions
        for offset in np.flatnonzero(~legal[block.action])[:1]:
            raise InputError(
                f"move {self._moves + offset}: action {block.action[offset]} is none of {game.name}'s "
                f"({', '.join(map(str, np.flatnonzero(legal)))}); is it the right game?"
            )
        for offset in np.flatnonzero(~np.isfinite(block.reward))[:1]:
            raise InputError(
                f"move {self._moves + offset}: expected a finite reward, found {block.reward[offset]}"
            )

    def _add(self, frames: np.ndarray) -> None:
        if self._writer is None:
            target = frame_store.segment_file(self._folder, len(self._segments))
            self._writer = SegmentWriter(target, self._game)
        self._crc = zlib.crc32(np.ascontiguousarray(frames).data, self._crc)
        self._moves += len(frames)
        self._length += len(frames)
        self._pending.append(np.array(frames))
        if sum(map(len, self._pending)) >= CHUNK_FRAMES:
            joined = np.concatenate(self._pending)
            full = len(joined) - len(joined) % CHUNK_FRAMES
            for start in range(0, full, CHUNK_FRAMES):
                self._writer.append(joined[start : start + CHUNK_FRAMES])
            self._pending = [joined[full:]]

    def _close(self) -> None:
        if self._writer is None:
            return
        self._writer.append(np.concatenate(self._pending))
        self._writer.finish()
        first = self._segments[-1].first_move + self._segments[-1].length if self._segments else 0
        self._segments.append(Segment(first, self._length, None, self._crc))
        self._pending, self._writer, self._crc, self._length = [], None, 0, 0


def _cut(frames: np.ndarray, first: int, size: int) -> Iterator[np.ndarray]:
    """Yield frames in slices: `first` of them, then `size` at a time."""
    for start in (0, *range(first, len(frames), size)):
        piece = frames[start : first if start == 0 else start + size]
        if len(piece):
            yield piece


def _move(work: Path, folder: Path) -> None:
    """Rename the finished store to its folder, unless an equal imported one is there already."""
    (work / frame_cache.IMPORTED).touch()
    if not (folder / frame_cache.IMPORTED).exists():
        shutil.rmtree(folder, ignore_errors=True)
        try:
            os.replace(work, folder)
        except OSError:
            if not (folder / frame_cache.IMPORTED).exists():  # else another process imported the same
                raise
