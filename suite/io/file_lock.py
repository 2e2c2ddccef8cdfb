"""A lock file: of several processes, one does a piece of work and the others wait for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

WAIT_SECONDS = 0.5  # between two calls of `waiting`


@contextmanager
def held(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file at `path` during the block; wait while another process or thread holds it.

    The operating system releases the lock when the process ends, however it ends. The lock is not
    reentrant. The file exists only while the lock is held, and its parent folders are created.

    Args:
        path: the lock file.
        waiting: called every `WAIT_SECONDS` while another holder has the lock; what it raises ends the wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)  # it refuses a file that a previous holder removed, and opens the new one
    while not lock.is_locked:
        try:
            lock.acquire(timeout=WAIT_SECONDS)
        except filelock.Timeout:
            waiting()
    with _released(lock, path):
        yield


@contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock file at `path` during the block and yield true; yield false if another holder has it."""
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        yield False
        return
    with _released(lock, path):
        yield True


@contextmanager
def _released(lock: filelock.BaseFileLock, path: Path) -> Iterator[None]:
    """Release a lock after the block and remove its file."""
    try:
        yield
    finally:
        with suppress(PermissionError):  # Windows removes no open file; there filelock does it on release
            path.unlink(missing_ok=True)
        lock.release()
