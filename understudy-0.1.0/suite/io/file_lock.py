"""A lock file: of several processes, one does a piece of work and the others wait for it.

The operating system keeps the lock, so that it ends with its holder, also on another machine that mounts the
same folder. A file system without locks is refused: a mere file in place of a lock would outlive a killed
holder, and nobody could tell it from that of a process at work on another machine.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from understudy.suite.errors import MachineError

WAIT_SECONDS = 0.5  # between two calls of `waiting`
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)  # from flock


@contextmanager
def held(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file at `path` during the block; wait while another process or thread holds it.

    The operating system releases the lock when the process ends, however it ends. The lock is not
    reentrant. The file exists only while the lock is held, and its parent folders are created.

    Args:
        path: the lock file.
        waiting: called every `WAIT_SECONDS` while another holder has the lock; what it raises ends the wait.

    Raises MachineError where the folder can't be written or its file system has no locks.
    """
    lock = _lock(path)
    while not _acquired(lock, path, WAIT_SECONDS):
        waiting()
    with _released(lock, path):
        yield


@contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock file at `path` during the block and yield true; yield false if another holder has it.

    Raises MachineError as `held`.
    """
    lock = _lock(path)
    if not _acquired(lock, path, 0):
        yield False
        return
    with _released(lock, path):
        yield True


def _lock(path: Path) -> filelock.BaseFileLock:
    """Return a lock that nobody holds; it refuses a file that its holder removed, and opens the new one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (PermissionError, FileNotFoundError) as error:
        raise _unwritable(path, error) from error
    except OSError as error:
        if error.errno == errno.EROFS:
            raise _unwritable(path, error) from error
        raise
    return filelock.FileLock(path, fallback_to_soft=False)


def _acquired(lock: filelock.BaseFileLock, path: Path, timeout: float) -> bool:
    """Take a lock; return whether it was free within `timeout` seconds."""
    try:
        lock.acquire(timeout=timeout)
    except filelock.Timeout:
        return False
    except OSError as error:
        if error.errno in NO_LOCKS:
            raise MachineError(
                f"{path.parent}: this file system has no file locks ({error.strerror}), which keep two "
                "processes from writing here; use a folder on another disk, or mount this one with locks "
                "(Lustre: -o flock; NFS: with its lock service)"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise _unwritable(path, error) from error
        raise
    return True


def _unwritable(path: Path, error: OSError) -> MachineError:
    return MachineError(
        f"{path.parent}: can't be written ({error.strerror}); allow it, or use another folder"
    )


@contextmanager
def _released(lock: filelock.BaseFileLock, path: Path) -> Iterator[None]:
    """Release a lock after the block and remove its file."""
    try:
        yield
    finally:
        with suppress(PermissionError):  # Windows removes no open file; there filelock does it on release
            path.unlink(missing_ok=True)
        lock.release()
