"""Read Minari's files: an episode's columns in blocks, from HDF5, Arrow or Parquet."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from understudy.suite.errors import InputError
from understudy.suite.histories.importers import BLOCK_MOVES
from understudy.suite.io import git_lfs, walks

MAIN = "main_data.hdf5"
COLUMNS = ("actions", "rewards", "terminations", "truncations")


class Rows(NamedTuple):
    """A block of an episode, as stored."""

    where: str  # file and episode, for messages
    first_row: int  # of the block, counted in the episode
    is_last: bool  # whether the block holds the episode's last move
    observations: np.ndarray  # [n, ...] before each move
    actions: np.ndarray  # [n]
    rewards: np.ndarray  # [n]
    terminations: np.ndarray  # [n]
    truncations: np.ndarray  # [n]


class Layout(Protocol):
    """A dataset's files."""

    @property
    def paths(self) -> Sequence[Path]:
        """Return the data files, for the history's header."""

    def episode(self, number: int) -> Iterator[Rows]:
        """Yield an episode in blocks; raise InputError with file and episode if it is incomplete."""


def open_layout(folder: Path, data_format: str, jpeg: bool, space: Mapping[str, Any]) -> Layout:
    """Return the files of a dataset of Minari's format `hdf5`, `arrow` or `parquet`."""
    pictures = _Pictures(tuple(space["shape"])) if jpeg else None
    if data_format == "hdf5":
        path = folder / MAIN
        if not path.is_file():
            raise InputError(f"{path}: missing; fetch the whole dataset")
        git_lfs.refuse_pointer(path)
        return _HDF5(path, pictures)
    if data_format in ("arrow", "parquet"):
        return _Arrow(folder, data_format, pictures, space)
    raise InputError(f"{folder}: data format {data_format!r}; expected hdf5, arrow or parquet")


@dataclass(frozen=True)
class _Pictures:
    """Decodes JPEG files of the observation space's shape."""

    shape: tuple[int, ...]

    def decode(self, stored: Sequence[bytes], where: str) -> np.ndarray:
        from PIL import Image

        height, width, *channels = self.shape
        mode = "RGB" if channels == [3] else "L"
        found = np.empty((len(stored), *self.shape), np.uint8)
        for row, data in enumerate(stored):
            try:
                picture = Image.open(io.BytesIO(data), formats=("JPEG",))
                size, is_mode = picture.size, picture.mode
                if size == (width, height) and is_mode == mode:
                    found[row] = np.asarray(picture).reshape(self.shape)
                    continue
            except (OSError, ValueError, Image.DecompressionBombError) as error:
                raise InputError(f"{where}: damaged JPEG ({error}); fetch it again") from error
            raise InputError(
                f"{where}: JPEG of {size[0]}x{size[1]} {is_mode}, expected {width}x{height} {mode}"
            )
        return found


class _HDF5:
    def __init__(self, path: Path, pictures: _Pictures | None) -> None:
        self.paths = (path,)
        self._path = path
        self._pictures = pictures
        try:
            self._h5py: Any = importlib.import_module("h5py")
        except ModuleNotFoundError as error:
            raise InputError(f"{path}: reading HDF5 needs the package h5py; pip install h5py") from error

    def episode(self, number: int) -> Iterator[Rows]:
        where = f"{self._path}: episode {number}"
        try:
            with self._h5py.File(self._path, "r") as file:
                columns = self._columns(file, f"episode_{number}", where)
                moves = _moves(where, **{name: len(column) for name, column in columns.items()})
                for start in range(0, moves, BLOCK_MOVES):
                    stop = min(moves, start + BLOCK_MOVES)
                    observations = columns["observations"][start:stop]
                    if self._pictures:
                        observations = self._pictures.decode([row.tobytes() for row in observations], where)
                    others = [np.asarray(columns[name][start:stop]) for name in COLUMNS]
                    yield Rows(where, start, stop == moves, observations, *others)
        except (OSError, RuntimeError, KeyError) as error:
            raise InputError(f"{where}: damaged HDF5 ({error}); fetch it again") from error

    def _columns(self, file: Any, group_name: str, where: str) -> dict[str, Any]:
        """Return the episode's h5py datasets by name."""
        found = {}
        for name in ("observations", *COLUMNS):
            column = file[group_name].get(name) if group_name in file else None
            if not isinstance(column, self._h5py.Dataset):
                raise InputError(f"{where}: no array {name}; fetch it again")
            found[name] = column
        return found


class _Arrow:
    """A folder for each episode, with a row for each observation; other columns' last row is padding."""

    def __init__(
        self, folder: Path, data_format: str, pictures: _Pictures | None, space: Mapping[str, Any]
    ) -> None:
        self._folder, self._format, self._pictures = folder, data_format, pictures
        self._shape = tuple(space.get("shape", ()))
        self.paths = walks.matching(folder, f"*/*.{data_format}")

    def episode(self, number: int) -> Iterator[Rows]:
        import pyarrow as pa
        import pyarrow.dataset

        folder = self._folder / str(number)
        where = f"{folder}: episode {number}"
        if not folder.is_dir():
            raise InputError(f"{where}: missing; fetch the whole dataset")
        paths = walks.matching(folder, f"*.{self._format}")
        for path in paths:
            git_lfs.refuse_pointer(path)
        try:
            dataset = pyarrow.dataset.dataset([str(path) for path in paths], format=self._format)
            for name in ("observations", *COLUMNS):
                if name not in dataset.schema.names:
                    raise InputError(f"{where}: no column {name}; fetch it again")
            rows = dataset.count_rows()
            moves = _moves(where, observations=rows, **dict.fromkeys(COLUMNS, rows - 1))
            start = 0
            for batch in dataset.to_batches(columns=["observations", *COLUMNS], batch_size=BLOCK_MOVES):
                n = min(len(batch), moves - start)
                if n > 0:
                    part = batch.slice(0, n)
                    others = [_numbers(part.column(name), where) for name in COLUMNS]
                    observations = self._observations(part.column("observations"), where)
                    yield Rows(where, start, start + n == moves, observations, *others)
                start += n
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{where}: damaged {self._format} ({error}); fetch it again") from error

    def _observations(self, column: Any, where: str) -> np.ndarray:
        if self._pictures:
            return self._pictures.decode(column.to_pylist(), where)
        if not self._shape:
            return _numbers(column, where)
        return _numbers(column.flatten(), where).reshape(len(column), *self._shape)


def _moves(where: str, observations: int, **lengths: int) -> int:
    """Return the number of moves T of an episode with T + 1 observations and T of everything else."""
    moves = observations - 1
    for name, length in lengths.items():
        if length != moves or moves < 1:
            raise InputError(
                f"{where}: {observations} observations and {length} {name}; expected one observation more "
                "than moves, and at least one move"
            )
    return moves


def _numbers(column: Any, where: str) -> np.ndarray:
    if column.null_count:
        raise InputError(f"{where}: {column.null_count} values are missing; fetch it again")
    found: np.ndarray = column.to_numpy(zero_copy_only=False)
    return found
