"""Paths that a user names, in an argument or an environment variable: expanded and checked here."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from understudy.suite.errors import InputError


def from_user(text: str) -> str:
    """Return a path's text with `~` or `~user` at its start replaced by that home folder.

    `./~name` is a file of that name. Raises InputError for an empty text, for one with a NUL character, and
    if this machine knows no such home folder.
    """
    if not text.strip():
        raise InputError(f"expected a path, found {'nothing' if not text else 'only spaces'}; name one")
    if "\0" in text:
        raise InputError(f"expected a path, found a NUL character in {text!r}; no file's name has one")
    if not text.startswith("~"):
        return text
    expanded = os.path.expanduser(text)
    own, _, _ = text.partition("/")
    if expanded == text or (own == "~" and not os.environ.get("HOME", "unset")):
        raise InputError(
            f"expected a path, found {text}, whose home folder this machine doesn't know; "
            "give an absolute path, or ./~... for a file of that name"
        )
    return expanded


def folder(text: str) -> Path:
    """Return a path of a folder, which need not exist; InputError as `place`, or if it is something else."""
    path = place(text)
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: expected a folder, found a file; name a folder")
    return path


def file(text: str) -> Path:
    """Return a path of a file, which need not exist; InputError as `place`, or if it is a folder."""
    path = place(text)
    if path.is_dir():
        raise InputError(f"{path}: expected a file, found a folder; name a file")
    return path


def place(text: str) -> Path:
    """Return a path of a file or folder, which need not exist; InputError as `from_user`, or if none can be.

    None can be below a file, at the end of a link to nothing, or under too long a name.
    """
    path = Path(from_user(text))
    try:
        path.stat()
    except NotADirectoryError as error:
        raise InputError(f"{path}: lies below a file; name another place") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(f"{str(path)[:80]}...: too long a name for this file system") from error
        if error.errno in (errno.ENOENT, errno.ELOOP) and path.is_symlink():
            found = f"a link to {os.readlink(path)}, which is not there"
            raise InputError(f"{path}: expected a file or folder, found {found}; restore that") from error
    return path


def expanded(text: str, variable: str, instead: str | None = None) -> Path:
    """Return the path in an environment variable, which names it in messages; InputError as `from_user`.

    `instead` is another variable that a message tells to set.
    """
    try:
        return Path(from_user(text))
    except InputError as error:
        raise InputError(f"{variable}: {error}; set {instead or variable} to an absolute path") from error


def require_utf8(path: Path, variable: str) -> None:
    """Raise InputError if a path's bytes are not UTF-8, for libraries that can't open such a file."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{path}: expected a folder whose name is UTF-8, found bytes that are not; "
            f"set {variable} to another folder"
        ) from error
