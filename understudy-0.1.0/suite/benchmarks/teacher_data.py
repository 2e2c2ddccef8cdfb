"""Teacher data: finds the recorded teacher runs on this machine and reads them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from understudy.suite import registry
from understudy.suite.benchmarks import data_folders, pins
from understudy.suite.benchmarks.benchmark import Benchmark
from understudy.suite.errors import InputError
from understudy.suite.histories import run_archive
from understudy.suite.histories.history_format import TEACHER, History
from understudy.suite.hub import client, locations
from understudy.suite.io import walks
from understudy.suite.io.file_names import HISTORIES, HISTORY, NETWORK_AT_W
from understudy.suite.io.readable import StoredPath

# Cached in a process: fewer than a benchmark has would read all of them every time.
KEPT_HISTORIES = 16_384


@dataclass(frozen=True)
class TeacherRun:
    """One recorded run of a teacher, and its files."""

    game: str  # full name, family/variant
    variant: str
    seed: int
    folder: StoredPath  # a folder, or its place in an archive
    history_path: StoredPath
    network_path: StoredPath | None  # the teacher's network at W; None if there is none, as on new games
    segment_moves: int  # of the benchmark
    watched_moves: int  # W of the benchmark

    @property
    def name(self) -> str:
        """The run's name within its benchmark, e.g. `breakout/seed-0`."""
        return f"{self.variant}/seed-{self.seed}"


def teacher_runs(
    benchmark: Benchmark, folders: Sequence[Path] | None = None, more: Sequence[Path] = ()
) -> list[TeacherRun]:
    """Return the benchmark's recorded teacher runs, in order of game and seed.

    A run is `<folder>/<benchmark>/<variant>/seed-<k>/history.parquet`, or `<variant>/...` in the archive
    `<folder>/<benchmark>/histories.zip`; `folders` default to `data_folders.roots()`, and to what was pulled
    of the pinned runs, which then takes the place of a shorter copy. `more` are folders beside those.
    Raises InputError if a given folder does not exist, if a run is of a game that the benchmark does not
    have, if one run is in two places, or if an archive is damaged.
    """
    explicit = folders is not None or data_folders.are_chosen()
    found: dict[tuple[str, int], TeacherRun] = {}
    for folder in (*(data_folders.roots() if folders is None else folders), *more):
        if (explicit or folder in more) and not folder.is_dir():
            found_there = "is not a folder" if folder.exists() else "does not exist"
            raise InputError(
                f"data folder {folder} {found_there}; set {data_folders.ENVIRONMENT_VARIABLE} to another"
            )
        for run in _runs_in(folder, benchmark):
            other = found.setdefault((run.game, run.seed), run)
            if other is not run:
                raise InputError(
                    f"{benchmark.name} {run.name} is in {other.folder} and in {run.folder}; keep one"
                )
    if not explicit:
        found |= {(run.game, run.seed): run for run in _pulled(benchmark)}
    order = {game: position for position, game in enumerate(benchmark.games)}
    return sorted(found.values(), key=lambda run: (order[run.game], run.seed))


def _runs_in(folder: Path, benchmark: Benchmark) -> Iterator[TeacherRun]:
    """Yield the runs of a benchmark in a data folder, in folders or packed."""
    within = folder / benchmark.name
    unpacked: list[StoredPath] = [*walks.matching(within, f"*/seed-*/{HISTORY}")]
    for path in [*unpacked, *run_archive.histories(within / HISTORIES)]:
        yield _teacher_run(benchmark, path)


def _pulled(benchmark: Benchmark) -> Iterator[TeacherRun]:
    """Yield the runs whose longest pin has a published source, from that source, if it was pulled."""
    pinned = pins.of(benchmark)
    for source in pinned.published:
        folder = client.cached(locations.parse(source))
        if folder is not None:
            for run in _runs_in(folder, benchmark):
                longest = pinned.longest_of(run.name)
                if longest is not None and longest.source == source:
                    yield run


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
    return read_uncached(run)


def read_uncached(run: TeacherRun) -> History:
    """Return a run's history as `read` does, and keep nothing in memory."""
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


def _teacher_run(benchmark: Benchmark, history_path: StoredPath) -> TeacherRun:
    folder = history_path.parent
    variant, seed = folder.parent.name, folder.name.removeprefix("seed-")
    if not (seed.isascii() and seed.isdigit()):
        raise InputError(f"{folder}: expected a folder seed-<number>; found {folder.name!r}")
    variants = [game.partition("/")[2] for game in benchmark.games]
    if variant not in variants:
        registry.choose(variant, variants, f"game of {benchmark.name} in {folder}:")
    network = folder / NETWORK_AT_W
    return TeacherRun(
        game=f"{benchmark.family}/{variant}",
        variant=variant,
        seed=int(seed),
        folder=folder,
        history_path=history_path,
        network_path=network if _is_there(network) else None,
        segment_moves=benchmark.segment_moves,
        watched_moves=benchmark.watched_moves,
    )


def _is_there(path: StoredPath) -> bool:
    """Return whether there is such a file; InputError for a link to nothing, or if it may not be seen."""
    return walks.is_file(path) if isinstance(path, Path) else path.exists()
