"""Lines of text: CSV, TOML and lists of hashes with lines and cells moved, repeated, cut and replaced."""

from __future__ import annotations

import numpy as np

from fuzzing.mutators import json_documents, raw_bytes

LINES = (
    "",
    "a" * 200_000,
    '"',
    '"open',
    ",,,,,,,,",
    "= 1",
    "[[[[",
    "a = " + "[" * 100_000,
    "[" + "a." * 50_000 + "b]",
    "\0",
)
CELLS = (
    "",
    "nan",
    "inf",
    "-1",
    "1e999",
    "x",
    "0x10",
    "1_0",
    "9" * 5_000,
    "٣",
    " 1",
    "true",
    '"',
    "1.5",
    "\x1b[2J",
)


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Return other text."""
    kind = int(rng.integers(10))
    text = data.decode("utf-8", "replace")
    lines = text.split("\n")
    place = int(rng.integers(len(lines)))
    if kind == 0:
        return raw_bytes.mutate(data, rng)
    if kind == 1:
        encoding = ("utf-16", "latin-1", "utf-8-sig", "utf-32")[int(rng.integers(4))]
        return text.replace("a", "ä").encode(encoding, "replace")
    if kind == 2:
        del lines[place]
    elif kind == 3:
        lines.insert(int(rng.integers(len(lines))), lines[place])
    elif kind == 4:
        lines.insert(place, LINES[int(rng.integers(len(LINES)))])
    elif kind == 5:
        rng.shuffle(lines)
    elif kind == 6:
        return text.replace("\n", ("\r\n", "\r", "\x85", "\u2028", "")[int(rng.integers(5))]).encode()
    elif kind == 7:
        return text.encode() * int(rng.choice([2, 50]))
    else:
        lines[place] = _other_cell(lines[place], rng)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _other_cell(line: str, rng: np.random.Generator) -> str:
    mark = next((mark for mark in (",", "  ", " = ") if mark in line), ",")
    cells = line.split(mark)
    odd = CELLS if rng.random() < 0.6 else json_documents.TEXTS
    place = int(rng.integers(len(cells)))
    cells[place] = odd[int(rng.integers(len(odd)))]
    if rng.random() < 0.2:
        cells.append(cells[place])
    return mark.join(cells)
