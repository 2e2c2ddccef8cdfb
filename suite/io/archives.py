"""Archives: ZIP files whose bytes follow from the files in them, and which are read safely.

Members are sorted by name, have one fixed time and no other attributes. A reader gets archives from others,
so it refuses what an archive of its kind never holds before it reads a member: links, encryption, repeated
or unknown names, too many or too large members, and those that deflate too well.
"""

from __future__ import annotations

import functools
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final

from understudy.suite.errors import InputError
from understudy.suite.io import bounded, files, git_lfs

MAX_MEMBERS: Final = 65_000
MAX_DIRECTORY_BYTES: Final = MAX_MEMBERS * 512  # an entry has 46 bytes, and a name of some 50
MAX_TOTAL_BYTES: Final = 1 << 32  # of all members, and of the archive
MAX_RATIO: Final = 100  # of a deflated member's size to its deflated size
SMALL_BYTES: Final = 1 << 12  # members up to this size may have any ratio
LEVEL: Final = 9  # of deflation
_TIME: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that the format can express
_MODE: Final = 0o100644 << 16  # a regular file
_ENCRYPTED: Final = 0x41  # the flags of weak and strong encryption
_END: Final = struct.Struct("<4s4H2LH")  # of the directory; a comment may follow it
_LOCATOR_BYTES: Final = 20  # in front of it: where the directory of a larger format ends
_LOCAL_HEADER: Final = struct.Struct("<4s5H3L2H")
_OF_DAMAGE: Final = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, struct.error, zlib.error, NotImplementedError),
    *(EOFError, OverflowError, RuntimeError, ValueError),
)


@dataclass(frozen=True)
class Kind:
    """What archives of one kind may hold."""

    what: str  # whose runs they hold, in messages: "a row"
    names: re.Pattern[str]  # of members; each ends as a key of bounded.MAX_BYTES
    deflated: frozenset[str]  # ends of the names whose members are deflated when written
    may_deflate: bool  # whether a member that is read may be deflated
    repetitive: frozenset[str] = frozenset()  # ends of names of which a member may hold one value throughout


@dataclass(frozen=True)
class Member:
    """A file in an archive."""

    offset: int  # of its local header, in bytes
    stored_bytes: int  # as it is in the archive
    size_bytes: int
    crc32: int
    deflated: bool


def write(kind: Kind, path: Path, names: Iterable[str], read: Callable[[str], bytes]) -> None:
    """Write an archive atomically; the same files give the same bytes.

    Args:
        kind: of the archive.
        path: of the archive.
        names: of its members, as the kind has them.
        read: returns the content of a member.

    Raises InputError if a reader would refuse the archive; the one that was there stays.
    """
    with files.written_atomically(path) as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name in sorted(names):
                info = zipfile.ZipInfo(name, _TIME)
                info.create_system, info.external_attr = 3, _MODE
                data = read(name)
                deflated = _is_to_deflate(kind, name, data)
                info.compress_type = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
                archive.writestr(info, data, compresslevel=LEVEL)
        file.flush()
        directory(kind, Path(file.name), path)


def _is_to_deflate(kind: Kind, name: str, data: bytes) -> bool:
    """Return whether a member is deflated: not a repetitive one that readers would take for a bomb."""
    end = name[name.rindex(".") :]
    if end not in kind.deflated or end not in kind.repetitive:
        return end in kind.deflated
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)  # as in a ZIP file
    size_bytes = len(deflate.compress(data)) + len(deflate.flush())
    return len(data) <= max(SMALL_BYTES, MAX_RATIO * size_bytes)


def members(kind: Kind, path: Path) -> Mapping[str, Member]:
    """Return an archive's members by name, sorted; read once in a process while the file is unchanged.

    Raises:
        FileNotFoundError: there is no archive.
        InputError: it is damaged, or not an archive of this kind.
    """
    return _kept_directory(kind, path, _identity(path.stat()))


def read(kind: Kind, path: Path, name: str) -> bytes:
    """Return the content of a member.

    Raises:
        FileNotFoundError: there is no archive, or no such member in it.
        InputError: the archive is damaged, or not one of this kind.
    """
    with bounded.opened(path, MAX_TOTAL_BYTES) as file:
        member = _kept_directory(kind, path, _identity(os.fstat(file.fileno()))).get(name)
        if member is None:
            raise FileNotFoundError(f"{path}: {name}")
        try:
            return _content(file, name, member)
        except (OSError, *_OF_DAMAGE) as error:  # also a place before the file's beginning
            raise InputError(f"{path}: {name}: damaged ({error}); fetch the archive again") from error


def _identity(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_mtime_ns, found.st_size


@functools.lru_cache(maxsize=256)
def _kept_directory(kind: Kind, path: Path, identity: tuple[int, int, int]) -> Mapping[str, Member]:
    return directory(kind, path, path)


def directory(kind: Kind, path: Path, shown: Path) -> Mapping[str, Member]:
    """Return the members of the archive at `path`, which messages call `shown`; raises as `members`."""
    with bounded.opened(path, MAX_TOTAL_BYTES) as file:
        try:
            _require_small_directory(file)
            with zipfile.ZipFile(file) as archive:
                found = archive.infolist()
                if archive.comment or min((info.header_offset for info in found), default=0):
                    raise zipfile.BadZipFile("bytes before or behind it")
        except (OSError, *_OF_DAMAGE) as error:
            file.seek(0)
            git_lfs.refuse_pointer_bytes(file.read(len(git_lfs.SIGNATURE)), shown)
            raise InputError(f"{shown}: not a whole ZIP archive ({error}); fetch it again") from error
    if len(found) > MAX_MEMBERS:
        raise InputError(f"{shown}: expected at most {MAX_MEMBERS:,} files, found {len(found):,}")
    by_name: dict[str, Member] = {}
    for info in found:
        problem = "twice in it" if info.orig_filename in by_name else _problem(kind, info)
        if problem:
            name = info.orig_filename[:200]
            raise InputError(f"{shown}: {name!r}: {problem}; this is no archive of {kind.what}")
        deflated = info.compress_type == zipfile.ZIP_DEFLATED
        by_name[info.orig_filename] = Member(
            info.header_offset, info.compress_size, info.file_size, info.CRC, deflated
        )
    stored = sum(member.stored_bytes for member in by_name.values())
    if stored > path.stat().st_size:
        raise InputError(f"{shown}: members lie in each other; this is no archive of {kind.what}")
    total = sum(member.size_bytes for member in by_name.values())
    if total > MAX_TOTAL_BYTES:
        raise InputError(f"{shown}: expected at most {MAX_TOTAL_BYTES:,} bytes in it, found {total:,}")
    return MappingProxyType(dict(sorted(by_name.items())))


def _require_small_directory(file: BinaryIO) -> None:
    """Raise BadZipFile for a directory that takes more memory than one of MAX_MEMBERS members may."""
    end = os.fstat(file.fileno()).st_size - _END.size
    if end < 0:
        raise zipfile.BadZipFile("too short")
    file.seek(max(0, end - _LOCATOR_BYTES))
    before, last = file.read(min(end, _LOCATOR_BYTES)), file.read(_END.size)
    signature, *_, directory_bytes, _, comment_bytes = _END.unpack(last)
    if signature != b"PK\5\6" or comment_bytes:
        raise zipfile.BadZipFile("bytes behind it, or none of its end")
    if before.startswith(b"PK\6\7") or directory_bytes > MAX_DIRECTORY_BYTES:
        raise zipfile.BadZipFile("a larger directory than its members need")


def _problem(kind: Kind, info: zipfile.ZipInfo) -> str | None:
    """Return why an archive of this kind never holds such a member, or None."""
    name = info.orig_filename
    if not kind.names.fullmatch(name):
        return f"not a file of {kind.what}'s runs"
    if info.flag_bits & _ENCRYPTED:
        return "encrypted"
    if info.external_attr >> 16 & 0o170000 not in (0, 0o100000) or info.external_attr & 0x10:
        return "a link or a folder, expected a file"
    deflated = info.compress_type == zipfile.ZIP_DEFLATED
    if info.compress_type != zipfile.ZIP_STORED and not deflated:
        return f"compressed by method {info.compress_type}, expected deflate or none"
    if deflated and not kind.may_deflate:
        return "deflated, expected stored"
    if not deflated and info.file_size != info.compress_size:
        return f"stored in {info.compress_size:,} bytes, its size is {info.file_size:,}"
    limit = bounded.MAX_BYTES[name[name.rindex(".") :]]
    if max(info.file_size, info.compress_size) > limit:
        return f"{max(info.file_size, info.compress_size):,} bytes, expected at most {limit:,}"
    if info.file_size > max(SMALL_BYTES, MAX_RATIO * info.compress_size):
        return f"deflated to {info.compress_size:,} of {info.file_size:,} bytes, more than {MAX_RATIO} times"
    return None


def _content(file: BinaryIO, name: str, member: Member) -> bytes:
    """Return a member's content; raises one of `_OF_DAMAGE` unless it is whole and as its directory says."""
    file.seek(member.offset)
    header = file.read(_LOCAL_HEADER.size)
    signature, *_, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
    if signature != b"PK\3\4" or file.read(name_bytes) != name.encode():
        raise zipfile.BadZipFile("another file at its place")
    file.seek(extra_bytes, os.SEEK_CUR)
    content = file.read(member.stored_bytes)
    if member.deflated:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        content = inflater.decompress(content, member.size_bytes + 1)
    if len(content) != member.size_bytes or zlib.crc32(content) != member.crc32:
        raise zipfile.BadZipFile("its size or its CRC-32 is another than the archive says")
    return content
