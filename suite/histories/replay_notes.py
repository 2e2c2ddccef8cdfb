"""Notes that runs were replayed without a difference, so that the same bytes need no second replay here.

A note is a SHA-256 over the content hash of a log and all that determines what its replay gives: the game's
fingerprint, this package's replaying code, Python, the machine, and every package that this one requires, by
version and files. Logs are hashed from their bytes whenever they are read, so a note says nothing about
another log. Notes are a cache in the user's folder, never part of a row. `docs/row-format.md` describes them.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

import understudy
from understudy.suite import games
from understudy.suite.errors import InputError, MachineError
from understudy.suite.histories import frame_cache
from understudy.suite.histories.history_format import History
from understudy.suite.io import file_lock, files

FILE: Final = "replayed.txt"  # in the cache's folder; a line a note, the oldest first
MAX_NOTES: Final = 100_000  # 6.5 MB; the oldest go
_LINE_BYTES: Final = 65
_NOTE: Final = re.compile(rb"[0-9a-f]{64}")
_WAITS: Final = 20  # for another process that writes notes, file_lock.WAIT_SECONDS each
_OWN_CODE: Final = ("games", "histories", "io", ".")  # folders of the suite with what a replay runs


class ReplayNotes:
    """The notes in one file. A file that cannot be read or written holds none, and that is no failure."""

    def __init__(self, path: Path | None, again: bool = False) -> None:
        """Name the file, if there can be one.

        Args:
            path: of the file.
            again: whether every run is to be replayed, whatever the notes say; they are brought up to date.
        """
        self._path, self._again = path, again

    def held(self, histories: Sequence[History]) -> list[bool]:
        """Return for each history whether it was replayed without a difference under the same conditions."""
        known = set() if self._again or self._path is None else set(_read(self._path))
        return [bool(known) and _note(history) in known for history in histories]

    def update(self, histories: Sequence[History], differences: Sequence[str | None]) -> None:
        """Note what a replay just found of each history: a difference from its log, or None."""
        found = {
            note: same
            for history, same in zip(histories, [each is None for each in differences], strict=True)
            if (note := _note(history)) is not None
        }
        try:
            if found and self._path is not None:
                _write(self._path, found)
        except (OSError, NotImplementedError, MachineError):  # a full or read-only disk, or one without locks
            return


def of_this_user(again: bool = False) -> ReplayNotes:
    """Return the notes in the user's cache, beside the frames; `again` as of `ReplayNotes`."""
    try:
        return ReplayNotes(frame_cache.folder() / FILE, again)
    except InputError:  # no home folder: whoever needs the frames names what to set
        return ReplayNotes(None, again)


def _note(history: History) -> bytes | None:
    """Return the note of a history, hex; None for a game that is not here, which has none."""
    try:
        fingerprint = games.load(history.header.game).fingerprint
    except InputError:
        return None
    conditions = {"fingerprint": dict(fingerprint), "software": software_sha256()}
    text = files.canonical_json({"history": history.content_sha256, **conditions})
    return files.text_sha256(text).encode()


@functools.cache
def software_sha256() -> str:
    """Return the SHA-256 of everything but game and log that a replay's result could depend on.

    Files of other packages are taken as their installer listed them, with its hashes, and not read again.
    """
    suite = Path(__file__).resolve().parents[1]
    sources = sorted(path for folder in _OWN_CODE for path in (suite / folder).glob("*.py"))
    return files.text_sha256(
        files.canonical_json(
            {
                "understudy": understudy.__version__,
                "sources": [[path.relative_to(suite).as_posix(), files.sha256(path)] for path in sources],
                "packages": {name: _installed(name) for name in _requirements()},
                "python": [platform.python_implementation(), platform.python_version()],
                "machine": [platform.system(), platform.machine()],
            }
        )
    )


def _requirements() -> list[str]:
    """Return the names of the packages that this one requires, without those of its extras."""
    try:
        stated = metadata.requires("understudy") or []
    except metadata.PackageNotFoundError:  # a checkout on the path, not installed
        stated = ["ale-py", "gymnasium", "minatar", "numpy"]
    names = (re.match(r"[A-Za-z0-9._-]+", text) for text in stated if "extra ==" not in text)
    return sorted({match[0] for match in names if match})


def _installed(name: str) -> list[str | None]:
    """Return a package's version and the SHA-256 of the list of its files; None for what is not known."""
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return [None, None]
    listed = [f"{path} {path.hash.value if path.hash else ''}" for path in distribution.files or ()]
    return [distribution.version, files.text_sha256("\n".join(listed)) if listed else None]


def _read(path: Path) -> list[bytes]:
    """Return the notes in a file, none if it is not one that only this user could have written."""
    data = read_own(path, MAX_NOTES * _LINE_BYTES)
    if data is None:
        return []
    return [line for line in data.split(b"\n") if _NOTE.fullmatch(line)]


def read_own(path: Path, limit_bytes: int = 1 << 28) -> bytes | None:
    """Return the content of a cached file; None for one that is longer, or not only this user's to write."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with open(os.open(path, flags), "rb") as file:
            if not _is_own(os.fstat(file.fileno())):
                return None
            data = file.read(limit_bytes + 1)
    except (OSError, ValueError):
        return None
    return data if len(data) <= limit_bytes else None


def _is_own(found: os.stat_result) -> bool:
    """Whether a file is a regular one that belongs to this user and that nobody else may write."""
    if not stat.S_ISREG(found.st_mode):
        return False
    return os.name == "nt" or (found.st_uid == os.getuid() and not found.st_mode & 0o022)


def _write(path: Path, found: Mapping[bytes, bool]) -> None:
    """Add the notes that hold and remove the others, atomically, keeping what other processes wrote."""
    with file_lock.held(path.with_suffix(".lock"), _patience()):
        kept = [note for note in _read(path) if found.get(note, True)]
        notes = [*dict.fromkeys([*kept, *(note for note, holds in found.items() if holds)])][-MAX_NOTES:]
        with files.written_atomically(path) as file:
            os.chmod(file.name, 0o600)
            file.write(b"".join(note + b"\n" for note in notes))


def _patience() -> Callable[[], None]:
    """Return what to call at each wait for the lock; it raises TimeoutError after a while."""
    left = _WAITS

    def waited() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise TimeoutError("another process holds the lock on the notes of replays")

    return waited
