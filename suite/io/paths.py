"""Paths that a user names in an option or an environment variable: `~` expanded, names checked."""

from __future__ import annotations

from pathlib import Path

from understudy.suite.errors import InputError


def expanded(text: str, variable: str) -> Path:
    """Return a path with `~` or `~user` at its start replaced by that home folder.

    Raises InputError if this machine knows no such home folder; its message says to set `variable`.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"{variable}: expected a folder, found {text}, whose home folder this machine doesn't know; "
            f"set {variable} to an absolute path"
        ) from error


def require_utf8(path: Path, variable: str) -> None:
    """Raise InputError if a path's bytes are not UTF-8, for libraries that can't open such a file."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{path}: expected a folder whose name is UTF-8, found bytes that are not; "
            f"set {variable} to another folder"
        ) from error
