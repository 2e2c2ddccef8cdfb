"""Reads with bounds: of regular files only, and of no more bytes than a file of its kind may have.

Results, data and submissions come from others. Opening a pipe waits for whoever writes into it, a device has
no end, and a file of a few bytes on the disk may have terabytes of zeros. Links are followed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final

from understudy.suite.errors import InputError
from understudy.suite.io.readable import Readable

MAX_BYTES: Final[Mapping[str, int]] = MappingProxyType(  # of a file, by the end of its name
    {".json": 1 << 24, ".parquet": 1 << 28, ".safetensors": (1 << 31) + (1 << 20)}
)
MAX_OTHER_BYTES: Final = 1 << 26  # of text in other files: lists of hashes, TOML, CSV
NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)
_NO_FILE: Final = (
    errno.ELOOP,
    errno.ENXIO,
    errno.ENODEV,
)  # a link to itself, a socket, a device that is gone
_BINARY: Final = getattr(os, "O_BINARY", 0)  # Windows: no line ends are changed


def read(path: Readable) -> bytes:
    """Return a file's content; of a place in an archive, as the archive gives it.

    Raises:
        OSError: there is no such file, or it may not be read.
        InputError: it is a folder, a pipe or a device, or has more bytes than a file of its name may have.
    """
    if not isinstance(path, Path):
        return path.read_bytes()
    limit_bytes = MAX_BYTES.get(path.suffix, MAX_OTHER_BYTES)
    with opened(path, limit_bytes) as file:
        return content(file, path, limit_bytes)


def text(path: Readable) -> str:
    """Return a file's text, in UTF-8; raises as `read`, and InputError where it is not UTF-8."""
    try:
        return read(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: expected UTF-8, found another byte at {error.start}; save it so"
        ) from error


@contextmanager
def opened(path: Path, limit_bytes: int, flags: int = 0) -> Iterator[BufferedReader]:
    """Open a regular file of at most so many bytes; `flags` of `os.open` are added. Raises as `read`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | NO_WAIT | _BINARY | flags)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise InputError(f"{path}: expected a regular file, found none ({error.strerror})") from error
        raise
    try:
        _require(path, os.fstat(descriptor), limit_bytes)
    except BaseException:
        os.close(descriptor)
        raise
    with os.fdopen(descriptor, "rb") as file:
        yield file


def _require(path: Path, found: os.stat_result, limit_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder; name a file" if stat.S_ISDIR(found.st_mode) else "a device or pipe; move it away"
        raise InputError(f"{path}: expected a regular file, found {kind}")
    if found.st_size > limit_bytes:
        raise InputError(
            f"{path}: expected at most {limit_bytes:,} bytes, found {found.st_size:,}; fetch or make it again"
        )


def content(file: BinaryIO, path: Path, limit_bytes: int) -> bytes:
    """Return the bytes of an opened file; memory is taken for those that it has, not for those it may have.

    Raises InputError if it has grown beyond the limit since it was opened.
    """
    size_bytes = os.fstat(file.fileno()).st_size
    data = file.read(size_bytes + 1)
    if len(data) > size_bytes:  # it grew since
        data += file.read(limit_bytes + 1 - len(data))
    if len(data) > limit_bytes:
        raise InputError(f"{path}: expected at most {limit_bytes:,} bytes, found more; make it smaller")
    return data
