"""The cache of frame stores: where it is, which stores are in use, which are evicted when it is full."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from understudy.suite.errors import InputError, MachineError
from understudy.suite.histories.history_format import FORMAT, History
from understudy.suite.io import parts, paths, walks

try:
    import fcntl
except ImportError:  # Windows, which doesn't delete open files
    fcntl = None  # type: ignore[assignment]

FOLDER_VARIABLE = "UNDERSTUDY_CACHE"
LIMIT_VARIABLE = "UNDERSTUDY_CACHE_GB"
DEFAULT_LIMIT_GB = 50.0
IMPORTED = "imported"  # marks a store whose frames can't be rebuilt by replay
_IN_USE = ".in-use"
_STORES = "frames"  # in a cache
HELD = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK)  # errors of a lock that another process has
_STORE = re.compile(r"[0-9a-f]{64}-[0-9]+")
_IMPORT = re.compile(r"\.import-[0-9a-f]{16}")
_FILES = ("segment-*.b2frame", "recomputed-*.safetensors")  # of a store


def folder() -> Path:
    """Return the cache's folder: UNDERSTUDY_CACHE, or `understudy` in the user's cache folder.

    Raises InputError if the home folder that it is in is unknown.
    """
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return paths.expanded(chosen, FOLDER_VARIABLE)
    shared = os.environ.get("XDG_CACHE_HOME")
    if shared:
        return paths.expanded(shared, "XDG_CACHE_HOME", instead=FOLDER_VARIABLE) / "understudy"
    home = os.path.expanduser("~")
    if home == "~":
        raise InputError(
            "expected a home folder, in which frames are kept, found none: HOME is not set; set "
            f"{FOLDER_VARIABLE} to an absolute path"
        )
    return Path(home) / ".cache" / "understudy"


def store_folder(cache: Path, history: History) -> Path:
    """Return the folder of a history's frames in a cache; it need not exist.

    Raises InputError if the cache's name isn't UTF-8: blosc2 opens no such file.
    """
    paths.require_utf8(cache, FOLDER_VARIABLE)
    return cache / _STORES / f"{history.content_sha256}-{FORMAT}"


def import_folder(cache: Path) -> Path:
    """Return a folder of nobody else's in which a run's frames are imported; abandoned ones are removed."""
    for old in walks.matching(cache / _STORES, ".import-*"):
        if _IMPORT.fullmatch(old.name) and parts.is_abandoned(old):
            shutil.rmtree(old, ignore_errors=True)
    return cache / _STORES / f".import-{parts.token()}"


def make_folder(path: Path) -> None:
    """Create a folder in a cache.

    Raises InputError as `store_folder`, and MachineError, which names the variable to set, if that fails.
    """
    paths.require_utf8(path, FOLDER_VARIABLE)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(path, error) from error


def limit_bytes() -> float:
    """Return the size limit of the frames in bytes: UNDERSTUDY_CACHE_GB in 10^9 bytes, 50 if unset.

    Raises InputError if the variable isn't a positive number.
    """
    text = os.environ.get(LIMIT_VARIABLE) or str(DEFAULT_LIMIT_GB)
    try:
        limit = float(text) * 1e9
    except ValueError:
        limit = 0.0
    if not limit > 0:
        raise InputError(f"{LIMIT_VARIABLE}: expected a size in GB above 0, e.g. 50; found {text!r}")
    return limit


class Hold:
    """Keeps a store from being evicted, by this process or others, while the object is referenced."""

    def __init__(self, store: Path) -> None:
        """Create the store's folder if it doesn't exist, and take a shared lock in it."""
        self._file = _opened(store)
        os.utime(store / _IN_USE)  # the time of the last use


def evict(cache: Path, limit: float) -> list[Path]:
    """Delete the least recently used stores until the rest is within `limit` bytes; return the deleted ones.

    Stores that are in use or imported stay, so the limit may be exceeded.
    """
    stores = _stores(cache)
    excess = sum(store.size_bytes for store in stores) - limit
    deleted = []
    for store in sorted(stores, key=lambda store: store.used):
        if excess <= 0:
            break
        if not (store.folder / IMPORTED).exists() and _deleted(store.folder):
            deleted.append(store.folder)
            excess -= store.size_bytes
    return deleted


def drop_abandoned(store: Path) -> None:
    """Delete the unfinished files of killed processes in a store."""
    parts.drop_old(store, _FILES)


def remove(cache: Path) -> None:
    """Delete a cache's stores that nobody uses, and the cache if nothing else is in it."""
    for store in _stores(cache):
        _deleted(store.folder)
    for folder in (cache / _STORES, cache):
        with contextlib.suppress(OSError):  # it holds something else
            folder.rmdir()


@dataclass(frozen=True)
class _Store:
    """One run's frames on disk."""

    folder: Path
    size_bytes: int
    used: float  # seconds since the epoch


def _stores(cache: Path) -> list[_Store]:
    found = []
    for path in walks.folders(cache / _STORES):
        if not _STORE.fullmatch(path.name):
            continue  # not ours
        with contextlib.suppress(FileNotFoundError):  # deleted by another process
            sizes = [each.lstat().st_size for each in walks.unfollowed(path)]
            marker = path / _IN_USE
            used = marker.stat().st_mtime if marker.exists() else path.stat().st_mtime
            found.append(_Store(path, sum(sizes), used))
    return found


def _opened(store: Path) -> IO[bytes]:
    """Return the open and locked marker file of a store, created if need be."""
    for _ in range(100):
        try:
            store.mkdir(parents=True, exist_ok=True)
            file = (store / _IN_USE).open("a+b")  # over NFS a shared lock needs a file that may be read
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_SH)
            if os.path.samestat(os.fstat(file.fileno()), (store / _IN_USE).stat()):
                return file
        except FileNotFoundError:  # evicted in between
            continue
        except OSError as error:
            raise _unusable(store, error) from error
    raise MachineError(
        f"{store}: is deleted repeatedly; do two programs share a cache whose size limit is too small?"
    )


def _unusable(path: Path, error: OSError) -> MachineError:
    return MachineError(f"{path}: the frame store can't be used ({error}); set {FOLDER_VARIABLE}")


def _deleted(store: Path) -> bool:
    """Delete a store unless it is in use or belongs to another user; return whether it was deleted."""
    with contextlib.suppress(FileNotFoundError, PermissionError), (store / _IN_USE).open("a+b") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in HELD:
                    return False
                raise _unusable(store, error) from error
        shutil.rmtree(store, ignore_errors=True)
    return not store.exists()
