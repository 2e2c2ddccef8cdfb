"""Teacher data: finds the recorded teacher runs on this machine and reads them."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.suite import registry
from understudy.suite.benchmarks.benchmark import Benchmark
from understudy.suite.errors import InputError
from understudy.suite.hub import client, locations
from understudy.suite.io import paths, walks
from understudy.suite.io.file_names import HISTORY, NETWORK_AT_W

if TYPE_CHECKING:
    from understudy.suite.histories.history_format import History

ENVIRONMENT_VARIABLE = (
    "UNDERSTUDY_DATA"  # folders or hf://..., separated as in PATH; replaces the default folders
)
TEACHER = "teacher"  # a history's player.kind
EMBEDDED = Path(__file__).resolve().parent.parent / "data"  # the runs that come with the package
KEPT_HISTORIES = (
    4096  # histories cached in a process; fewer than a benchmark's runs would read all of them every time
)


@dataclass(frozen=True)
class TeacherRun:
    """One recorded run of a teacher, and its files."""

    game: str  # full name, family/variant
    variant: str
    seed: int
    folder: Path
    history_path: Path
    network_path: Path | None  # the teacher's network at W; None if there is none, as on new games
    segment_moves: int  # of the benchmark
    watched_moves: int  # W of the benchmark

    @property
    def name(self) -> str:
        """The run's name within its benchmark, e.g. `breakout/seed-0`."""
        return f"{self.variant}/seed-{self.seed}"


def roots() -> tuple[Path, ...]:
    """Return the data folders: those of UNDERSTUDY_DATA if set, else suite/data and a checkout's data.

    A location `hf://datasets/user/repo@<commit hash>` is fetched if it is not there yet, and checked.
    """
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        return tuple(map(_root, _parts(chosen)))
    checkout = EMBEDDED.parent.parent
    beside = (checkout / "data",) if (checkout / "pyproject.toml").is_file() else ()
    return (EMBEDDED, *beside)


def teacher_runs(benchmark: Benchmark, folders: Sequence[Path] | None = None) -> list[TeacherRun]:
    """Return the benchmark's recorded teacher runs, in order of game and seed.

    A run is `<folder>/<benchmark>/<variant>/seed-<k>/history.parquet`; `folders` default to `roots()`.
    Raises InputError if a given folder does not exist, if a run is of a game that the benchmark does not
    have, or if one run is in two folders.
    """
    explicit = folders is not None or bool(os.environ.get(ENVIRONMENT_VARIABLE))
    found: dict[tuple[str, int], TeacherRun] = {}
    for folder in roots() if folders is None else folders:
        if explicit and not folder.is_dir():
            found_there = "is not a folder" if folder.exists() else "does not exist"
            raise InputError(
                f"data folder {folder} {found_there}; set {ENVIRONMENT_VARIABLE} to one that does"
            )
        for path in walks.matching(folder / benchmark.name, f"*/seed-*/{HISTORY}"):
            run = _teacher_run(benchmark, path)
            other = found.setdefault((run.game, run.seed), run)
            if other is not run:
                raise InputError(
                    f"{benchmark.name} {run.name} is in {other.folder} and in {run.folder}; keep one"
                )
    order = {game: position for position, game in enumerate(benchmark.games)}
    return sorted(found.values(), key=lambda run: (order[run.game], run.seed))


def read(run: TeacherRun) -> History:
    """Return a teacher's run; it is read and checked once in a process while its file is unchanged.

    Raises InputError if it cannot be read, is not a teacher's, is of another game or seed than its folder
    names, was recorded under settings that this installation does not have, has other segments than its
    moves and the benchmark's rule give, or is stored beside another run's network.
    """
    try:
        stored = run.history_path.stat()
    except OSError as error:
        raise InputError(f"{run.history_path}: no such history file") from error
    return _read(run, stored.st_mtime_ns, stored.st_size)


@functools.lru_cache(maxsize=KEPT_HISTORIES)
def _read(run: TeacherRun, modified_ns: int, size_bytes: int) -> History:
    from understudy.suite.histories import derived_segments, history_format, provenance, replay

    history = history_format.read(run.history_path)
    problem = _misplaced(run, history)
    if problem:
        raise InputError(f"{run.history_path}: {problem}")
    try:
        replay.require_comparable(history)
    except InputError as error:
        raise InputError(f"{run.history_path}: {error}") from error
    rule = derived_segments.teacher_rule(run.segment_moves, run.watched_moves)
    problem = derived_segments.difference(history, rule)
    if problem:
        raise InputError(f"{run.history_path}: {problem}")
    if run.network_path is not None:
        provenance.require(run.network_path, history.header, history.header.run.get("watched_moves", 0))
    return history


def require_same_training_settings(runs: Sequence[TeacherRun]) -> None:
    """Raise InputError if one of a benchmark's teachers was trained with other settings than the first."""
    from understudy.suite import games

    settings = [read(run).header.player.get("settings", {}) for run in runs]
    for run, own in zip(runs, settings, strict=True):
        differing = games.differing_settings(own, settings[0])
        if differing:
            raise InputError(
                f"{run.history_path}: trained with {differing[0]} as {runs[0].name} was; a benchmark's "
                "teachers share their training settings, keep the others in another data folder"
            )


def _misplaced(run: TeacherRun, history: History) -> str | None:
    """Return why a history is not the teacher's run that its folder names, or None."""
    header = history.header
    kind = header.player.get("kind")
    if kind != TEACHER:
        return (
            f"expected a teacher's run, found player.kind {kind!r}; references and watched data are teacher "
            "runs only: move it out of the data folder"
        )
    if header.game != run.game:
        return f"its folder names {run.game}, its history {header.game}; rename the folder"
    if header.player.get("seed") != run.seed:
        return f"its folder names seed-{run.seed}, its history seed {header.player.get('seed')}; rename it"
    return None


def _parts(chosen: str) -> list[str]:
    """Split at the separator of PATH; a location on the Hub may contain it too."""
    separator = re.escape(os.pathsep)
    return re.findall(rf"{locations.SCHEME}[^{separator}]*|[^{separator}]+", chosen)


def _root(part: str) -> Path:
    if not locations.names_hub(part):
        return paths.expanded(part, ENVIRONMENT_VARIABLE)
    return client.folder(part, lambda line: print(line, file=sys.stderr))


def _teacher_run(benchmark: Benchmark, history_path: Path) -> TeacherRun:
    folder = history_path.parent
    variant, seed = folder.parent.name, folder.name.removeprefix("seed-")
    if not (seed.isascii() and seed.isdigit()):
        raise InputError(f"{folder}: expected a folder seed-<number>; found {folder.name!r}")
    variants = [game.partition("/")[2] for game in benchmark.games]
    registry.choose(variant, variants, f"game of {benchmark.name} in {folder}:")
    network = folder / NETWORK_AT_W
    return TeacherRun(
        game=f"{benchmark.family}/{variant}",
        variant=variant,
        seed=int(seed),
        folder=folder,
        history_path=history_path,
        network_path=network if walks.is_file(network) else None,
        segment_moves=benchmark.segment_moves,
        watched_moves=benchmark.watched_moves,
    )
