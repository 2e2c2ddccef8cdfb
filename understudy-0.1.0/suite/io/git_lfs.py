"""Git LFS pointers: the small texts that a clone without git-lfs holds in place of large files.

Source: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

from __future__ import annotations

from pathlib import Path

from understudy.suite.errors import InputError

SIGNATURE = b"version https://git-lfs.github.com/spec/"  # the first line, before the version's number


def refuse_pointer(path: Path) -> None:
    """Raise InputError if a file is a pointer; a file that can't be read passes, its reader reports it."""
    try:
        with path.open("rb") as file:
            start = file.read(len(SIGNATURE))
    except OSError:
        return
    refuse_pointer_bytes(start, path)


def refuse_pointer_bytes(data: bytes, where: object) -> None:
    """Raise InputError if a file's bytes are a pointer's; `where` begins its message."""
    if data.startswith(SIGNATURE):
        raise InputError(f"{where}: a Git LFS pointer, not the file: run git lfs pull")
