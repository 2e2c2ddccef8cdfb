"""`SHA256SUMS`: the SHA-256 of every file of a folder, in the format of `sha256sum`, parsed strictly.

One line per file, `<64 lower-case hex>  <path>`: relative paths with '/', sorted by code point, each once, a
line feed after the last line. `sha256sum -c SHA256SUMS` also reads it. Files in `UNLISTED` are never listed.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.io import bounded, files, walks
from understudy.suite.io.file_names import CARD

NAME: Final = "SHA256SUMS"
SOURCE: Final = "source.json"  # names the location that a folder was pulled from
# The card can be edited on the Hub's pages, and the Hub writes .gitattributes.
UNLISTED: Final = frozenset({NAME, CARD, ".gitattributes", SOURCE})
_LINE = re.compile(r"([0-9a-f]{64})  ([^\x00-\x1f\\\x7f\ud800-\udfff]+)")  # nor half a character


class Mismatch(CheckFailed):
    """A folder doesn't match its manifest; `path` is the file that differs, if it is a single one."""

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


def write(folder: Path) -> Path:
    """Write the manifest of all files below a folder, atomically; return its path."""
    digests = {name: files.sha256(folder / name) for name in _present(folder, walks.refuse_dangling)}
    files.write_atomically(folder / NAME, text(digests).encode())
    return folder / NAME


def text(digests: Mapping[str, str]) -> str:
    """Return the manifest of SHA-256 in hex by relative path, without the UNLISTED files.

    Raises InputError for a name that can't be listed.
    """
    lines = [f"{digests[name]}  {name}" for name in sorted(digests) if name not in UNLISTED]
    for line in lines:
        if not _LINE.fullmatch(line):
            raise InputError(f"{line[66:]!r}: a file of this name can't be published; rename it")
    return "".join(f"{line}\n" for line in lines)


def check(folder: Path) -> dict[str, str]:
    """Compare every file below a folder with its manifest; return their SHA-256 by relative path.

    Raises:
        Mismatch: the manifest is missing or malformed, or a file is missing, not listed, or has another hash.
            Names the file, what was expected and what was found.
    """
    digests = read(folder / NAME)
    present = _present(folder, functools.partial(_refuse_dangling, folder))
    for name in sorted(digests.keys() - present):
        raise Mismatch(f"{folder}: {NAME} lists {name}, which is missing", name)
    for name in sorted(present - digests.keys()):
        raise Mismatch(f"{folder}: {name} is not listed in {NAME}; expected no other files", name)
    for name, expected in digests.items():
        if not (folder / name).is_file():
            raise Mismatch(f"{folder / name}: expected a file, found something else", name)
        found = files.sha256(folder / name)
        if found != expected:
            raise Mismatch(f"{folder / name}: SHA-256 is {found}, {NAME} says {expected}", name)
    return digests


def read(path: Path) -> dict[str, str]:
    """Read a manifest: SHA-256 in hex by relative path; raise Mismatch if it is missing or malformed."""
    try:
        data = bounded.read(path)
    except FileNotFoundError as error:
        raise Mismatch(f"{path.parent}: no {NAME}, so nothing can be checked") from error
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise Mismatch(f"{path}: byte {error.start} is not UTF-8") from error
    if lines.pop():
        raise Mismatch(f"{path}: expected a line feed at its end, found {data[-1:]!r}")
    digests: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None or not _plain(match[2]):
            raise Mismatch(
                f"{path}: line {number}: expected '<64 hex>  <relative path>', found {line[:120]!r}"
            )
        if digests and match[2] <= next(reversed(digests)):
            raise Mismatch(f"{path}: line {number}: expected sorted paths, each once, found {match[2]!r}")
        digests[match[2]] = match[1]
    return digests


def bytes_sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes in hex."""
    return hashlib.sha256(data).hexdigest()


def _plain(name: str) -> bool:
    """Return whether a path is normalised, stays inside its folder, and may be listed."""
    path = PurePosixPath(name)
    inside = not path.is_absolute() and ".." not in path.parts
    return inside and path.parts != () and str(path) == name and name not in UNLISTED


def _refuse_dangling(folder: Path, link: Path) -> None:
    name = link.relative_to(folder).as_posix()
    raise Mismatch(f"{link}: a link to {os.readlink(link)}, which is not there", name)


def _present(folder: Path, dangling: Callable[[Path], None]) -> set[str]:
    """Return the relative paths of the files that a manifest of this folder has to list."""
    found = (path.relative_to(folder).as_posix() for path in walks.files(folder, dangling))
    return {name for name in found if name not in UNLISTED}
