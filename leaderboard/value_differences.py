"""Differences of plain JSON values: what is stored against what follows from the logs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any


def differing(
    stored: Any, derived: Any, place: str = "", rounding: float = 0.0
) -> Iterator[tuple[str, Any, Any]]:
    """Yield (key, stored, derived) for each derived value that differs from the stored one.

    Args:
        stored: plain JSON values.
        derived: likewise; what `stored` has at its top beside these keys is not compared.
        place: the key of both, e.g. `verdicts[0]`.
        rounding: two fractions that differ by less, absolutely or relative to the larger one, are equal.
    """
    if isinstance(derived, Mapping) and isinstance(stored, Mapping):
        for key in derived:
            yield from differing(stored.get(key), derived[key], f"{place}.{key}" if place else key, rounding)
        if place:
            for key in set(stored) - set(derived):
                yield f"{place}.{key}", stored[key], None
    elif isinstance(derived, list) and isinstance(stored, list) and len(derived) == len(stored):
        for index, (one, other) in enumerate(zip(stored, derived, strict=True)):
            yield from differing(one, other, f"{place}[{index}]", rounding)
    elif rounding and isinstance(stored, float) and isinstance(derived, float):
        if not math.isclose(stored, derived, rel_tol=rounding, abs_tol=rounding):
            yield place, stored, derived
    elif stored != derived:
        yield place, stored, derived
