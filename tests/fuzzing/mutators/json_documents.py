"""JSON documents: values of other types and sizes, missing, unknown, repeated keys, texts that are none."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from fuzzing.mutators import raw_bytes

DEEP = 100_000  # brackets within each other
TEXTS = (
    *(
        "",
        " ",
        "..",
        "../../etc/passwd",
        "/etc/passwd",
        "C:\\Windows\\x",
        "\\\\host\\share",
        "nul",
        "a/b",
        ".",
    ),
    *(
        "\0",
        "a\0b",
        "\n",
        "\x1b[31m",
        "\u202egnp",
        "\ud800",
        "é" * 40,
        "=1+1",
        "<b>",
        "$x$",
        "|",
        "%s%n",
        "{}",
    ),
    *("x" * 5_000, "x" * 1_000_000, "null", "random", "frozen-teacher", "darkroom/goal-00", "atari/breakout"),
    *(
        "0" * 64,
        "f" * 32,
        "dev",
        "1",
        "hf://user/repo@" + "0" * 40,
        "goal-00/seed-0",
        "goal-00/seed-999999999",
    ),
)
NUMBERS = (
    0,
    -1,
    1,
    2,
    255,
    256,
    2**31 - 1,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64,
    10**15,
    -(2**63),
    10**400,
)
FLOATS = (0.0, -0.0, 0.5, 1e-320, 1e308, -1e308, 1.0)
RAW = (
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1e999",
        "1" * 5_000,
        "01",
        "1.",
        "'x'",
        "undefined",
        '"\\u12"',
    ),
    *('"\\x"', "[" * DEEP, "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, "[[[[[[[[1]]]]]]]]"),
    *("true", "null", "{}", "[]", '{"":0}', '"a\tb"'),
)
KEYS = ("", "format", "name", "extra", "__class__", "\ud800", "x" * 1_000_000, "a.b", "é", "lanes", "\0")


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Return a document's bytes with one to three changes of its values, or of its text."""
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return raw_bytes.mutate(data, rng)
    kind = int(rng.integers(10))
    if kind == 0:
        return raw_bytes.mutate(data, rng)
    if kind == 1:
        return _odd_text(data, values, rng)
    values, raw = mutated(values, rng)
    text = json.dumps(values)
    for mark, replacement in raw.items():
        text = text.replace(json.dumps(mark), replacement)
    return text.encode("utf-8", "surrogatepass")


def mutated(values: Any, rng: np.random.Generator) -> tuple[Any, dict[str, str]]:
    """Return other values, and which texts in them stand for raw text that is written in their place."""
    raw: dict[str, str] = {}
    values = copy.deepcopy(values)
    for number in range(int(rng.integers(1, 4))):
        places = list(_places(values))
        if not places:
            return _scalar(values, rng), raw
        parent, key = places[int(rng.integers(len(places)))]
        if rng.random() < 0.15:
            mark = f"@raw {number}@"
            raw[mark] = RAW[int(rng.integers(len(RAW)))]
            parent[key] = mark
        else:
            _change(parent, key, places, rng)
    return values, raw


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (parent, key) of everything in a document."""
    items = (
        values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    )
    for key, value in list(items):
        yield values, key
        yield from _places(value)


def _change(parent: Any, key: Any, places: list[tuple[Any, Any]], rng: np.random.Generator) -> None:
    kind = int(rng.integers(10))
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[KEYS[int(rng.integers(len(KEYS)))]] = parent[key]
    elif kind == 2 and isinstance(parent, dict):
        parent[f"{key}{'s' if rng.random() < 0.5 else ' '}"] = parent.pop(key)
    elif kind == 3:  # another value of the document
        other, place = places[int(rng.integers(len(places)))]
        if isinstance(other, dict | list) and (
            place in other if isinstance(other, dict) else place < len(other)
        ):
            parent[key] = copy.deepcopy(other[place])
    elif kind == 4 and isinstance(parent, list):
        parent.extend([copy.deepcopy(parent[key])] * int(rng.choice([1, 2, 3_000])))
    elif kind == 5:
        parent[key] = [parent[key]] if rng.random() < 0.5 else {"a": parent[key]}
    else:
        parent[key] = _scalar(parent[key], rng)


def _scalar(value: Any, rng: np.random.Generator) -> Any:
    """Return another value, often of the same type."""
    if rng.random() < 0.3:
        value = [None, True, 1, 1.0, "x", [], {}][int(rng.integers(7))]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return (
            NUMBERS[int(rng.integers(len(NUMBERS)))]
            if rng.random() < 0.7
            else value + int(rng.integers(-2, 3))
        )
    if isinstance(value, float):
        return FLOATS[int(rng.integers(len(FLOATS)))] if rng.random() < 0.7 else value * float(rng.normal())
    if isinstance(value, str):
        return _text(value, rng)
    return [None, [], {}][int(rng.integers(3))]


def _text(value: str, rng: np.random.Generator) -> str:
    place = int(rng.integers(len(value) + 1))
    other = TEXTS[int(rng.integers(len(TEXTS)))]
    kind = int(rng.integers(5))
    if kind < 2:
        return other
    if kind == 2:
        return value[:place] + other + value[place:]
    return value[:place] if kind == 3 else value.swapcase()


def _odd_text(data: bytes, values: Any, rng: np.random.Generator) -> bytes:
    """Return a document whose text is odd, whatever it holds."""
    text = data.decode("utf-8", "replace")
    key = next(iter(values), "a") if isinstance(values, dict) else "a"
    many = ",".join(f'"key {i}":0' for i in range(30_000))
    choices = (
        RAW[int(rng.integers(len(RAW)))].encode(),
        text.encode("utf-16"),
        b"\xef\xbb\xbf" + data,
        data + b"\0",
        data + data,
        data.replace(b'"', b"'"),
        data[:-1] + b" " * 1_000_000,
        f'{{{many},"key 29999":1}}'.encode(),  # a key stands twice, far behind
        f"{{{many}}}".encode(),
        f"{{{json.dumps(key)}:0,{text.lstrip()[1:]}".encode(),  # the first key, twice
        b"[" + b",".join([b"0"] * 100_000) + b"]",
        json.dumps("x" * 900_000).encode(),
    )
    return choices[int(rng.integers(len(choices)))]
