"""The journal of a life being recorded: an append-only log beside the target, cut back on resume."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np

from understudy.suite import files
from understudy.suite.errors import InputError
from understudy.suite.histories.format import Header, History, Segment

ROW = np.dtype([("action", "u1"), ("reward", "<f4"), ("flags", "u1")])  # 6 bytes a move
TERMINATED, TRUNCATED, EXPLORED = 1, 2, 4


class Journal:
    """One life's growing log: `header.json`, `moves.bin` (rows of ROW), `segments-<moves>.json`.

    A checkpoint syncs the rows and writes the segments up to it; the newest two are kept, so that whoever
    commits several files together can go back to the one before. Rows after a checkpoint are cut on resume.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def exists(self) -> bool:
        """Whether a checkpoint was ever written here."""
        return bool(self.checkpoints())

    def checkpoints(self) -> list[int]:
        """Return the moves of the checkpoints that can be gone back to, rising."""
        names = (path.stem.partition("-")[2] for path in self.folder.glob("segments-*.json"))
        return sorted(int(name) for name in names)

    def create(self, header: Header) -> None:
        """Start an empty journal; one that holds moves is an error, never overwritten."""
        if any(self.checkpoints()):
            raise InputError(f"{self.folder}: a journal exists already; resume it, or move it away")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        fields = {k: v for k, v in asdict(header).items() if k != "segments"}
        files.write_json(self.folder / "header.json", fields)
        (self.folder / "moves.bin").touch()

    def append(self, rows: np.ndarray) -> None:
        """Append rows [n] of ROW; they count from the next checkpoint on."""
        with (self.folder / "moves.bin").open("ab") as file:
            file.write(rows.tobytes())

    def checkpoint(self, segments: list[Segment]) -> None:
        """Sync the rows and commit them: `segments` must cover all of them."""
        with (self.folder / "moves.bin").open("ab") as file:
            os.fsync(file.fileno())
        num_moves = sum(segment.length for segment in segments)
        files.write_json(self._segments_path(num_moves), [asdict(segment) for segment in segments])
        for old in self.checkpoints()[:-2]:
            self._segments_path(old).unlink()

    def load(self, num_moves: int | None = None) -> History:
        """Return the life up to a checkpoint, the newest by default; InputError if there is none such."""
        known = self.checkpoints()
        if not known:
            raise InputError(f"{self.folder}: no journal with a checkpoint here")
        wanted = known[-1] if num_moves is None else num_moves
        if wanted not in known:
            raise InputError(f"{self.folder}: expected a checkpoint at move {wanted}, found {known}")
        segments = tuple(Segment(**s) for s in files.read_json(self._segments_path(wanted)))
        rows = np.fromfile(self.folder / "moves.bin", ROW, count=wanted)
        if len(rows) < wanted:
            raise InputError(
                f"{self.folder}/moves.bin: {len(rows)} moves, the checkpoint says {wanted}; "
                "the journal was cut: go back to an older copy"
            )
        header = Header(segments=segments, **files.read_json(self.folder / "header.json"))
        return history_of(header, rows)

    def cut(self, num_moves: int) -> None:
        """Drop every row and checkpoint after `num_moves`."""
        for later in self.checkpoints():
            if later > num_moves:
                self._segments_path(later).unlink()
        with (self.folder / "moves.bin").open("r+b") as file:
            file.truncate(num_moves * ROW.itemsize)

    def remove(self) -> None:
        """Delete the journal; its life has become a history file."""
        for num_moves in self.checkpoints():  # the newest last: until it goes the journal can be loaded
            self._segments_path(num_moves).unlink()
        shutil.rmtree(self.folder)

    def _segments_path(self, num_moves: int) -> Path:
        return self.folder / f"segments-{num_moves}.json"


def history_of(header: Header, rows: np.ndarray) -> History:
    """Return the history with these journal rows [n] of ROW."""
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
    """Return a history's moves as journal rows [n] of ROW, to carry the life on."""
    rows = np.empty(history.num_moves, ROW)
    rows["action"], rows["reward"] = history.action, history.reward
    rows["flags"] = (
        history.terminated * TERMINATED + history.truncated * TRUNCATED + history.explored * EXPLORED
    )
    return rows
