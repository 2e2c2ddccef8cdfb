"""Registries by file name: one object a file, found by a scan; listing imports nothing."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from understudy.suite.errors import InputError


def names(folder: Path, suffix: str = ".py") -> tuple[str, ...]:
    """Return the registered names: the stems of the files in `folder`, private ones left out, sorted.

    An underscore in a file's name is a hyphen in the registered one: `policy_at_w.py` is `policy-at-w`.
    """
    stems = (path.stem for path in folder.glob(f"*{suffix}"))
    return tuple(sorted(stem.replace("_", "-") for stem in stems if not stem.startswith("_")))


def choose(name: str, known: Iterable[str], what: str) -> str:
    """Return `name` if it is known; raise InputError with the nearest known name otherwise."""
    known = sorted(known)
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    raise InputError(f"unknown {what} {name!r}; {hint}")


def load(package: str, name: str, attribute: str) -> Any:
    """Import `package.name` and return its one registered object, called `attribute`."""
    return getattr(importlib.import_module(f"{package}.{name.replace('-', '_')}"), attribute)
