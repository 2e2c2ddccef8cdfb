"""Walks: the files of a folder and of the folders in it, none of them skipped in silence.

One rule for links: a walk follows them, as opening a file does, because data and results are often kept on
another disk and linked to. So a link to nothing is an error (that disk is not there), as are a link that
leads around in a circle and a folder that may not be listed; `pathlib` passes over all three without a word.
A hidden link to nothing is an editor's lock and counts as a file.

The exception is a folder that strangers write, a submission: `unfollowed` gives each link itself and leads
nowhere out of the folder.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from understudy.suite.errors import InputError


def refuse_dangling(link: Path) -> None:
    """Raise InputError for a link to nothing."""
    raise InputError(
        f"{link}: a link to {os.readlink(link)}, which is not there; restore that, or remove the link"
    )


def files(folder: Path, dangling: Callable[[Path], None] = refuse_dangling) -> list[Path]:
    """Return everything below a folder but folders, sorted; nothing if there is no such folder.

    Args:
        folder: to walk; links in it are followed.
        dangling: called for each link to nothing that is not hidden.

    Raises InputError for a folder that may not be listed and for a link to a folder around it, and what
    `dangling` raises.
    """
    return sorted(_below(folder, (), dangling))


def unfollowed(folder: Path) -> list[Path]:
    """Return everything below a folder but folders, links themselves, sorted; InputError as `files`."""
    found = []
    for path in _listed(folder):
        mode = _mode(path, follow=False)
        if mode is not None:
            found += unfollowed(path) if stat.S_ISDIR(mode) else [path]
    return sorted(found)


def matching(folder: Path, pattern: str) -> list[Path]:
    """Return what matches a pattern below a folder, sorted; links to nothing too, which their readers report.

    Args:
        folder: to look in; it need not exist.
        pattern: of the relative path; `*` stands for any characters but `/`, and not for a dot in front.

    Raises InputError for a folder in between that may not be read, or that is a link to nothing.
    """
    *folders, last = pattern.split("/")
    found = [folder]
    for part in folders:
        found = [path for each in found for path in _named(each, part) if _is_folder(path)]
    return sorted(path for each in found for path in _named(each, last))


def folders(folder: Path) -> list[Path]:
    """Return the folders in a folder that are not hidden, sorted; raises as `matching`."""
    return sorted(path for path in _named(folder, "*") if _is_folder(path))


def is_file(path: Path) -> bool:
    """Whether there is a file, or a link to one; InputError for a link to nothing, or if not to be seen."""
    mode = _mode(path)
    if mode is None and _mode(path, follow=False) is not None:
        refuse_dangling(path)
    return mode is not None and stat.S_ISREG(mode)


def is_there(path: Path) -> bool:
    """Whether there is a file or folder, or a link to one; InputError if it may not be seen."""
    return _mode(path) is not None


def is_empty(place: Path) -> bool:
    """Whether there is nothing at a path, or a folder without anything in it; InputError as `is_there`."""
    return not is_there(place) or (_is_folder(place) and not _listed(place))


def _below(
    folder: Path, around: tuple[tuple[int, int], ...], dangling: Callable[[Path], None]
) -> Iterator[Path]:
    """Yield the files below a folder; `around` are device and inode of the folders that it lies in."""
    try:
        own = folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    if (own.st_dev, own.st_ino) in around:
        raise InputError(f"{folder}: a link to a folder that it lies in, so it has no end; remove the link")
    for path in _listed(folder):
        mode = _mode(path)
        if mode is not None and stat.S_ISDIR(mode):
            yield from _below(path, (*around, (own.st_dev, own.st_ino)), dangling)
        elif mode is not None:
            yield path
        elif path.is_symlink():  # else it was removed since it was listed
            if not path.name.startswith("."):
                dangling(path)
            yield path


def _listed(folder: Path) -> list[Path]:
    """Return what lies in a folder, by name, whatever order its file system has; nothing if it is none."""
    try:
        return [folder / name for name in sorted(os.listdir(folder))]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as error:
        raise InputError(
            f"{folder}: may not be listed ({error.strerror}); allow it, or move it away"
        ) from error


def _named(folder: Path, part: str) -> list[Path]:
    """Return what in a folder matches one part of a pattern."""
    if "*" not in part:
        return [folder / part] if _mode(folder / part, follow=False) is not None else []
    hidden = part.startswith(".")
    return [
        path
        for path in _listed(folder)
        if path.name.startswith(".") == hidden and fnmatch.fnmatchcase(path.name, part)
    ]


def _is_folder(path: Path) -> bool:
    mode = _mode(path)
    if mode is None and path.is_symlink():
        refuse_dangling(path)
    return mode is not None and stat.S_ISDIR(mode)


def _mode(path: Path, follow: bool = True) -> int | None:
    """Return a file's type and permissions; None if nothing is there, also at the end of a link."""
    try:
        return path.stat(follow_symlinks=follow).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise InputError(f"{path}: may not be read ({error.strerror}); allow it, or move it away") from error
    except OSError:
        if path.is_symlink():  # links that lead to each other
            return None
        raise
