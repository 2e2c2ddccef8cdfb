"""The files of a row's runs, read alike from the tree in which they are played and from `runs.zip`.

While a row is played, its runs are files below its folder; at rest they are in one archive. A row may have
both: a process may end at any moment while it packs or unpacks. Then a file of the tree counts, and one that
is only in the archive counts too. This is right because a file of the tree is never older than the same file
of the archive, and because the archive goes before runs are forgotten.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from understudy.suite.errors import InputError
from understudy.suite.harness import row_archive
from understudy.suite.harness.row_archive import ARCHIVE
from understudy.suite.io import bounded, walks
from understudy.suite.io.archives import Member


@dataclass(frozen=True, order=True)
class RowPath:
    """A file or folder of a row's runs, wherever it is stored; implements `io.readable.Readable`."""

    row: Path  # the row's folder
    inner: PurePosixPath  # its place in the row's folder

    def __truediv__(self, name: str) -> RowPath:
        """Return the file or folder of this name, or path of names, in the folder.

        Raises InputError for a name that would lead out of the row.
        """
        if name.startswith("/") or ".." in name.split("/") or "\0" in name:
            raise InputError(f"{self}: expected the name of a file in a row's folder; found {name!r:.200}")
        return RowPath(self.row, self.inner / name)

    def __str__(self) -> str:
        """Return its path in the tree, or that of the archive and its name there."""
        path = self.row / self.inner
        archived = not path.exists() and (self.row / ARCHIVE).exists()
        return f"{self.row / ARCHIVE}: {self.inner}" if archived else str(path)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.inner.name

    @property
    def parent(self) -> RowPath:
        """The folder that it lies in."""
        return RowPath(self.row, self.inner.parent)

    def exists(self) -> bool:
        """Whether there is such a file; InputError if it may not be seen, or the archive is damaged."""
        return walks.is_there(self.row / self.inner) or str(self.inner) in archived(self.row)

    def read_bytes(self) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundError: there is no such file.
            InputError: it cannot be read, or the archive is damaged.
        """
        path = self.row / self.inner
        try:
            return bounded.read(path)
        except (FileNotFoundError, NotADirectoryError) as missing:  # or packed since it was listed
            try:
                return row_archive.read(self.row / ARCHIVE, str(self.inner))
            except FileNotFoundError:
                raise FileNotFoundError(f"{path}: no such file") from missing
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def root(row: Path) -> RowPath:
    """Return the folder of a row, in which its runs are found in whatever form they are stored."""
    return RowPath(row, PurePosixPath())


def find(row: Path, pattern: str) -> list[RowPath]:
    """Return the files of a row's runs that match a pattern, sorted.

    Args:
        row: the row's folder.
        pattern: of the path in the row's folder; `*` stands for any characters but `/`.

    Raises InputError if the row's archive is damaged, or a folder of its runs may not be read.
    """
    names = {path.relative_to(row).as_posix() for path in walks.matching(row, pattern)}
    names |= {name for name in archived(row) if _regex(pattern).fullmatch(name)}
    return sorted(RowPath(row, PurePosixPath(name)) for name in names)


def archived(row: Path) -> Mapping[str, Member]:
    try:
        return row_archive.members(row / ARCHIVE)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InputError(f"{row / ARCHIVE}: cannot be read ({error.strerror})") from error


@functools.cache
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile("[^/]*".join(map(re.escape, pattern.split("*"))))
