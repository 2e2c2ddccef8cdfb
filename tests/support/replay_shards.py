"""Shards of the DQN Replay dataset and TorchRL's memory maps of them, in the real layouts, for tests."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from understudy.suite import games
from understudy.suite.histories import importers
from understudy.suite.histories.imported import MoveBlock

BREAKOUT = games.load("atari/breakout")
MINIMAL = (0, 1, 3, 4)  # of Breakout, from ALE's own table
N = 64  # rows of a shard in these tests; a million in the dataset


class Move(NamedTuple):
    """One move that a player made, or a row of padding."""

    frame: np.ndarray  # uint8 [84, 84]
    action: int  # in the minimal set
    reward: float
    terminal: int


PADDING = Move(np.zeros((84, 84), np.uint8), 0, 0.0, 0)


class ReplayLog:
    """Dopamine's circular buffer and the dataset's logger, row by row, as in their source code."""

    def __init__(self, rows: int) -> None:
        self.rows: list[Move] = [Move(np.full((84, 84), 99, np.uint8), 9, 7.0, 1)] * rows  # not written yet
        self.count = 0
        self.moves: list[tuple[int, Move]] = []  # with the position among all rows ever written
        self.shards: list[tuple[int, list[Move]]] = []  # (add_count, rows)

    def add(self, move: Move) -> None:
        if self.count == 0 or self.rows[(self.count - 1) % len(self.rows)].terminal:
            for _ in range(3):
                self._write(PADDING)
        self.moves.append((self.count, move))
        self._write(move)
        if self.count % len(self.rows) == len(self.rows) - 1:
            self.shards.append((self.count, list(self.rows)))

    def finish(self) -> None:
        """Store the remaining rows with the count that the logger gives them."""
        self.shards.append((self.count % len(self.rows), list(self.rows)))

    def stored(self) -> list[Move]:
        """Return the moves that are in any shard of this log, in order."""
        size = len(self.rows)
        held: set[int] = set()
        for k, (count, _) in enumerate(self.shards):
            if k == 0 or count >= size:
                held |= set(range(count - size, count))
            else:
                held |= set(range(self.count - count, self.count))
        return [move for position, move in self.moves if position in held]

    def _write(self, move: Move) -> None:
        self.rows[self.count % len(self.rows)] = move
        self.count += 1


def played(seed: int, moves: int, lengths: tuple[int, int] = (5, 40), size: int = N) -> ReplayLog:
    """Return the log of a player with episode lengths in this range; some screens are black."""
    rng = np.random.default_rng(seed)
    log = ReplayLog(size)
    left = int(rng.integers(*lengths))
    for _ in range(moves):
        frame = rng.integers(0, 256, (84, 84)).astype(np.uint8) if rng.random() < 0.9 else PADDING.frame
        left -= 1
        log.add(Move(frame, int(rng.integers(4)), float(rng.integers(-1, 2)), int(left == 0)))
        left = left or int(rng.integers(*lengths))
    return log


def without_gap(seed: int, moves: int, **how: Any) -> ReplayLog:
    """Return such a log in which every round is stored; the logger skips one if its last row is padding."""
    for attempt in range(seed, seed + 1000):
        log = played(attempt, moves, **how)
        if [count for count, _ in log.shards] == [(k + 1) * N - 1 for k in range((log.count + 1) // N)]:
            return log
    raise AssertionError


def columns(rows: list[Move]) -> dict[str, np.ndarray]:
    """Return the columns of a shard, each [rows, ...]."""
    return {
        "observation": np.array([row.frame for row in rows]),
        "action": np.array([row.action for row in rows], np.int32),
        "reward": np.array([row.reward for row in rows], np.float32),
        "terminal": np.array([row.terminal for row in rows], np.uint8),
    }


def save_gz(path: Path, array: np.ndarray) -> None:
    """Write an array as the dataset does: .npy, gzipped."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        np.save(file, array)


def write_replay_logs(folder: Path, log: ReplayLog, counts: bool = True) -> Path:
    """Write the files of a run as published, with or without those of add_count."""
    folder.mkdir(parents=True)
    for number, (count, rows) in enumerate(log.shards):
        for name, column in columns(rows).items():
            save_gz(folder / f"$store$_{name}_ckpt.{number}.gz", column)
        if counts:
            save_gz(folder / f"add_count_ckpt.{number}.gz", np.array(count))
        save_gz(folder / f"invalid_range_ckpt.{number}.gz", np.arange(5))
    return folder


def described(array: np.ndarray) -> dict[str, Any]:
    """Return the entry of a memory map in TensorDict's meta.json."""
    return {
        "device": "cpu",
        "shape": list(array.shape),
        "dtype": f"torch.{array.dtype}",
        "is_nested": False,
    }


def write_torchrl(folder: Path, log: ReplayLog) -> Path:
    """Write the files that torchrl 0.14 with tensordict 0.14 writes for these shards."""
    tensordict = {"shape": [], "device": "cpu", "_type": "<class 'tensordict._td.TensorDict'>"}
    nested = {"type": "TensorDict"}
    for number, (count, rows) in enumerate(log.shards):
        shard = folder / str(number)
        stored = columns(rows)
        unused = np.zeros((1, 84, 84), np.uint8)
        arrays = {
            "invalid_range": np.arange(5),
            "add_count": np.array(count),
            "data/action": stored["action"],
            "data/observation": np.concatenate([stored["observation"], unused]),
            "data/next/terminated": stored["terminal"],
            "data/next/reward": stored["reward"],
        }
        metas: dict[str, dict[str, Any]] = {
            "": {"data": nested, "dataset_id": {"type": "NonTensorData"}},
            "data": {"next": nested},
            "data/next": {},
        }
        (shard / "data" / "next").mkdir(parents=True)
        for path, array in arrays.items():
            (shard / f"{path}.memmap").write_bytes(array.tobytes())
            parent, _, name = path.rpartition("/")
            metas[parent][name] = described(array)
        for path, meta in metas.items():
            (shard / path / "meta.json").write_text(json.dumps({**meta, **tensordict}))
    (folder / "processed.json").write_text('{"processed": null}')
    return folder


WRITERS: dict[str, Callable[[Path, ReplayLog], Path]] = {
    "dqn-replay": write_replay_logs,
    "torchrl": write_torchrl,
}


def imported(name: str, folder: Path, game: Any = BREAKOUT, shards: range | None = None) -> MoveBlock:
    """Return all moves of an import, joined."""
    return joined(importers.importer(name).open(folder, game, shards).blocks)


def joined(blocks: Iterator[MoveBlock]) -> MoveBlock:
    """Return blocks of moves as one, after checking their lengths."""
    parts = list(blocks)
    assert max(len(part.action) for part in parts) <= importers.BLOCK_MOVES
    return MoveBlock(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def assert_equal(found: MoveBlock, expected: list[Move], cut: tuple[int, ...] = ()) -> None:
    """Compare an import with the moves that were made; those of `cut` must be truncated."""
    wanted = columns(expected)
    np.testing.assert_array_equal(found.frames, wanted["observation"])
    np.testing.assert_array_equal(found.action, np.array(MINIMAL)[wanted["action"]])
    np.testing.assert_array_equal(found.reward, wanted["reward"])
    np.testing.assert_array_equal(found.terminated, wanted["terminal"] == 1)
    assert np.flatnonzero(found.truncated).tolist() == list(cut)
    assert [column.dtype for column in found] == ["uint8", "uint8", "float32", "bool", "bool"]


def edited(path: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Return a function that applies `change` to the JSON file `path` in a folder."""

    def spoil(folder: Path) -> None:
        meta = json.loads((folder / path).read_text())
        change(meta)
        (folder / path).write_text(json.dumps(meta))

    return spoil
