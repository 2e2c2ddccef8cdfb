"""Convert and check columns of imported data; every error names the file and the row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from understudy.suite.errors import InputError
from understudy.suite.io import files
from understudy.suite.protocols import Game

HASHED_BYTES = 16 * 2**20  # of larger files only the size is recorded


def action_table(game: Game, count: int, where: object) -> np.ndarray:
    """Return the family's action for each of `count` action numbers of the data, uint8 [count].

    The data's actions are the full action set, or the minimal one of ALE or the package minatar. Raises
    InputError if `count` is the size of neither.
    """
    minimal = game.minimal_actions
    if count == game.num_actions:
        return np.arange(count, dtype=np.uint8)
    if count == len(minimal):
        return np.array(minimal, dtype=np.uint8)
    raise InputError(
        f"{where}: {count} actions; {game.name} has {game.num_actions}, of which {len(minimal)} are its "
        "minimal set; is it the right game?"
    )


def actions(raw: np.ndarray, table: np.ndarray, game: Game, where: object, first_row: int = 0) -> np.ndarray:
    """Return the family's actions for action numbers [n], uint8 [n].

    Args:
        raw: int [n], the data's action numbers.
        table: uint8, the family's action of each, as `action_table` returns it.
        game: that was played.
        where: file, for messages.
        first_row: number of the first row, for messages.

    Raises InputError if a number is out of range, or its action illegal.
    """
    _require_vector(raw, "iu", "integer actions", where)
    for row in np.flatnonzero((raw < 0) | (raw >= len(table)))[:1]:
        raise InputError(
            f"{where}: row {first_row + row}: action {raw[row]}, expected 0 to {len(table) - 1} for "
            f"{game.name}; is it the right game?"
        )
    found: np.ndarray = table[raw]
    for row in np.flatnonzero(~np.array(game.legal_actions)[found])[:1]:
        raise InputError(
            f"{where}: row {first_row + row}: action {found[row]} is not legal in {game.name} "
            f"({', '.join(map(str, np.flatnonzero(game.legal_actions)))}); such a run can't be imported"
        )
    return found


def rewards(raw: np.ndarray, where: object, first_row: int = 0) -> np.ndarray:
    """Return rewards as float32 [n]; raise InputError if one isn't finite."""
    _require_vector(raw, "fiu", "rewards", where)
    with np.errstate(over="ignore"):
        found = raw.astype(np.float32)
    for row in np.flatnonzero(~np.isfinite(found))[:1]:
        raise InputError(f"{where}: row {first_row + row}: reward {raw[row]}, expected a finite number")
    return found


def flags(raw: np.ndarray, where: object, first_row: int = 0) -> np.ndarray:
    """Return flags as bool [n]; raise InputError if one is neither 0 nor 1."""
    _require_vector(raw, "biu", "flags of 0 and 1", where)
    for row in np.flatnonzero((raw != 0) & (raw != 1))[:1]:
        raise InputError(f"{where}: row {first_row + row}: flag {raw[row]}, expected 0 or 1")
    return raw.astype(bool)


def described(path: Path, folder: Path) -> dict[str, Any]:
    """Return a header's entry for a file: its name below `folder`, its size, its SHA-256 if it is small."""
    entry: dict[str, Any] = {"name": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size}
    if entry["bytes"] <= HASHED_BYTES:
        entry["sha256"] = files.sha256(path)
    return entry


def _require_vector(raw: np.ndarray, kinds: str, what: str, where: object) -> None:
    if raw.ndim != 1 or raw.dtype.kind not in kinds:
        raise InputError(f"{where}: expected {what} [n], found {raw.dtype} {list(raw.shape)}")
