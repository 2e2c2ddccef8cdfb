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
    """One life's growing log: `header.json`, `moves.bin` (rows of ROW), `segments.json`.

    Only what a checkpoint has synced counts; whatever was appended after it is cut off on resume.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def exists(self) -> bool:
        """Whether a checkpoint was ever written here."""
        return (self.folder / "segments.json").exists()

    def create(self, header: Header) -> None:
        """Start an empty journal; one that exists already is an error, never overwritten."""
        if self.exists:
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
        files.write_json(self.folder / "segments.json", [asdict(segment) for segment in segments])

    def load(self) -> History:
        """Return the life up to the last checkpoint."""
        if not self.exists:
            raise InputError(f"{self.folder}: no checkpoint in this journal yet")
        segments = tuple(Segment(**s) for s in files.read_json(self.folder / "segments.json"))
        num_moves = sum(segment.length for segment in segments)
        rows = np.fromfile(self.folder / "moves.bin", ROW, count=num_moves)
        if len(rows) < num_moves:
            raise InputError(
                f"{self.folder}/moves.bin: {len(rows)} moves, the checkpoint says {num_moves}; "
                "the journal was cut: go back to an older copy"
            )
        header = Header(segments=segments, **files.read_json(self.folder / "header.json"))
        return history_of(header, rows)

    def cut(self, num_moves: int) -> None:
        """Drop every row after `num_moves`."""
        with (self.folder / "moves.bin").open("r+b") as file:
            file.truncate(num_moves * ROW.itemsize)

    def remove(self) -> None:
        """Delete the journal; its life has become a history file."""
        shutil.rmtree(self.folder)


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
