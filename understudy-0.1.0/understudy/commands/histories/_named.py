"""Histories named on the command line: files, journals, folders of them, datasets on the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from understudy.suite.io.file_names import HISTORIES, HISTORY

if TYPE_CHECKING:
    from understudy.suite.histories.history_format import History
    from understudy.suite.histories.run_archive import PackedPath


def files(named: str | Path) -> list[Path | PackedPath]:
    """Return the histories that an argument names: itself, or all below a folder or a pinned dataset.

    Those in an archive `histories.zip` are named as if it were a folder.

    A run without a history file, because it is still being recorded, is named by its journal.
    """
    from understudy.suite.errors import InputError
    from understudy.suite.histories.journal import Journal
    from understudy.suite.io import walks

    path = _local(str(named))
    packed = _packed(path)
    if packed:
        return [*packed]
    if not path.is_dir() or Journal(path).exists:
        return [path]
    below = walks.files(path)
    journals = {each.parent for each in below if each.parent.name == f"{HISTORY}.journal"}
    unfinished = (folder for folder in journals if Journal(folder).exists)
    histories = {each for each in below if each.name == HISTORY}
    found = sorted([*histories, *(each for each in unfinished if each.with_name(HISTORY) not in histories)])
    archived = [each for archive in below if archive.name == HISTORIES for each in _packed(archive)]
    if not found and not archived:
        raise InputError(f"{named}: expected {HISTORY} files below this folder, found none")
    return [*found, *archived]


def _packed(path: Path) -> list[PackedPath]:
    """Return the histories in an archive that a path names: all, or those below a place in it."""
    from understudy.suite.errors import InputError
    from understudy.suite.histories import run_archive

    place = run_archive.named(path / HISTORY)
    if place is None or path.is_dir() or not place.archive.is_file():
        return []
    inner = place.inner.parent
    found = [each for each in run_archive.histories(place.archive) if each.inner.is_relative_to(inner)]
    if not found:
        raise InputError(f"{path}: no such run in {place.archive}")
    return found


def _local(named: str) -> Path:
    """Return an argument as a path; a location on the Hub is fetched if it isn't cached, and checked."""
    from understudy import screen
    from understudy.suite.hub import client, locations

    if not locations.names_hub(named):
        return Path(named)
    return client.folder(named, lambda line: screen.echo(line, err=True))


def read(path: Path | PackedPath) -> History:
    """Read a history file, or a journal's run up to its last checkpoint."""
    from understudy.suite.histories import history_format
    from understudy.suite.histories.journal import Journal

    return Journal(path).load() if is_journal(path) else history_format.read(path)


def is_journal(path: Path | PackedPath) -> TypeGuard[Path]:
    """Whether a run that `files` returned is still being recorded."""
    return isinstance(path, Path) and path.is_dir()


def segments(history: History) -> str:
    """Return the number of segments as text, and by which rule they were cut."""
    from understudy.suite.histories import derived_segments

    count = len(history.header.segments)
    return f"{count} segment{'' if count == 1 else 's'} ({derived_segments.described(history.header)})"
