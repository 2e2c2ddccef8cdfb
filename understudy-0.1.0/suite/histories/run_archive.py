"""The archive of teachers' runs, `histories.zip`: all runs of a benchmark in a data folder, as one file.

Its members are the files of the runs' folders, `<variant>/seed-<k>/<file>`, stored as they are, for they are
compressed already. `docs/history-format.md` describes it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from understudy.suite.errors import InputError
from understudy.suite.io import archives
from understudy.suite.io.file_names import CHECKPOINT, HISTORIES, HISTORY, NETWORK_AT_W

FILES: Final = (HISTORY, NETWORK_AT_W, CHECKPOINT)  # of a run, in its folder
KIND: Final = archives.Kind(
    what="a data folder",
    names=re.compile(
        rf"[a-z0-9][a-z0-9_-]{{0,63}}/seed-(?:0|[1-9][0-9]{{0,8}})/(?:{'|'.join(map(re.escape, FILES))})"
    ),
    deflated=frozenset(),
    may_deflate=False,
)


@dataclass(frozen=True, order=True)
class PackedPath:
    """A run's folder in an archive, or a file in it; implements `io.readable.StoredPath`."""

    archive: Path
    inner: PurePosixPath  # its place in the archive

    def __truediv__(self, name: str) -> PackedPath:
        """Return the file of this name in the folder."""
        return PackedPath(self.archive, self.inner / name)

    def __str__(self) -> str:
        """Return the archive's path and the place in it, as if the archive were a folder."""
        return str(self.archive / self.inner)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.inner.name

    @property
    def parent(self) -> PackedPath:
        """The folder that it lies in."""
        return PackedPath(self.archive, self.inner.parent)

    def exists(self) -> bool:
        """Whether there is such a file; InputError if the archive is damaged."""
        return str(self.inner) in members(self.archive)

    def stat(self) -> os.stat_result:
        """Return the state of the archive; OSError if there is none."""
        return self.archive.stat()

    def read_bytes(self) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundError: there is no such file in the archive.
            InputError: it cannot be read, or the archive is damaged.
        """
        try:
            return archives.read(KIND, self.archive, str(self.inner))
        except (FileNotFoundError, NotADirectoryError) as missing:
            raise FileNotFoundError(f"{self}: no such file") from missing
        except OSError as error:
            raise InputError(f"{self.archive}: cannot be read ({error.strerror})") from error


def members(archive: Path) -> Mapping[str, archives.Member]:
    """Return an archive's members by name; none if there is no archive. InputError if it is damaged."""
    try:
        return archives.members(KIND, archive)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InputError(f"{archive}: cannot be read ({error.strerror})") from error


def histories(archive: Path) -> list[PackedPath]:
    """Return the histories in an archive, sorted; none if there is no archive. InputError as `members`."""
    names = (name for name in members(archive) if name.endswith(f"/{HISTORY}"))
    return [PackedPath(archive, PurePosixPath(name)) for name in names]


def named(path: Path) -> PackedPath | None:
    """Return the place in an archive that a path names, as `str` of a `PackedPath` gives it, or None."""
    for above in path.parents:
        if above.name == HISTORIES:
            return PackedPath(above, PurePosixPath(path.relative_to(above).as_posix()))
    return None
