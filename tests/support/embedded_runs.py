"""The runs of Dark room that come with the package: as they are packed, and unpacked into folders."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

from support.sound_submissions import BENCHMARK
from understudy.suite.benchmarks import data_folders
from understudy.suite.histories.run_archive import PackedPath

ARCHIVE = data_folders.EMBEDDED / BENCHMARK / "histories.zip"


def packed(name: str) -> PackedPath:
    """Return the place of a run, such as `goal-00/seed-0`, as it is stored."""
    return PackedPath(ARCHIVE, PurePosixPath(name))


def unpack(data: Path, *places: str) -> Path:
    """Unpack runs into a data folder, with the standard library alone; return its folder of the benchmark.

    Args:
        data: the data folder.
        places: those of runs, or of games with all their runs; every run if there is none.
    """
    with zipfile.ZipFile(ARCHIVE) as archive:
        below = tuple(f"{place}/" for place in places) or ""
        archive.extractall(data / BENCHMARK, [name for name in archive.namelist() if name.startswith(below)])
    return data / BENCHMARK
