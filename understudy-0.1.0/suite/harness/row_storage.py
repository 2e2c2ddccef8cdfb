"""A row at rest and a row in play: packs its runs into one archive, and unpacks them to play or check more.

Each step leaves every run in the tree or in the archive, so a process may be killed between any two: the same
command goes on. Processes that play or check a row share it, each with a lock file of its own in the row's
folder; whoever packs needs it alone.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from understudy.suite.harness import records, row_archive, row_documents, row_files
from understudy.suite.harness.row_archive import ARCHIVE
from understudy.suite.io import file_lock, file_names, files, parts, walks

IN_USE: Final = ".in-use-*.lock"  # in a row's folder, one for each process that plays or checks it
JOB_PARTS: Final = ("progress.json", f"lane-*/{file_names.HISTORY}.journal")  # of a job that is being played

RUN_FILES: Final = ("*.json", "*.safetensors", file_names.HISTORY)  # written by those who use a row


@contextmanager
def unpacked(rows: Mapping[Path, bool], waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Have the runs of rows in their trees during the block; no other process packs them meanwhile.

    Args:
        rows: the rows' folders, and whether the packed runs of each are to be played again: these go.
        waiting: called now and then while another process packs or unpacks one of them.

    Raises InputError if an archive that is to be unpacked is damaged.
    """
    with ExitStack() as stack:
        for row, restart in rows.items():
            with file_lock.held(row / file_names.LOCK, waiting):
                own = row / IN_USE.replace("*", uuid.uuid4().hex)
                stack.enter_context(file_lock.held(own))
                if restart:
                    for name in (ARCHIVE, records.TIMING):
                        (row / name).unlink(missing_ok=True)
                else:
                    _unpack(row)
        yield


def pack(row: Path) -> bool:
    """Put the runs of a complete row that nobody plays into its archive; return whether none is left outside.

    A row is complete when every job in it is. Files that are not of its runs stay where they are.

    Raises InputError if the row cannot be read or its archive would be too large; nothing is lost then.
    """
    if not any(path.is_dir() or path.name.startswith(".") for path in row.iterdir()):
        return True
    with file_lock.held(row / file_names.LOCK):
        if _is_used(row) or not is_complete(row):
            return False
        parts.drop(row, (ARCHIVE, records.TIMING, records.ROW))  # written under this lock alone
        names = _tree(row)
        _keep_timing(row)
        if names:
            every = {*names, *row_files.archived(row)}
            row_archive.write(row / ARCHIVE, every, lambda name: (row_files.root(row) / name).read_bytes())
            _sync_folder(row)
        _remove(row, names)
    return True


def is_complete(row: Path) -> bool:
    """Whether a row has jobs and the runs of each are finished; InputError if a job cannot be read."""
    jobs = [path.parent for path in row_files.find(row, f"*/*/{records.JOB}")]
    if not jobs or not (row / records.ROW).exists():
        return False
    if any(walks.matching(row, f"*/*/{part}") for part in JOB_PARTS):
        return False
    finished = {path.parent for path in row_files.find(row, f"*/*/lane-*/{records.RECORD}")}
    lanes = (job / f"lane-{index}" for job in jobs for index in range(len(records.read_job(job)["lanes"])))
    return all(lane in finished for lane in lanes)


def timing(row: Path) -> dict[str, Any]:
    """Return host, clock and seconds of each job of a row by its folder, packed or not."""
    path = row / records.TIMING
    kept = row_documents.read(row_documents.Timing, path)["jobs"] if path.exists() else {}
    in_tree = {
        found.parent.relative_to(row).as_posix(): row_documents.read_values(row_documents.JobTiming, found)
        for found in walks.matching(row, f"*/*/{records.TIMING}")
    }
    return dict(sorted({**kept, **in_tree}.items()))


def _tree(row: Path) -> list[str]:
    """Return the files of a row's runs in its tree, relative to its folder, sorted."""
    found = (path for depth in (3, 4) for path in walks.matching(row, "/".join("*" * depth)))
    names = (path.relative_to(row).as_posix() for path in found)
    return sorted(name for name in names if row_archive.is_known(name))


def _unpack(row: Path) -> None:
    """Write the runs that are only in the archive into the tree; the archive stays until they are packed."""
    for name in row_files.archived(row):
        if not (row / name).exists():
            files.write_atomically(row / name, row_archive.read(row / ARCHIVE, name))


def _is_used(row: Path) -> bool:
    """Whether a process plays or checks a row; lock files of killed ones go."""
    for lock in [*walks.matching(row, IN_USE), *walks.matching(row, f"*/*/{file_names.LOCK}")]:
        with file_lock.held_if_free(lock) as free:
            if not free:
                return True
    return False


def _keep_timing(row: Path) -> None:
    """Gather the timing of a row's jobs in a file beside the archive, whose bytes must not depend on it."""
    if walks.matching(row, f"*/*/{records.TIMING}"):
        row_documents.write(row_documents.Timing, row / records.TIMING, {"jobs": timing(row)})


def _remove(row: Path, names: list[str]) -> None:
    """Remove packed files, what is left of their jobs' timing, and folders with nothing else in them."""
    for name in names:
        (row / name).unlink(missing_ok=True)
    for path in walks.matching(row, f"*/*/{records.TIMING}"):
        path.unlink(missing_ok=True)
    for depth in (3, 2, 1):
        for folder in walks.matching(row, "/".join("*" * depth)):
            if folder.is_dir():
                parts.drop(folder, RUN_FILES)
                with suppress(OSError):  # it holds something else
                    folder.rmdir()


def _sync_folder(folder: Path) -> None:
    """Have the archive on the disk before the files that it replaces go."""
    if os.name != "nt":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
