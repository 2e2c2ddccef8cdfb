"""Files that are whole or absent: atomic writes, canonical JSON, hashes, locks."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from understudy.suite.errors import InputError

try:
    import fcntl
    import resource
except ImportError:  # Windows: processes side by side make the same file twice
    fcntl = resource = None  # type: ignore[assignment]

WAIT_SECONDS = 0.5  # between two looks at a lock
SPARE_FILES = 512  # that a process may have open besides


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a crash leaves the old one or the new one: temp file, sync, replace."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def size_bytes(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def drop_parts(folder: Path) -> None:
    """Remove what killed processes left of files that they wrote; call it where no other one writes."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON atomically; the same value gives the same bytes."""
    write_atomically(path, (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON; InputError in one line when it is missing or broken."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable JSON ({error}); fetch or make it again") from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_sha256(text: str) -> str:
    """Return the SHA-256 of a text in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def alone(lock: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock file, so that of processes side by side one makes something and the others find it.

    `waiting` is called again and again while another process holds the lock; what it raises is raised here.
    The file is there only as long as the lock is held.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with lock.open("w") as file:
            if not _locked(file):
                waiting()
                time.sleep(WAIT_SECONDS)
            elif _is_still(lock, file):
                try:
                    yield
                finally:
                    lock.unlink(missing_ok=True)
                return


def allow_open_files(count: int) -> None:
    """Let this process have so many files open beside what it has, as far as the machine allows it."""
    if resource is not None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = count + SPARE_FILES if hard == resource.RLIM_INFINITY else min(hard, count + SPARE_FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _locked(file: IO[str]) -> bool:
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _is_still(path: Path, file: IO[str]) -> bool:
    """Whether an open file is the one at a path: who held it before may have removed it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def write_columns(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as one safetensors file, atomically; the same arrays give the same bytes."""
    from safetensors.numpy import save

    write_atomically(path, save(dict(columns)))


def read_columns(path: Path) -> dict[str, np.ndarray]:
    """Read what `write_columns` wrote; InputError if the file is missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        columns: dict[str, np.ndarray] = load(path.read_bytes())
    except (FileNotFoundError, SafetensorError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({error}); make it again") from error
    return columns
