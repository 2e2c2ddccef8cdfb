"""Registries by file name: each file of a folder registers one object; listing the names imports nothing."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from understudy.suite import escaping
from understudy.suite.errors import InputError

MOST_LISTED = 40  # known names in a message
MOST_COMPARED = 200  # characters of an unknown name; the comparison takes their square


def names(folders: Iterable[str | Path], suffix: str = ".py") -> tuple[str, ...]:
    """Return the registered names, sorted: the stems of the files in `folders` without a leading underscore.

    An underscore in a file's name is a hyphen in the registered one: `frozen_teacher.py` is `frozen-teacher`.
    `folders` is usually a package's `__path__`.
    """
    stems = {path.stem for folder in folders for path in Path(folder).glob(f"*{suffix}")}
    return tuple(sorted(stem.replace("_", "-") for stem in stems if not stem.startswith("_")))


def choose(name: str, known: Iterable[str], what: str) -> str:
    """Return `name` if it is in `known`; otherwise raise InputError with the nearest known name.

    Capitals matter in names, but not in the choice of the nearest.
    """
    known = sorted(known)
    if name in known:
        return name
    spelled = {each.casefold(): each for each in known}
    near = difflib.get_close_matches(name.casefold()[:MOST_COMPARED], spelled, n=1, cutoff=0.5)
    more = f" and {len(known) - MOST_LISTED:,} more" if len(known) > MOST_LISTED else ""
    hint = f"did you mean {spelled[near[0]]!r}?" if near else f"known: {', '.join(known[:MOST_LISTED])}{more}"
    raise InputError(f"unknown {what} {escaping.shortened(name)!r}; {hint}")


def load(package: str, name: str, attribute: str) -> Any:
    """Import the module registered as `name` in `package` and return its object `attribute`."""
    return getattr(importlib.import_module(f"{package}.{name.replace('-', '_')}"), attribute)
