"""The history file, format 1: a Parquet file with a row per move, a header in its metadata, two hashes.

`content_sha256` names the content, independent of compression and writer. The file hash covers every byte of
the file, its own digits taken as zeros, so that no altered byte reaches the Parquet parser.
`docs/history-format.md` describes the file for other readers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from understudy.suite import json_text, stored_names
from understudy.suite.errors import InputError
from understudy.suite.io import bounded, files, git_lfs
from understudy.suite.io.readable import Readable

FORMAT = 1
MAX_MOVES = 100_000_000  # of a run that is read; the longest published ones, DQN Replay's, have 50 million
COLUMNS = {"action": "u1", "reward": "<f4", "terminated": "?", "truncated": "?", "explored": "?"}
TEACHER = "teacher"  # player.kind of a teacher's run
_HEADER_KEY = "understudy"
_FILE_HASH_KEY = "understudy_file_sha256"
_NO_HASH = "0" * 64
_FILE_HASH = re.compile(_FILE_HASH_KEY.encode() + rb"\x18\x40([0-9a-f]{64})")  # Thrift: key, string of 64


@dataclass(frozen=True)
class Segment:
    """A slice of a run that replays on its own, because the emulator was reseeded before its first move."""

    first_move: int  # of the segment, counted in the run
    length: int  # moves, at least 1
    seed: int | None  # of the emulator, in [0, 2^31); None if unknown: then the segment can't be replayed
    crc32: int  # of the newest frames before each of its moves, in order

    def __post_init__(self) -> None:
        for name in ("first_move", "length", "seed", "crc32"):
            value = getattr(self, name)
            if type(value) is not int and not (name == "seed" and value is None):
                raise TypeError(f"segment: {name}: expected a whole number, found {value!r:.80}")
        for name, bound in (("seed", 1 << 31), ("crc32", 1 << 32)):
            if not 0 <= (getattr(self, name) or 0) < bound:
                raise ValueError(f"segment: {name}: expected [0, {bound}), found {getattr(self, name)}")


@dataclass(frozen=True)
class Header:
    """The metadata of a history."""

    game: str  # "family/variant"
    fingerprint: Mapping[str, Any]  # of the game: versions, ROM hash, every argument
    player: Mapping[str, Any]  # the teacher's settings, or the submission's name and hash
    run: Mapping[str, Any]  # seed, kind, exploration, and what else determines the run
    segments: tuple[Segment, ...]  # contiguous from move 0 to the end; none in a run without moves
    versions: Mapping[str, str]  # of the packages that played the run
    format: int = FORMAT

    def __post_init__(self) -> None:
        if not isinstance(self.game, str):
            raise TypeError(f"header: game: expected a text, found {self.game!r:.80}")
        for name in ("fingerprint", "player", "run", "versions"):
            if not isinstance(getattr(self, name), Mapping):
                raise TypeError(f"header: {name}: expected an object, found {getattr(self, name)!r:.80}")


@dataclass(frozen=True)
class History:
    """The log of one run; each array has one entry per move."""

    header: Header
    action: np.ndarray = field(repr=False)  # [n] uint8, as executed
    reward: np.ndarray = field(repr=False)  # [n] float32, raw points
    terminated: np.ndarray = field(repr=False)  # [n] bool, the game ended the episode
    truncated: np.ndarray = field(repr=False)  # [n] bool, the episode cap ended the episode
    explored: np.ndarray = field(repr=False)  # [n] bool, exploration replaced the player's action

    def __post_init__(self) -> None:
        for name, dtype in COLUMNS.items():
            column = getattr(self, name)
            if column.shape != self.action.shape or column.ndim != 1 or column.dtype != np.dtype(dtype):
                raise ValueError(
                    f"column {name}: expected {dtype} [{len(self.action)}], "
                    f"found {column.dtype} {list(column.shape)}"
                )
        finite = np.isfinite(self.reward)
        if not finite.all():
            move = int(finite.argmin())
            raise ValueError(
                f"column reward: expected finite numbers, found {self.reward[move]} at move {move}"
            )
        next_move = 0
        for segment in self.header.segments:
            if segment.first_move != next_move:
                raise ValueError(f"segment at move {segment.first_move}: expected it at move {next_move}")
            if segment.length < 1:
                raise ValueError(
                    f"segment at move {next_move}: expected at least 1 move, found {segment.length}"
                )
            next_move += segment.length
        if next_move != self.num_moves:
            raise ValueError(f"segments cover {next_move} moves, the columns hold {self.num_moves}")

    @property
    def num_moves(self) -> int:
        """Length of the run in moves."""
        return len(self.action)

    @property
    def has_seeds(self) -> bool:
        """Whether the run can be replayed; an imported run can't."""
        return all(segment.seed is not None for segment in self.header.segments)

    @cached_property
    def ended(self) -> np.ndarray:
        """[n] bool, whether the episode ended with this move, terminated or truncated."""
        ended: np.ndarray = self.terminated | self.truncated
        return ended

    @cached_property
    def first(self) -> np.ndarray:
        """[n] bool, whether the move is the first of an episode."""
        return np.concatenate([np.ones(min(1, self.num_moves), bool), self.ended[:-1]])

    @cached_property
    def content_sha256(self) -> str:
        """The content hash: SHA-256 of the canonical header and the columns' bytes."""
        digest = hashlib.sha256(files.canonical_json(header_fields(self.header)).encode())
        for name, dtype in COLUMNS.items():
            digest.update(f"\n{name} {dtype} {self.num_moves}\n".encode())
            digest.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return digest.hexdigest()


def header_fields(header: Header) -> dict[str, Any]:
    """Return a header as plain JSON values, under the keys of format 1."""
    values = dict(vars(header))
    values["segments"] = [dict(vars(segment)) for segment in header.segments]
    values[stored_names.HISTORY_RUN] = values.pop("run")
    return values


def header_of(fields: Mapping[str, Any], segments: tuple[Segment, ...]) -> Header:
    """Return a header with these segments and fields, whose keys are those of format 1.

    Raises KeyError or TypeError for a missing or unknown key.
    """
    others = {key: value for key, value in fields.items() if key != stored_names.HISTORY_RUN}
    return Header(run=fields[stored_names.HISTORY_RUN], segments=segments, **others)


def write(path: Path, history: History) -> str:
    """Write a history as one Parquet file, atomically; return its content hash."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    header = {**header_fields(history.header), "content_sha256": history.content_sha256}
    table = pa.table({name: getattr(history, name) for name in COLUMNS})
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        compression_level=12,
        write_page_checksum=True,
        store_schema=False,  # the schema would repeat the metadata
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_HEADER_KEY: files.canonical_json(header), _FILE_HASH_KEY: _NO_HASH})
    blank = sink.getvalue().to_pybytes()
    match = _only_match(blank)
    assert match is not None, "pyarrow changed how it writes metadata"
    file_hash = hashlib.sha256(blank).hexdigest().encode()
    files.write_atomically(path, blank[: match.start(1)] + file_hash + blank[match.end(1) :])
    return history.content_sha256


def read(path: Readable | str, most_moves: int = MAX_MOVES) -> History:
    """Read a history file and check both hashes.

    Args:
        path: the file.
        most_moves: a file with more is refused before they are read: a few bytes can stand for many moves.

    Raises:
        InputError: there is no such file, or it is truncated, altered, of another format, or not a history.
    """
    path = Path(path) if isinstance(path, str) else path
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = checked_bytes(path)
    try:
        parquet = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        header = json_text.values(parquet.schema_arrow.metadata[_HEADER_KEY.encode()])
        if header["format"] != FORMAT:
            raise InputError(
                f"{path}: history format {header['format']!r:.80}, this version reads {FORMAT}; update "
                "understudy"
            )
        _require_columns(parquet, most_moves)
        table = parquet.read(use_threads=False)  # Arrow's threads can abort a process while it exits
        claimed = str(header.pop("content_sha256"))
        segments = tuple(Segment(**segment) for segment in header.pop("segments"))
        columns = {name: _as_numpy(table.column(name)) for name in COLUMNS}
        history = History(header_of(header, segments), **columns)
    except (KeyError, TypeError, ValueError, OSError, pa.ArrowException) as error:  # of Parquet: OSError
        raise InputError(
            f"{path}: not a history of format {FORMAT} ({type(error).__name__}: {error!s:.300}); compare its "
            "writer with docs/history-format.md"
        ) from error
    if history.content_sha256 != claimed:
        raise InputError(
            f"{path}: content SHA-256 is {history.content_sha256[:12]}, its header says {claimed[:12]}; "
            "the file was altered: fetch it again"
        )
    return history


def checked_bytes(path: Readable) -> bytes:
    """Return a history file's bytes after checking its file hash; raise InputError if it doesn't match."""
    try:
        data = bounded.read(path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError(f"{path}: no such history file") from error
    git_lfs.refuse_pointer_bytes(data, path)
    if not data.startswith(b"PAR1"):
        raise InputError(f"{path}: expected a Parquet file, found {data[:4]!r}; is it a history?")
    if not data.endswith(b"PAR1"):
        raise InputError(f"{path}: truncated at byte {len(data)}, no Parquet footer; fetch it again")
    match = _only_match(data)
    if match is None:
        raise InputError(f"{path}: no understudy header found; not a history, or altered: fetch it again")
    blank = data[: match.start(1)] + _NO_HASH.encode() + data[match.end(1) :]
    found = hashlib.sha256(blank).hexdigest()
    if found != match[1].decode():
        raise InputError(
            f"{path}: file SHA-256 is {found[:12]}, its footer says {match[1].decode()[:12]}; "
            "the file was altered: fetch it again"
        )
    return data


def _require_columns(parquet: Any, most_moves: int) -> None:
    """Raise TypeError or ValueError unless a Parquet file's columns are a history's, before any is read.

    Its footer says how many rows there are in the file, in each of its groups and in each column of these;
    which of them is read depends on the reader.
    """
    import pyarrow as pa

    expected = {name: pa.from_numpy_dtype(np.dtype(dtype)) for name, dtype in COLUMNS.items()}
    found = {field.name: field.type for field in parquet.schema_arrow}
    for name in [*expected, *found]:
        if found.get(name) != expected.get(name):
            raise TypeError(
                f"column {name[:80]}: expected {expected.get(name, 'none')}, found {found.get(name, 'none')}"
            )
    if len(parquet.schema_arrow.names) != len(expected):
        raise TypeError(f"expected each column once, found {len(parquet.schema_arrow.names)}")
    footer = parquet.metadata
    groups = [footer.row_group(index) for index in range(footer.num_row_groups)]
    by_column = [
        sum(group.column(index).num_values for group in groups) for index in range(footer.num_columns)
    ]
    counts = {footer.num_rows, sum(group.num_rows for group in groups), *by_column}
    if len(counts) > 1 or not 0 <= footer.num_rows <= most_moves:
        claimed = " or ".join(f"{count:,}" for count in sorted(counts))
        raise ValueError(f"expected at most {most_moves:,} moves, found {claimed}")


def _as_numpy(column: Any) -> np.ndarray:
    """Return a pyarrow.ChunkedArray as numpy without importing pandas; raise TypeError for nulls."""
    import pyarrow as pa

    if column.null_count:
        raise TypeError(f"a column with {column.null_count} nulls, expected none")
    array = column.combine_chunks()
    if array.type == pa.bool_():  # a bit each, the first of a byte is the lowest
        bits = np.frombuffer(array.buffers()[1] or b"", np.uint8)
        end = array.offset + len(array)
        return np.unpackbits(bits, count=end, bitorder="little")[array.offset :].view(np.bool_)
    return np.from_dlpack(array)


def _only_match(data: bytes) -> re.Match[bytes] | None:
    """Return the match of the file hash in the footer, if there is exactly one."""
    footer_start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    matches = list(_FILE_HASH.finditer(data, max(0, footer_start)))
    return matches[0] if len(matches) == 1 else None
