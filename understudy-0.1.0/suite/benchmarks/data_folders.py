"""The folders in which teacher data lies."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Final

from understudy.suite.hub import client, locations
from understudy.suite.hub.locations import Location
from understudy.suite.io import checkout, paths

# Folders or hf://..., separated as in PATH; replaces the default folders.
ENVIRONMENT_VARIABLE: Final = "UNDERSTUDY_DATA"
EMBEDDED: Final = checkout.ROOT / "suite" / "data"  # the runs that come with the package


def are_chosen() -> bool:
    """Return whether the user has chosen data folders."""
    return bool(os.environ.get(ENVIRONMENT_VARIABLE))


def roots() -> tuple[Path, ...]:
    """Return the data folders: those of UNDERSTUDY_DATA if set, else suite/data and a checkout's data.

    A location `hf://datasets/user/repo@<commit hash>` is fetched if it is not there yet, and checked.
    """
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        return tuple(map(_root, _parts(chosen)))
    beside = (checkout.ROOT / "data",) if checkout.is_checkout() else ()
    return (EMBEDDED, *beside)


def on_the_hub() -> tuple[tuple[Location, Path], ...]:
    """Return the chosen data folders that are pinned datasets on the Hub, each with its location."""
    chosen = os.environ.get(ENVIRONMENT_VARIABLE, "")
    named = [part for part in _parts(chosen) if locations.names_hub(part)]
    return tuple((client.pinned(client.split(part)[0]), _root(part)) for part in named)


def _parts(chosen: str) -> list[str]:
    """Split at the separator of PATH; a location on the Hub may contain it too."""
    separator = re.escape(os.pathsep)
    return re.findall(rf"{locations.SCHEME}[^{separator}]*|[^{separator}]+", chosen)


def _root(part: str) -> Path:
    if not locations.names_hub(part):
        return paths.expanded(part, ENVIRONMENT_VARIABLE)
    return client.folder(part, lambda line: print(line, file=sys.stderr))
