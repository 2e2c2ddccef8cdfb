"""Lives that come from elsewhere: pixels and actions but no seeds, so nothing in them can be replayed.

They become history files like any other, whose segments have no seed. Their frames go straight into the
frame store, checked by the segments' CRC-32, and are never evicted from it: no replay would bring them back.
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

from understudy.suite.errors import InputError
from understudy.suite.histories import cache as caches
from understudy.suite.histories import format as history_format
from understudy.suite.histories import frames as frame_store
from understudy.suite.histories.format import COLUMNS, Header, History, Segment
from understudy.suite.histories.frames import CHUNK_FRAMES, SegmentWriter
from understudy.suite.protocols import Game

SEGMENT_MOVES = 50_000


class Steps(NamedTuple):
    """Consecutive moves of a foreign life."""

    frames: np.ndarray  # [n, *frame_shape] of the game's dtype, the newest frame before each move
    action: np.ndarray  # [n] uint8, in the family's full action set
    reward: np.ndarray  # [n] float32
    terminated: np.ndarray  # [n] bool
    truncated: np.ndarray  # [n] bool


def record(
    path: Path,
    game: Game,
    steps: Iterable[Steps],
    source: Mapping[str, Any],
    lacks: Sequence[str],
    cache: Path | None = None,
    report: Callable[[int], None] = lambda moves: None,
) -> History:
    """Write a life as a history file and its frames into the store of `cache` (default: the user's).

    `source` says where it comes from (its entry `importer` by which way), `lacks` what it is missing; both
    stand in the header. `report` is told the moves so far. Nothing is left behind if `steps` raises.

    Raises:
        InputError: `path` exists, there are no moves, or some don't fit the game; names the move.
        MachineError: the cache can't be written.
    """
    if path.exists():
        raise InputError(f"{path}: exists already; choose another folder, or remove it to import anew")
    cache = cache or caches.folder()
    work = cache / "frames" / f".import-{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        taken = _Taken(game, work, report)
        for part in steps:
            taken.take(part)
        history = taken.history(source, lacks)
        _move(work, caches.store_folder(cache, history))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    history_format.write(path, history)
    return history


class _Taken:
    """What has come in so far: columns in memory (8 bytes a move), frames on disk."""

    def __init__(self, game: Game, folder: Path, report: Callable[[int], None]) -> None:
        self._game, self._folder, self._report = game, folder, report
        self._columns: dict[str, list[np.ndarray]] = {name: [] for name in COLUMNS if name != "explored"}
        self._segments: list[Segment] = []
        self._pending: list[np.ndarray] = []  # frames [n, ...] of the open segment's next run
        self._writer: SegmentWriter | None = None
        self._crc = 0
        self._length = 0  # of the open segment, as written
        self._moves = 0

    def take(self, steps: Steps) -> None:
        """Add moves; InputError where they don't fit the game."""
        self._check(steps)
        for name, column in self._columns.items():
            column.append(np.array(getattr(steps, name)))
        for frames in _cut(steps.frames, SEGMENT_MOVES - self._moves % SEGMENT_MOVES, SEGMENT_MOVES):
            self._add(frames)
            if self._moves % SEGMENT_MOVES == 0:
                self._close()
        self._report(self._moves)

    def history(self, source: Mapping[str, Any], lacks: Sequence[str]) -> History:
        """Close the last segment and return the whole life."""
        if not self._moves:
            raise InputError(f"no moves of {self._game.name} found to import; expected at least one")
        self._close()
        columns = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        header = Header(
            game=self._game.name,
            fingerprint={"game": self._game.name, "imported_from": source["importer"], "seeds": None},
            player={"kind": "foreign", "source": dict(source)},
            life={"kind": "foreign", "lacks": list(lacks)},
            segments=tuple(self._segments),
            versions={name: version(name) for name in ("understudy", "numpy")},
        )
        return History(header, **columns, explored=np.zeros(self._moves, bool))

    def _check(self, steps: Steps) -> None:
        game, n = self._game, len(steps.action)
        frames = steps.frames
        if frames.shape != (n, *game.frame_shape) or frames.dtype != np.dtype(game.observation_dtype):
            raise InputError(
                f"from move {self._moves} on: expected frames {game.observation_dtype} "
                f"{[n, *game.frame_shape]} of {game.name}, found {frames.dtype} {list(frames.shape)}"
            )
        legal = np.zeros(256, bool)
        legal[: game.num_actions] = game.legal_actions
        for offset in np.flatnonzero(~legal[steps.action])[:1]:
            raise InputError(
                f"move {self._moves + offset}: action {steps.action[offset]} is none of {game.name}'s "
                f"({', '.join(map(str, np.flatnonzero(legal)))}); is it the right game?"
            )
        for offset in np.flatnonzero(~np.isfinite(steps.reward))[:1]:
            raise InputError(
                f"move {self._moves + offset}: expected a finite reward, found {steps.reward[offset]}"
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
            whole = len(joined) - len(joined) % CHUNK_FRAMES
            for start in range(0, whole, CHUNK_FRAMES):
                self._writer.append(joined[start : start + CHUNK_FRAMES])
            self._pending = [joined[whole:]]

    def _close(self) -> None:
        if self._writer is None:
            return
        self._writer.append(np.concatenate(self._pending))
        self._writer.finish()
        first = self._segments[-1].first_move + self._segments[-1].length if self._segments else 0
        self._segments.append(Segment(first, self._length, None, self._crc))
        self._pending, self._writer, self._crc, self._length = [], None, 0, 0


def _cut(frames: np.ndarray, first: int, size: int) -> Iterator[np.ndarray]:
    """Yield frames in pieces: `first` of them, then `size` at a time."""
    for start in (0, *range(first, len(frames), size)):
        piece = frames[start : first if start == 0 else start + size]
        if len(piece):
            yield piece


def _move(work: Path, folder: Path) -> None:
    """Put the finished frames in their place; equal ones that are there already stay."""
    (work / caches.IMPORTED).touch()
    if not (folder / caches.IMPORTED).exists():
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(work, folder)
