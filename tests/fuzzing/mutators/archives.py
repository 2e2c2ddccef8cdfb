"""ZIP archives: bombs, paths, links, duplicates, wrong sizes, encryption, odd names, and changed members."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib

import numpy as np

from fuzzing import mutators
from fuzzing.mutators import raw_bytes

NAMES = (
    *(
        "../x",
        "../../etc/passwd",
        "/etc/passwd",
        "C:/x",
        "C:\\x",
        "a\\b",
        "",
        ".",
        "..",
        "a//b",
        "a/../b",
        "a/./b",
    ),
    *(
        "nul",
        "con.json",
        "a\0b",
        "\n",
        "\x1b[31m",
        "é.json",
        "\u202egnp",
        "x" * 60_000,
        "a/",
        "start/control/",
    ),
    *(
        "start/control/job.json ",
        "start/control/job.json.",
        "START/control/job.json",
        "start/all/lane-01/record.json",
    ),
    *(
        "start/all/lane-99999/record.json",
        "goal-00/seed-00/history.parquet",
        "goal-00/seed-1/history.parquet",
    ),
)
CENTRAL, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"
# Places of numbers in an entry of the central directory: (offset, bytes).
FIELDS = {
    "made by": (4, 2),
    "needed": (6, 2),
    "flags": (8, 2),
    "method": (10, 2),
    "crc": (16, 4),
    "stored": (20, 4),
    "size": (24, 4),
    "name": (28, 2),
    "extra": (30, 2),
    "comment": (32, 2),
    "disk": (34, 2),
    "attributes": (38, 4),
    "offset": (42, 4),
}


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Return another archive."""
    members = read(data)
    kind = int(rng.integers(12))
    if kind == 0 or not members:
        return raw_bytes.mutate(data, rng)
    if kind < 6:  # an archive like the original, with a changed member
        name = list(members)[int(rng.integers(len(members)))]
        changed = mutators.mutator_of(name)(members[name], rng)
        return write(
            [*((each, content) for each, content in members.items() if each != name), (name, changed)]
        )
    if kind == 6:
        return _with_member(members, rng)
    if kind == 7:
        return _with_bomb(members, rng)
    if kind < 11:
        return _with_field(data, rng)
    return _with_end(data, rng)


def read(data: bytes) -> dict[str, bytes]:
    """Return an archive's members; none if it cannot be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > 1 << 26:
                return {}
            return {info.filename: archive.read(info) for info in archive.infolist()}
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        RuntimeError,
        ValueError,
        EOFError,
        OSError,
        NotImplementedError,
    ):
        return {}


def write(members: list[tuple[str, bytes]], method: int | None = None) -> bytes:
    """Return an archive of members in this order; JSON is deflated if no method is given."""
    sink = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(sink, "w") as archive:
        warnings.simplefilter("ignore")  # of names that stand twice
        for name, content in members:
            info = zipfile.ZipInfo("x", (1980, 1, 1, 0, 0, 0))
            info.filename = name  # also one that ZipInfo would cut
            info.create_system, info.external_attr = 3, 0o100644 << 16
            deflates = name.endswith(".json") if method is None else method
            info.compress_type = zipfile.ZIP_DEFLATED if deflates is True else int(deflates)
            archive.writestr(info, content)
    return sink.getvalue()


def _with_member(members: dict[str, bytes], rng: np.random.Generator) -> bytes:
    """Return an archive with one more member, or one of another name."""
    names = list(members)
    kind, chosen = int(rng.integers(5)), names[int(rng.integers(len(names)))]
    items = list(members.items())
    if kind == 0:
        return write([*items, (NAMES[int(rng.integers(len(NAMES)))], b"{}")])
    if kind == 1:
        odd = NAMES[int(rng.integers(len(NAMES)))]
        return write([(odd if name == chosen else name, content) for name, content in items])
    if kind == 2:  # twice
        return write([*items, (chosen, members[chosen])])
    if kind == 3:
        return write([(name, content) for name, content in items if name != chosen])
    count = int(rng.choice([300, 66_000], p=[0.95, 0.05]))
    return write([(f"start/all/lane-{i}/record.json", b"") for i in range(count)], zipfile.ZIP_STORED)


def _with_bomb(members: dict[str, bytes], rng: np.random.Generator) -> bytes:
    """Return an archive with a member that is small in it and large when read."""
    name = list(members)[int(rng.integers(len(members)))]
    size = int(rng.choice([1 << 20, 1 << 26]))
    filler = (bytes(size), b" " * size, b"[" * size, b"[" + b"0," * (size // 2) + b"0]")[int(rng.integers(4))]
    items = [(each, content) for each, content in members.items() if each != name]
    method = (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_STORED)[
        int(rng.integers(4))
    ]
    if method == zipfile.ZIP_STORED:
        filler = filler[: 1 << 20]
    return write([*items, (name, filler)], method)


def _with_field(data: bytes, rng: np.random.Generator) -> bytes:
    """Return an archive with another number in its directory, and half the time in the local header too."""
    places = _found(data, CENTRAL)
    if not places:
        return raw_bytes.mutate(data, rng)
    found, place = bytearray(data), places[int(rng.integers(len(places)))]
    name = list(FIELDS)[int(rng.integers(len(FIELDS)))]
    offset, width = FIELDS[name]
    old = int.from_bytes(found[place + offset : place + offset + width], "little")
    choices = [
        0,
        1,
        old + 1,
        old - 1,
        old ^ 1,
        2 ** (8 * width) - 1,
        2 ** (8 * width - 1),
        int(rng.integers(2 ** (8 * width))),
    ]
    if name == "attributes":
        choices += [0o120777 << 16, 0o040755 << 16, 0o010644 << 16, 0x10, 0o100644 << 16 | 0x10]
    if name == "offset":
        choices += [int.from_bytes(found[each + 42 : each + 46], "little") for each in places]
    if name == "flags":
        choices += [1, 0x40, 0x41, 8, 0x800, 0x20]
    value = choices[int(rng.integers(len(choices)))] % 2 ** (8 * width)
    found[place + offset : place + offset + width] = value.to_bytes(width, "little")
    local = int.from_bytes(found[place + 42 : place + 46], "little")
    if (
        rng.random() < 0.5 and 6 <= offset < 32 and local < len(found) - 30
    ):  # local fields stand two bytes earlier
        found[local + offset - 2 : local + offset - 2 + width] = value.to_bytes(width, "little")
    return bytes(found)


def _with_end(data: bytes, rng: np.random.Generator) -> bytes:
    """Return an archive with another end: counts, sizes, places, a comment, bytes before or behind it."""
    place = data.rfind(END)
    if place < 0:
        return raw_bytes.mutate(data, rng)
    kind = int(rng.integers(6))
    if kind == 0:
        return rng.bytes(100) + data
    if kind == 1:
        return data + rng.bytes(100)
    if kind == 2:
        return data[:-2] + (5).to_bytes(2, "little") + b"hello"
    if kind == 3:  # the end record of a larger format, in front of it
        locator = b"PK\x06\x07" + struct.pack("<LQL", 0, int(rng.choice([0, place, 2**62])), 1)
        return data[:place] + locator + data[place:]
    found = bytearray(data)
    offset, width = ((4, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2))[int(rng.integers(6))]
    value = int(rng.choice([0, 1, 2 ** (8 * width) - 1, int(rng.integers(2 ** (8 * width)))]))
    found[place + offset : place + offset + width] = value.to_bytes(width, "little")
    return bytes(found)


def _found(data: bytes, signature: bytes) -> list[int]:
    found, place = [], data.find(signature)
    while place >= 0:
        found.append(place)
        place = data.find(signature, place + 1)
    return found
