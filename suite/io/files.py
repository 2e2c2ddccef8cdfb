"""Files: atomic writes, canonical JSON, safetensors, hashes, the limit on open files."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from understudy.suite import json_text
from understudy.suite.errors import InputError
from understudy.suite.io import bounded, git_lfs, parts, tensor_files, walks
from understudy.suite.io.readable import Readable

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

SPARE_FILES = 512  # open files allowed for everything else in the process


def canonical_json(value: Any) -> str:
    """Return a value's canonical JSON: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file through a synced temporary one, so that a crash leaves either the old or the new file."""
    with written_atomically(path) as file:
        file.write(data)


@contextmanager
def written_atomically(path: Path) -> Iterator[BinaryIO]:
    """Yield a temporary file that takes the place of `path`, synced, unless the block raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = parts.beside(path)
    opened = part.open("xb")  # it is new, so it is removed here and by nobody else
    try:
        with opened as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def size_bytes(folder: Path) -> int:
    """Return the total size of all files below a folder; a link counts as its own few bytes."""
    sizes = 0
    for path in walks.unfollowed(folder):
        with suppress(FileNotFoundError):  # removed since it was listed
            sizes += path.lstat().st_size
    return sizes


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; the same value gives the same bytes."""
    write_atomically(path, (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Readable) -> Any:
    """Read JSON; raise InputError if the file is missing, may not be read, or is not valid JSON."""
    try:
        data = bounded.read(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except PermissionError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return json_text.values(data)
    except ValueError as error:
        git_lfs.refuse_pointer_bytes(data, path)
        raise InputError(f"{path}: not readable JSON ({error}); fetch or make it again") from error


def sha256(path: Readable) -> str:
    """Return the SHA-256 of a file's bytes in hex."""
    if not isinstance(path, Path):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    with bounded.opened(path, sys.maxsize) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_sha256(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8 bytes in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def allow_open_files(count: int) -> None:
    """Raise this process's limit on open files by `count` and a reserve, as far as the hard limit allows."""
    if resource is not None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = count + SPARE_FILES if hard == resource.RLIM_INFINITY else min(hard, count + SPARE_FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def write_columns(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as one safetensors file, atomically; the same arrays give the same bytes."""
    from safetensors.numpy import save

    write_atomically(path, save(dict(columns)))


def read_columns(path: Readable) -> dict[str, np.ndarray]:
    """Read the arrays that `write_columns` wrote; raise InputError if the file is missing or damaged."""
    try:
        data = bounded.read(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: not a whole safetensors file ({error.strerror}); make it again") from error
    return tensor_files.arrays(data, path)
