"""Parts: unfinished files beside the files that they become, and who may remove them.

A part's name holds 64 random bits and it is opened only if it is new, so no two writers share one, on
whatever machines or in whatever containers they run; process numbers may be equal there. A writer removes its
own part. What a killed one leaves is removed by the next holder of the lock under which files of that name
are written (`drop`), or, where there is no such lock, after a day without a write (`drop_old`). Others' stay.
"""

from __future__ import annotations

import fnmatch
import re
import secrets
import time
from collections.abc import Collection
from pathlib import Path

from understudy.suite.io import walks

ABANDONED_SECONDS = 86_400  # since the last write: its writer must have been killed
_PART = re.compile(r"\.(.+)\.[0-9a-f]{16}\.part", re.DOTALL)


def beside(path: Path) -> Path:
    """Return the path of a new part of the file or folder `path`, in the same folder."""
    return path.with_name(f".{path.name}.{token()}.part")


def token() -> str:
    """Return 64 random bits in hex, for a name that nobody else has."""
    return secrets.token_hex(8)


def drop(folder: Path, names: Collection[str]) -> None:
    """Remove the parts of files of these names; the caller holds the lock under which they are written.

    Args:
        folder: that the parts lie in; it need not exist.
        names: of the finished files; `*` stands for any characters.
    """
    for part in _parts(folder, names):
        part.unlink(missing_ok=True)


def drop_old(folder: Path, names: Collection[str]) -> None:
    """Remove the parts of files of these names that have not been written to for ABANDONED_SECONDS."""
    for part in _parts(folder, names):
        if is_abandoned(part):
            part.unlink(missing_ok=True)


def is_abandoned(path: Path) -> bool:
    """Whether a file, or a folder and all files below it, have not been written to for ABANDONED_SECONDS."""
    written = [_written(each) for each in (path, *walks.unfollowed(path))]
    return time.time() - max(written) > ABANDONED_SECONDS


def _parts(folder: Path, names: Collection[str]) -> list[Path]:
    matches = ((path, _PART.fullmatch(path.name)) for path in walks.matching(folder, ".*.part"))
    return [
        path
        for path, match in matches
        if match and any(fnmatch.fnmatchcase(match[1], name) for name in names)
    ]


def _written(path: Path) -> float:
    """Return when a file was written, in seconds since the epoch; now if it was removed meanwhile."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return time.time()
