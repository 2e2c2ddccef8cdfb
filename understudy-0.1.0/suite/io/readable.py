"""What a reader of a file needs to know of it: its bytes and its name, wherever it is stored."""

from __future__ import annotations

import os
from collections.abc import Hashable
from typing import Protocol, Self


class Readable(Protocol):
    """A file or folder: a `pathlib.Path`, or a place in a row's archive. `str` names it in messages."""

    @property
    def name(self) -> str:
        """The last part of its path."""

    @property
    def parent(self) -> Self:
        """The folder that it lies in."""

    def __truediv__(self, name: str, /) -> Self:
        """Return the file or folder of this name in the folder."""

    def exists(self) -> bool:
        """Whether there is such a file."""

    def read_bytes(self) -> bytes:
        """Return a file's content; raises OSError or InputError if it cannot be read."""


class StoredPath(Readable, Hashable, Protocol):
    """A file or folder whose changes are seen: a `pathlib.Path`, or a place in an archive of runs."""

    def stat(self) -> os.stat_result:
        """Return the state of the file that holds it; OSError if there is none."""
