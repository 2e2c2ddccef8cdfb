"""The journal of a run that is being recorded: an append-only log with checkpoints, truncated on resume."""

from __future__ import annotations

import json
import os
import sys
import zlib
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from understudy.suite.errors import InputError
from understudy.suite.histories.history_format import Header, History, Segment, header_fields, header_of
from understudy.suite.io import bounded, files, parts, walks

ROW = np.dtype([("action", "u1"), ("reward", "<f4"), ("flags", "u1")])  # 6 bytes a move
TERMINATED, TRUNCATED, EXPLORED = 1, 2, 4
GO_BACK = "the journal was altered: restore an older copy, or start the run again"


class Journal:
    """The log of one run: `header.json`, `moves.bin` (rows of ROW), `segments-<moves>.json`.

    A checkpoint syncs the rows and writes the segments up to it, with checksums of rows, header and itself.
    The newest two are kept, so that a caller who commits several files together can return to the previous
    one. Rows after the checkpoint are truncated on resume.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows_crc: int | None = None  # CRC-32 of all rows in moves.bin; None until they are read

    @property
    def exists(self) -> bool:
        """Whether the folder holds a checkpoint."""
        return bool(self.checkpoints())

    def checkpoints(self) -> list[int]:
        """Return the moves of the stored checkpoints, ascending."""
        found = walks.matching(self.folder, "segments-*.json")
        names = (path.stem.partition("-")[2] for path in found)
        return sorted(int(name) for name in names if name.isdecimal())

    def create(self, header: Header) -> None:
        """Start an empty journal; raise InputError if the folder holds one with a checkpoint."""
        if any(self.checkpoints()):
            raise InputError(f"{self.folder}: a journal exists already; resume it, or move it away")
        self.discard()
        self.folder.mkdir(parents=True, exist_ok=True)
        fields = {k: v for k, v in header_fields(header).items() if k != "segments"}
        files.write_json(self._header_path, fields)
        self._rows_path.touch()
        self._rows_crc = 0

    def append(self, rows: np.ndarray) -> None:
        """Append rows [n] of ROW; the next checkpoint commits them."""
        data = rows.tobytes()
        with self._rows_path.open("ab") as file:
            file.write(data)
        if self._rows_crc is not None:
            self._rows_crc = zlib.crc32(data, self._rows_crc)

    def checkpoint(self, segments: list[Segment]) -> None:
        """Sync the rows and commit them; `segments` must cover all of them."""
        with self._rows_path.open("ab") as file:
            os.fsync(file.fileno())
        if self._rows_crc is None:
            self._rows_crc = zlib.crc32(self._rows_path.read_bytes())
        num_moves = sum(segment.length for segment in segments)
        body = {
            "segments": [asdict(segment) for segment in segments],
            "rows_crc32": self._rows_crc,
            "header_sha256": files.sha256(self._header_path),
        }
        files.write_atomically(self._segments_path(num_moves), _checkpoint_bytes(body))
        for old in self.checkpoints()[:-2]:
            self._segments_path(old).unlink()

    def load(self, num_moves: int | None = None) -> History:
        """Return the run up to a checkpoint, the newest by default.

        Raises:
            InputError: there is no such checkpoint, or a byte of it, its rows or the header was altered.
                A checkpoint that is a bare list of segments has no checksums and is not checked.
        """
        known = self.checkpoints()
        if not known:
            raise InputError(f"{self.folder}: no journal with a checkpoint here")
        wanted = known[-1] if num_moves is None else num_moves
        if wanted not in known:
            raise InputError(f"{self.folder}: expected a checkpoint at move {wanted}, found {known}")
        checkpoint = files.read_json(self._segments_path(wanted))
        rows = self._rows(wanted)
        try:
            segments = self._segments(wanted, checkpoint, rows)
            return history_of(header_of(files.read_json(self._header_path), segments), rows)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{self.folder}: not a journal ({type(error).__name__}: {error}); {GO_BACK}"
            ) from error

    def truncate(self, num_moves: int) -> None:
        """Delete the rows and checkpoints after `num_moves`."""
        for later in self.checkpoints():
            if later > num_moves:
                self._segments_path(later).unlink()
        with self._rows_path.open("r+b") as file:
            file.truncate(num_moves * ROW.itemsize)
        self._rows_crc = None

    def remove(self) -> None:
        """Delete the journal, after its run has become a history file."""
        self.discard()

    def discard(self) -> None:
        """Delete the files of the journal, if there is one, and its folder unless it holds others' files."""
        for num_moves in self.checkpoints():  # the newest last, so that the journal can be loaded until then
            self._segments_path(num_moves).unlink()
        for path in (self._rows_path, self._header_path):
            path.unlink(missing_ok=True)
        parts.drop(self.folder, (self._header_path.name, "segments-*.json"))
        with suppress(OSError):  # it holds something else, or was never made
            self.folder.rmdir()

    def _rows(self, num_moves: int) -> np.ndarray:
        try:
            with bounded.opened(self._rows_path, sys.maxsize) as file:
                size_bytes = os.fstat(file.fileno()).st_size
                data = file.read(min(num_moves * ROW.itemsize, size_bytes))
        except FileNotFoundError as error:
            raise InputError(f"{self._rows_path}: no such file; {GO_BACK}") from error
        rows = np.frombuffer(data[: len(data) // ROW.itemsize * ROW.itemsize], ROW).copy()
        if len(rows) < num_moves:
            raise InputError(
                f"{self._rows_path}: {len(rows)} moves, the checkpoint says {num_moves}; "
                "the journal was truncated: restore an older copy"
            )
        return rows

    def _segments(self, num_moves: int, checkpoint: Any, rows: np.ndarray) -> tuple[Segment, ...]:
        """Return a checkpoint's segments; raise InputError unless rows [n] and header match its hashes."""
        if isinstance(checkpoint, dict):
            body = {key: value for key, value in checkpoint.items() if key != "sha256"}
            path = self._segments_path(num_moves)
            if bounded.read(path) != _checkpoint_bytes(body):
                raise InputError(f"{path}: its SHA-256 is not that of its content; {GO_BACK}")
            self._check(body, rows)
            checkpoint = body["segments"]
        segments = [Segment(**segment) for segment in checkpoint]
        if segments and not segments[-1].length:  # as journals were written that noted an open, empty segment
            segments.pop()
        return tuple(segments)

    def _check(self, body: dict[str, Any], rows: np.ndarray) -> None:
        found = zlib.crc32(rows.tobytes())
        if found != body["rows_crc32"]:
            raise InputError(
                f"{self._rows_path}: CRC-32 of the first {len(rows)} moves is {found:08x}, "
                f"the checkpoint says {body['rows_crc32']:08x}; {GO_BACK}"
            )
        header = files.sha256(self._header_path) if self._header_path.exists() else "absent"
        if header != body["header_sha256"]:
            raise InputError(
                f"{self._header_path}: SHA-256 is {header[:12]}, "
                f"the checkpoint says {body['header_sha256'][:12]}; {GO_BACK}"
            )

    @property
    def _header_path(self) -> Path:
        return self.folder / "header.json"

    @property
    def _rows_path(self) -> Path:
        return self.folder / "moves.bin"

    def _segments_path(self, num_moves: int) -> Path:
        return self.folder / f"segments-{num_moves}.json"


def _checkpoint_bytes(body: dict[str, Any]) -> bytes:
    """Return the bytes of a checkpoint with these entries and their hash."""
    entries = {**body, "sha256": files.text_sha256(files.canonical_json(body))}
    return (json.dumps(entries, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def history_of(header: Header, rows: np.ndarray) -> History:
    """Return the history of a header and its journal rows [n] of ROW."""
    flags = rows["flags"]
    return History(
        header,
        action=rows["action"].copy(),
        reward=rows["reward"].copy(),
        terminated=(flags & TERMINATED) > 0,
        truncated=(flags & TRUNCATED) > 0,
        explored=(flags & EXPLORED) > 0,
    )


def rows_of(history: History) -> np.ndarray:
    """Return a history's moves as journal rows [n] of ROW, to continue the run."""
    rows = np.empty(history.num_moves, ROW)
    rows["action"], rows["reward"] = history.action, history.reward
    rows["flags"] = (
        history.terminated * TERMINATED + history.truncated * TRUNCATED + history.explored * EXPLORED
    )
    return rows
