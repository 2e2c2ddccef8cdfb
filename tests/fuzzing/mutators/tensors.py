"""Safetensors: other names, dtypes, shapes and offsets, wrong lengths, numbers that are not finite."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from fuzzing.mutators import json_documents, raw_bytes

DTYPES = (
    "F64",
    "F32",
    "F16",
    "BF16",
    "I64",
    "I32",
    "I8",
    "U8",
    "BOOL",
    "F8_E4M3",
    "F8_E5M2",
    "U64",
    "U16",
    "C64",
    "X",
    "",
)
SHAPES: tuple[Any, ...] = (
    [],
    [0],
    [-1],
    [2**63],
    [2**32, 2**32],
    [2**62, 4],
    [1] * 70,
    [0, 2**62],
    [1.5],
    "x",
    None,
)


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Return another file."""
    try:
        length = int.from_bytes(data[:8], "little")
        header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    except (ValueError, RecursionError):
        return raw_bytes.mutate(data, rng)
    kind = int(rng.integers(10))
    names = [name for name in header if name != "__metadata__"]
    if kind == 0 or not names:
        return raw_bytes.mutate(data, rng)
    name = names[int(rng.integers(len(names)))]
    if kind == 1:  # a length that is not the header's
        lengths = (0, 1, 2**63, 2**64 - 1, length + 1, length - 1, len(data), 2**31, 100_000_001)
        return lengths[int(rng.integers(len(lengths)))].to_bytes(8, "little") + data[8:]
    if kind == 2:  # numbers of any kind
        return data[: 8 + length] + _numbers(body, rng)
    if kind == 3:  # a shape or dtype whose bytes fit, or do not
        entry = header[name]
        entry["dtype"] = DTYPES[int(rng.integers(len(DTYPES)))]
        if rng.random() < 0.5:
            entry["shape"] = SHAPES[int(rng.integers(len(SHAPES)))]
    elif kind == 4:
        begin, end = header[name]["data_offsets"]
        offsets = (
            [end, begin],
            [begin, end + 1],
            [0, 2**63],
            [-1, end],
            [begin, len(body)],
            [0, 0],
            [begin],
            "x",
        )
        header[name]["data_offsets"] = offsets[int(rng.integers(len(offsets)))]
    elif kind == 5:
        odd = ("", "x" * 100_000, f"_orig_mod.{name}", f"module.{name}", "\ud800", "a/b", name.upper(), "\0")
        header[odd[int(rng.integers(len(odd)))]] = header.pop(name) if rng.random() < 0.5 else header[name]
    elif kind == 6:
        header["__metadata__"] = [{"a": "b"}, {"a": 1}, [], "x", None, {"x": "y" * 100_000}][
            int(rng.integers(6))
        ]
    elif kind == 7:  # a tensor more or less, the offsets closed
        header, body = _other_number(header, body, name, rng)
    elif kind == 8:  # the header is JSON too
        return _file(json_documents.mutate(json.dumps(header).encode(), rng), body)
    else:  # a name twice
        text = json.dumps(header)
        return _file(f"{text[:-1]},{json.dumps(name)}:{json.dumps(header[name])}}}".encode(), body)
    return _file(json.dumps(header).encode("utf-8", "surrogatepass"), body)


def _numbers(body: bytes, rng: np.random.Generator) -> bytes:
    values = np.frombuffer(body[: len(body) // 4 * 4], "<f4").copy()
    odd = (np.nan, np.inf, -np.inf, 3e38, 1e-45, 0.0)[int(rng.integers(6))]
    if rng.random() < 0.3:
        values[:] = odd
    elif len(values):
        values[rng.integers(len(values), size=3)] = odd
    return values.tobytes() + body[len(body) // 4 * 4 :]


def _other_number(
    header: dict[str, Any], body: bytes, name: str, rng: np.random.Generator
) -> tuple[dict[str, Any], bytes]:
    """Return a header and its bytes with one tensor removed, or with many small ones added."""
    if rng.random() < 0.5:
        begin, end = header[name]["data_offsets"]
        found = {}
        for each, entry in header.items():
            if each == name or each == "__metadata__":
                continue
            first, last = entry["data_offsets"]
            moved = end - begin if first >= end else 0
            found[each] = {**entry, "data_offsets": [first - moved, last - moved]}
        return found, body[:begin] + body[end:]
    count = int(rng.choice([1, 20_000]))
    added = {
        f"added.{i}": {
            "dtype": "F32",
            "shape": [1],
            "data_offsets": [len(body) + 4 * i, len(body) + 4 * i + 4],
        }
        for i in range(count)
    }
    return {**header, **added}, body + bytes(4 * count)


def _file(header: bytes, body: bytes) -> bytes:
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + body
