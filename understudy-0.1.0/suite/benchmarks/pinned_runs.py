"""Pinned runs: which of a benchmark's pins the teacher runs on this machine are."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from understudy.suite.benchmarks import pins, teacher_data
from understudy.suite.benchmarks.benchmark import Benchmark
from understudy.suite.benchmarks.pins import Pin, Pins
from understudy.suite.benchmarks.teacher_data import TeacherRun
from understudy.suite.errors import InputError
from understudy.suite.io import files


def pinned_among(benchmark: Benchmark, runs: Iterable[TeacherRun]) -> list[TeacherRun]:
    """Return the runs whose names are pinned; nothing is read, so one may have other moves."""
    pinned = pins.of(benchmark)
    return [run for run in runs if pinned.of_run(run.name)]


def verified_moves(pinned: Pins, run: TeacherRun) -> int:
    """Return how many moves of a stored run are pinned and the same; 0 where it is another run.

    Raises InputError if the run cannot be read.
    """
    of_run = pinned.of_run(run.name)
    if not of_run:
        return 0
    network = files.sha256(run.network_path) if run.network_path is not None else None
    return _verified(of_run, run, teacher_data.read(run).content_sha256, network)


def missing(pinned: Pins, benchmark: Benchmark) -> tuple[str, ...]:
    """Return the pinned runs that are not on this machine over all their pinned moves, by game and seed."""
    here = {run.name: run for run in teacher_data.teacher_runs(benchmark)}
    return tuple(
        name
        for name in pinned.names(benchmark, benchmark.games)
        if name not in here or verified_moves(pinned, here[name]) < pinned.of_run(name)[-1].moves
    )


def require(pinned: Pins, benchmark: Benchmark, run: TeacherRun) -> None:
    """Raise InputError unless a stored run is the pinned one of its name, up to W or to its pinned end."""
    longest = pinned.longest_of(run.name)
    needed = min(benchmark.watched_moves, longest.moves if longest else 1)
    if verified_moves(pinned, run) < needed:
        raise InputError(
            f"{run.history_path}: not the run {run.name} that {benchmark.name} pins, or without its network; "
            f"fetch it: understudy histories pull --benchmark {benchmark.name}"
        )


@functools.lru_cache(maxsize=teacher_data.KEPT_HISTORIES)
def _verified(of_run: tuple[Pin, ...], run: TeacherRun, content_sha256: str, network: str | None) -> int:
    from understudy.suite.histories import moves_hash

    history = teacher_data.read(run)
    for pin in reversed(of_run):
        if pin.moves > history.num_moves or network != pin.network_at_w:
            continue
        if moves_hash.sha256(history, pin.moves) == pin.sha256:
            return pin.moves
    return 0
