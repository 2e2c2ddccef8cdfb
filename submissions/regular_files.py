"""Reads untrusted files: regular files only, no links, no more bytes than allowed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from understudy.suite.errors import InputError

NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # opening a pipe without a writer would block forever
CHUNK_BYTES = 1 << 20


def read(path: Path, limit_bytes: int) -> bytes:
    """Return a regular file's bytes; InputError if it is missing, a link, no regular file, or too large."""
    with _opened(path, limit_bytes) as file:
        data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:  # it grew since it was opened
        raise InputError(f"{path}: expected at most {limit_bytes:,} bytes, found more; make it smaller")
    return data


def sha256(path: Path, limit_bytes: int) -> str:
    """Return the SHA-256 of a regular file in hex; InputError as `read`."""
    digest = hashlib.sha256()
    with _opened(path, limit_bytes) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def require_folder(path: Path) -> None:
    """Raise InputError unless `path` is a folder and not a link to one."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path}: expected a folder, found nothing there") from error
    if not stat.S_ISDIR(mode):
        raise InputError(f"{path}: expected a folder, found {_kind(mode)}")


@contextmanager
def _opened(path: Path, limit_bytes: int) -> Iterator[BinaryIO]:
    try:
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode):
            raise InputError(f"{path}: expected a regular file, found {_kind(mode)}")
        descriptor = os.open(path, os.O_RDONLY | NO_FOLLOW | NO_WAIT)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path}: expected a file, found nothing there") from error
    with os.fdopen(descriptor, "rb") as file:
        size_bytes = os.fstat(descriptor).st_size
        if size_bytes > limit_bytes:
            raise InputError(f"{path}: expected at most {limit_bytes:,} bytes, found {size_bytes:,}")
        yield file


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link; copy its target there instead"
    return "a folder" if stat.S_ISDIR(mode) else "a file" if stat.S_ISREG(mode) else "a device or pipe"
