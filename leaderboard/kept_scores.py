"""Kept scores: verdicts that were derived on this machine before, so that a board of unchanged rows is quick.

Scoring is a pure function of a row, of what it is compared with, of this code and of the libraries. What it
gave is kept in the user's cache under a hash of all of these; anything else is scored anew. `rescore` and
`verify --again` never read it. A file that someone else could have written is not read.
"""

from __future__ import annotations

import functools
import os
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from understudy.leaderboard.stored_rows import RowFolder
from understudy.suite import benchmarks
from understudy.suite.benchmarks import Benchmark, TeacherRun
from understudy.suite.errors import InputError, MachineError
from understudy.suite.harness import records
from understudy.suite.histories import frame_cache, replay_notes
from understudy.suite.io import files, walks

FOLDER: Final = "scored"  # in the user's cache
REFERENCE_PLAYERS: Final = ("frozen-teacher", "random")  # of whose rows the references' start runs are read
MOST_KEPT: Final = 2_000  # files; the oldest go
PACKAGE: Final = Path(__file__).resolve().parent.parent
CODE: Final = (
    "suite",
    "suite/*",
    "leaderboard",
    "baselines",
    "baselines/controls",
)  # that scoring runs or names


class KeptScores:
    """Values by key in one folder; one that cannot be read or written keeps nothing, which is no failure."""

    def __init__(self, folder: Path | None) -> None:
        """Name the folder; None keeps nothing."""
        self._folder = folder

    def get(self, key: str) -> Any | None:
        """Return what is kept under a key, or None."""
        if self._folder is None:
            return None
        data = replay_notes.read_own(self._folder / f"{key}.pickle")
        if data is None:
            return None
        try:
            return pickle.loads(data)
        except Exception:  # of another version, or damaged: scored anew
            return None

    def put(self, key: str, value: Any) -> None:
        """Keep a value under a key."""
        if self._folder is None:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with files.written_atomically(self._folder / f"{key}.pickle") as file:
                os.chmod(file.name, 0o600)
                file.write(pickle.dumps(value))
            self._forget_oldest(self._folder)
        except (OSError, NotImplementedError, MachineError):
            return

    @staticmethod
    def _forget_oldest(folder: Path) -> None:
        kept = walks.matching(folder, "*.pickle")
        if len(kept) > MOST_KEPT:
            for path in sorted(kept, key=lambda path: path.stat().st_mtime_ns)[: len(kept) - MOST_KEPT]:
                path.unlink(missing_ok=True)


def of_this_user() -> KeptScores:
    """Return what is kept in the user's cache, beside the frames."""
    try:
        return KeptScores(frame_cache.folder() / FOLDER)
    except InputError:  # no home folder
        return KeptScores(None)


class Keys:
    """The keys of one results folder's scores; what the rows of a budget share is looked up once."""

    def __init__(self, results: Path) -> None:
        """Name the results folder."""
        self._results = results
        self._shared: dict[tuple[str, str], list[Any]] = {}

    def of_row(self, row: RowFolder) -> str:
        """Return the key of a row's scores. Raises InputError if a file cannot be read."""
        return _key("row", self._budget_facts(row.benchmark, row.budget), row.name, _files([row.path]))

    def of_watched(self, benchmark: str, budget: str) -> str:
        """Return the key of the teachers' curve over the watched moves; raises as `of_row`."""
        return _key("watched", self._budget_facts(benchmark, budget))

    def _budget_facts(self, benchmark: str, budget: str) -> list[Any]:
        """Return what all rows of a budget are compared with: teacher runs and rows of reference players."""
        if (benchmark, budget) not in self._shared:
            loaded = benchmarks.load(benchmark)
            rows = [self._results / benchmark / budget / name for name in REFERENCE_PLAYERS]
            found = _files(path for path in rows if _is_row(path))
            self._shared[benchmark, budget] = [loaded.identity, budget, _teachers(loaded), found]
        return self._shared[benchmark, budget]


def _key(*parts: Any) -> str:
    return files.text_sha256(files.canonical_json([*parts, code_sha256()]))


def _teachers(benchmark: Benchmark) -> list[Any]:
    """Return each teacher run's files by size and time of change, as `benchmarks.read` keeps them apart."""
    return [[run.name, str(run.folder), *_stamps(run)] for run in benchmarks.teacher_runs(benchmark)]


def _stamps(run: TeacherRun) -> list[tuple[int, int]]:
    found = [path.stat() for path in (run.history_path, run.network_path) if path is not None]
    return [(each.st_size, each.st_mtime_ns) for each in found]


def _files(folders: Iterable[Path]) -> list[list[str]]:
    """Return name and SHA-256 of every file of some rows."""
    return [
        [folder.name, path.relative_to(folder).as_posix(), files.sha256(path)]
        for folder in folders
        for path in walks.files(folder)
    ]


def _is_row(folder: Path) -> bool:
    return walks.is_file(folder / records.ROW)


@functools.cache
def code_sha256() -> str:
    """Return the SHA-256 of this package's code and data that scoring depends on, and of the libraries."""
    sources = sorted(
        path
        for folder in CODE
        for pattern in ("*.py", "*.toml", "*.json")
        for path in PACKAGE.glob(f"{folder}/{pattern}")
    )
    listed = [[path.relative_to(PACKAGE).as_posix(), files.sha256(path)] for path in sources]
    return files.text_sha256(files.canonical_json([listed, replay_notes.software_sha256()]))
