"""Copies of pinned locations in plain folders; `source.json` in them names the location."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.hub import manifest
from understudy.suite.hub.locations import Location
from understudy.suite.io import files, parts, walks


def holds(out: Path, location: Location) -> bool:
    """Return whether a folder is a complete copy of a location; False if it is absent or empty.

    Raises:
        InputError: the folder has other content, which is never overwritten.
        CheckFailed: the folder is an altered copy of this location.
    """
    if walks.is_empty(out):
        return False
    if not out.is_dir() or not (out / manifest.SOURCE).is_file():
        raise InputError(f"{out}: expected a new or empty folder, found other content; choose another --out")
    source = files.read_json(out / manifest.SOURCE)
    if source != _source(location):
        raise InputError(
            f"{out}: expected a copy of {location}, but its {manifest.SOURCE} says {str(source)[:200]}; "
            "choose another --out"
        )
    try:
        manifest.check(out)
    except manifest.Mismatch as mismatch:
        raise CheckFailed(f"{mismatch}; the copy was altered: delete {out} and pull again") from mismatch
    return True


def copy(folder: Path, location: Location, out: Path) -> None:
    """Copy a downloaded folder to `out`, which must be absent or empty, completely or not at all."""
    part = parts.beside(out)
    part.mkdir(parents=True)  # it is new, so it is removed here and by nobody else
    try:
        shutil.copytree(folder, part, symlinks=False, dirs_exist_ok=True)
        files.write_json(part / manifest.SOURCE, _source(location))
        manifest.check(part)
        os.replace(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _source(location: Location) -> dict[str, str | None]:
    return {
        "location": str(location),
        "repo": location.repo,
        "type": location.repo_type,
        "revision": location.revision,
    }
