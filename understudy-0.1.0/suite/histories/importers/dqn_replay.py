"""The DQN Replay dataset as published: a gzipped NumPy file for each column and shard, read in blocks.

Layout: `$store$_{observation,action,reward,terminal}_ckpt.N.gz` and `add_count_ckpt.N.gz` in a folder, for
N = 0, 1, ...; a million rows each. Dopamine's checkpoints of its replay buffer have the same layout.
Source: Agarwal, Schuurmans and Norouzi, An optimistic perspective on offline reinforcement learning
(ICML 2020), https://github.com/google-research/batch_rl
"""

from __future__ import annotations

import functools
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from understudy.suite.errors import InputError
from understudy.suite.histories.importers import BLOCK_MOVES, Opened, _columns, _dopamine
from understudy.suite.histories.importers._dopamine import FRAME_SHAPE, Shard
from understudy.suite.io import git_lfs, walks
from understudy.suite.protocols import Game

COLUMNS = ("observation", "action", "reward", "terminal")
LOGS = "replay_logs"  # the folder inside a downloaded run


class DqnReplay:
    """The importer of folders of gzipped shards."""

    takes_shards = True

    def open(self, source: Path, game: Game, shards: range | None) -> Opened:
        """Check the headers of a run's shards; the columns are read when the moves are."""
        _dopamine.require_atari(game, "dqn-replay")
        folder = source / LOGS if (source / LOGS).is_dir() else source
        if not folder.is_dir():
            raise InputError(f"{source}: no such folder; expected one with {_name('observation', 0)}")
        numbers = _dopamine.choose_shards(_numbers(folder), shards, folder, f"{_name('observation', 0)} ...")
        found = [_shard(folder, number) for number in numbers]
        slices, lacks = _dopamine.row_slices(found)
        return Opened(
            _dopamine.move_blocks(game, slices),
            {"importer": "dqn-replay", "shards": numbers, "files": _described(found, folder)},
            (*_dopamine.LACKS, *lacks),
            sum(rows.stop - rows.start for rows in slices),
        )


def _name(column: str, number: int) -> str:
    return f"$store$_{column}_ckpt.{number}.gz"


def _numbers(folder: Path) -> set[int]:
    """Return the numbers of the shards of which any column is present."""
    pattern = re.compile(rf"\$store\$_(?:{'|'.join(COLUMNS)})_ckpt\.(\d+)\.gz")
    matches = (pattern.fullmatch(path.name) for path in walks.matching(folder, "*.gz"))
    return {int(match[1]) for match in matches if match}


def _shard(folder: Path, number: int) -> Shard:
    paths = {column: folder / _name(column, number) for column in COLUMNS}
    for path in paths.values():
        if not path.is_file():
            raise InputError(f"{path}: missing; a shard is {len(COLUMNS)} files, fetch all of them")
    num_rows = _shape(paths["action"])[0]
    for column, path in paths.items():
        expected = (num_rows, *FRAME_SHAPE) if column == "observation" else (num_rows,)
        if _shape(path) != expected:
            raise InputError(
                f"{path}: expected {list(expected)} as in {paths['action'].name}, found {list(_shape(path))}"
            )
    with _array(paths["observation"]) as (_, dtype, _):
        if dtype != np.uint8:
            raise InputError(f"{paths['observation']}: expected uint8, found {dtype}")
    count_path = folder / f"add_count_ckpt.{number}.gz"
    return Shard(
        number,
        paths,
        num_rows,
        int(_whole(count_path)) if walks.is_file(count_path) else None,
        lambda column: _whole(paths[column]),
        functools.partial(_frames, paths["observation"]),
    )


def _described(shards: Sequence[Shard], folder: Path) -> list[dict[str, object]]:
    return [_columns.described(path, folder) for shard in shards for path in shard.paths.values()]


def _shape(path: Path) -> tuple[int, ...]:
    """Return an array's shape; raise InputError unless it has an axis and a row."""
    with _array(path) as (shape, _, _):
        if not shape or not shape[0]:
            raise InputError(f"{path}: expected rows, found an array of shape {list(shape)}")
        return shape


def _whole(path: Path) -> np.ndarray:
    """Return a small array, [] or [N]."""
    with _array(path) as (shape, dtype, file):
        if len(shape) > 1 or dtype.hasobject:
            raise InputError(f"{path}: expected numbers [N], found {dtype} {list(shape)}")
        count = shape[0] if shape else 1
        return np.frombuffer(_read(file, count * dtype.itemsize, path), dtype).reshape(shape)


def _frames(path: Path, start: int, stop: int) -> Iterator[np.ndarray]:
    """Yield the frames of the rows [start, stop) in blocks uint8 [n, 84, 84].

    Reads the file to its end, so that gzip checks its checksum.
    """
    with _array(path) as (shape, _, file):
        row = 0
        while row < shape[0]:
            block_stop = next(edge for edge in (start, stop, shape[0]) if edge > row)
            n = min(BLOCK_MOVES, block_stop - row)
            data = _read(file, n * FRAME_SHAPE[0] * FRAME_SHAPE[1], path)
            if start <= row < stop:
                yield np.frombuffer(data, np.uint8).reshape(n, *FRAME_SHAPE)
            row += n
        if file.read(1):
            raise InputError(f"{path}: longer than its header says; fetch it again")


@contextmanager
def _array(path: Path) -> Iterator[tuple[tuple[int, ...], np.dtype[np.generic], IO[bytes]]]:
    """Open a gzipped .npy file; yield its shape, its dtype, and the file at the first item."""
    git_lfs.refuse_pointer(path)
    try:
        with gzip.open(path, "rb") as opened:
            file: IO[bytes] = opened  # type: ignore[assignment]
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }
            shape, fortran_order, dtype = read_header[version](file)
            if fortran_order and len(shape) > 1:
                raise InputError(f"{path}: expected rows in C order, found Fortran order")
            yield shape, dtype, file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: truncated or damaged ({error}); fetch it again") from error
    except (ValueError, KeyError) as error:
        raise InputError(f"{path}: expected a gzipped .npy file ({error}); fetch it again") from error


def _read(file: IO[bytes], size: int, path: Path) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise InputError(f"{path}: truncated, shorter than its header says; fetch it again")
    return data


IMPORTER = DqnReplay()
