"""TorchRL's memory-mapped copy of the DQN Replay dataset (`AtariDQNExperienceReplay`), read without TorchRL.

Layout: a folder `<game>/<run>` with a folder for each shard, `0`, `1`, ...; each holds `meta.json`,
`add_count.memmap`, and in `data` and `data/next` a `meta.json` with the dtypes and shapes of the raw arrays
`observation` (one row more than the others), `action`, `reward`, `terminated`.
Source: torchrl/data/datasets/atari_dqn.py in https://github.com/pytorch/rl
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from understudy.suite.errors import InputError
from understudy.suite.histories.importers import BLOCK_MOVES, Opened, _columns, _dopamine
from understudy.suite.histories.importers._dopamine import FRAME_SHAPE, Shard
from understudy.suite.io import files, git_lfs, walks
from understudy.suite.protocols import Game

ARRAYS = {  # column -> array's name in a shard's folder
    "observation": "data/observation",
    "action": "data/action",
    "reward": "data/next/reward",
    "terminal": "data/next/terminated",
}
DTYPES = {
    f"torch.{name}": np.dtype(name) for name in ("uint8", "bool", "int32", "int64", "float32", "float64")
}


class TorchRL:
    """The importer of folders of memory-mapped tensordicts."""

    takes_shards = True

    def open(self, source: Path, game: Game, shards: range | None) -> Opened:
        """Check the shapes and sizes of a run's shards; the arrays are read when the moves are."""
        _dopamine.require_atari(game, "torchrl")
        if not source.is_dir():
            raise InputError(f"{source}: no such folder; expected <game>/<run> with folders 0, 1, ...")
        present = {int(path.name) for path in walks.folders(source) if path.name.isdecimal()}
        numbers = _dopamine.choose_shards(
            present, shards, source, "folders 0, 1, ... of memory-mapped arrays"
        )
        found = [_shard(source / str(number), number) for number in numbers]
        slices, lacks = _dopamine.row_slices(found)
        return Opened(
            _dopamine.move_blocks(game, slices),
            {
                "importer": "torchrl",
                "shards": numbers,
                "files": [_columns.described(p, source) for shard in found for p in shard.paths.values()],
            },
            (*_dopamine.LACKS, *lacks),
            sum(rows.stop - rows.start for rows in slices),
        )


def _shard(folder: Path, number: int) -> Shard:
    arrays = {column: _mapped(folder, name) for column, name in ARRAYS.items()}
    paths = {column: _file(folder, name) for column, name in ARRAYS.items()}
    num_rows = len(arrays["action"])
    for column, array in arrays.items():
        expected = (num_rows + 1, *FRAME_SHAPE) if column == "observation" else (num_rows,)
        if array.shape != expected or not num_rows:
            raise InputError(f"{paths[column]}: expected {list(expected)}, found {list(array.shape)}")
    if arrays["observation"].dtype != np.uint8:
        raise InputError(f"{paths['observation']}: expected uint8, found {arrays['observation'].dtype}")
    return Shard(
        number,
        paths,
        num_rows,
        int(_mapped(folder, "add_count").reshape(())) if walks.is_file(_file(folder, "add_count")) else None,
        arrays.__getitem__,
        functools.partial(_frames, arrays["observation"]),
    )


def _frames(array: np.ndarray, start: int, stop: int) -> Iterator[np.ndarray]:
    """Yield the rows [start, stop) in copied blocks uint8 [n, 84, 84]."""
    for begin in range(start, stop, BLOCK_MOVES):
        yield np.array(array[begin : min(stop, begin + BLOCK_MOVES)])


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.memmap"


def _mapped(folder: Path, name: str) -> np.ndarray:
    """Return an array, mapped read-only; raise InputError unless meta.json and the file's size agree."""
    path = _file(folder, name)
    meta_path = path.parent / "meta.json"
    meta = files.read_json(meta_path)
    entry = meta.get(path.stem) if isinstance(meta, dict) else None
    shape, dtype = (entry.get("shape"), entry.get("dtype")) if isinstance(entry, dict) else (None, None)
    if (
        not isinstance(shape, list)
        or not all(type(n) is int and n >= 0 for n in shape)
        or dtype not in DTYPES
    ):
        raise InputError(
            f"{meta_path}: expected {path.stem!r} with a shape and one of {', '.join(DTYPES)}; "
            f"found {entry!r:.200}"
        )
    if not path.is_file():
        raise InputError(f"{path}: missing; fetch it, or let TorchRL write the folder again")
    git_lfs.refuse_pointer(path)
    expected = math.prod(shape) * DTYPES[dtype].itemsize
    if path.stat().st_size != expected:
        raise InputError(
            f"{path}: {path.stat().st_size:,} bytes, its meta.json says {expected:,}; fetch it again"
        )
    if not expected:
        return np.empty(shape, DTYPES[dtype])
    return np.memmap(path, DTYPES[dtype], "r", shape=tuple(shape))


IMPORTER = TorchRL()
