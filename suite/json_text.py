"""JSON that others wrote: values that every JSON reader gives alike, or an error.

Python's own reader takes more than JSON allows, and takes some texts in time or depth without bound.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn

MAX_DIGITS: Final = 40  # of a whole number; 2^128 has 39
_HALF_CHARACTER: Final = re.compile(rb"\\u[dD][89a-fA-F]")  # one of a pair of escapes, or alone


def values(data: bytes) -> Any:
    """Return the values of a JSON text.

    Args:
        data: the text, in UTF-8.

    Raises ValueError where it is not JSON, is nested too deeply, has a key twice, a number that is not
    finite, a whole number of more than MAX_DIGITS digits, or half a character.
    """
    try:
        found = json.loads(
            data.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_each_once,
        )
        if _HALF_CHARACTER.search(data):
            json.dumps(found, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("half a character, without the other half of its pair") from None
    return found


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"the number {constant}")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:MAX_DIGITS]}")
    return number


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text):,} digits")
    return int(text)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} stands twice")
    return found
