"""`SHA256SUMS`: the SHA-256 of every file of a folder, as `sha256sum` writes it, read strictly.

One line a file, `<64 lower-case hex>  <path>`, paths relative with '/', sorted by code point, each once, a
line feed after the last. `sha256sum -c SHA256SUMS` reads it too. The files in `UNLISTED` stand outside of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from understudy.suite import files
from understudy.suite.errors import CheckFailed, InputError

NAME: Final = "SHA256SUMS"
SOURCE: Final = "source.json"  # says where a pulled folder came from
# A card may be edited on the Hub's own pages, and the Hub writes .gitattributes: neither is evidence.
UNLISTED: Final = frozenset({NAME, "README.md", ".gitattributes", SOURCE})
_LINE = re.compile(r"([0-9a-f]{64})  ([^\x00-\x1f\\\x7f]+)")


class Mismatch(CheckFailed):
    """A folder is not what its manifest says; `path` is the file in it that differs, if it is one."""

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


def write(folder: Path) -> Path:
    """Write the manifest of all files below a folder, atomically; return its path."""
    digests = {name: files.sha256(folder / name) for name in _present(folder)}
    files.write_atomically(folder / NAME, text(digests).encode())
    return folder / NAME


def text(digests: Mapping[str, str]) -> str:
    """Return the manifest of files by relative path and SHA-256 in hex; what is unlisted is left out.

    Raises InputError for a name that the one form has no room for.
    """
    lines = [f"{digests[name]}  {name}" for name in sorted(digests) if name not in UNLISTED]
    for line in lines:
        if not _LINE.fullmatch(line):
            raise InputError(f"{line[66:]!r}: a file of this name can't be published; rename it")
    return "".join(f"{line}\n" for line in lines)


def check(folder: Path) -> dict[str, str]:
    """Compare every file below a folder with its manifest; return their SHA-256 by relative path.

    Raises:
        Mismatch: the manifest is absent or not in its one form; a file is missing, unlisted or other than
            listed. Names the file, what was expected and what was found.
    """
    digests = read(folder / NAME)
    present = _present(folder)
    for name in sorted(digests.keys() - present):
        raise Mismatch(f"{folder}: {NAME} lists {name}, which is not there", name)
    for name in sorted(present - digests.keys()):
        raise Mismatch(f"{folder}: {name} is not listed in {NAME}; expected no other files", name)
    for name, expected in digests.items():
        found = files.sha256(folder / name)
        if found != expected:
            raise Mismatch(f"{folder / name}: SHA-256 is {found}, {NAME} says {expected}", name)
    return digests


def read(path: Path) -> dict[str, str]:
    """Read a manifest: SHA-256 in hex by relative path; Mismatch unless it is in its one form."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise Mismatch(f"{path.parent}: no {NAME} there, so nothing can be checked") from error
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
    """Return whether a listed path stays inside its folder and is spelt in the one way, and may be listed."""
    path = PurePosixPath(name)
    inside = not path.is_absolute() and ".." not in path.parts
    return inside and path.parts != () and str(path) == name and name not in UNLISTED


def _present(folder: Path) -> set[str]:
    """Return the relative paths of the files that a manifest of this folder lists."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in found if name not in UNLISTED}
