"""Benchmarks: games, moves, windows, seeds and thresholds under one versioned name, one TOML file each."""

from __future__ import annotations

import functools
from pathlib import Path

from understudy.suite import registry
from understudy.suite.benchmarks import declaration, pins
from understudy.suite.benchmarks.benchmark import Benchmark, Budget
from understudy.suite.benchmarks.data_folders import roots
from understudy.suite.benchmarks.teacher_data import (
    TeacherRun,
    read,
    require_same_training_settings,
    teacher_runs,
)
from understudy.suite.errors import InputError
from understudy.suite.io import bounded

__all__ = [
    "Benchmark",
    "Budget",
    "TeacherRun",
    "differences_from_games",
    "load",
    "names",
    "pins",
    "read",
    "require_same_training_settings",
    "roots",
    "teacher_runs",
]


def names() -> tuple[str, ...]:
    """Return the registered benchmarks' names."""
    return registry.names(__path__, ".toml")


def load(name: str) -> Benchmark:
    """Return a benchmark by name; InputError with a suggestion if there is none."""
    registry.choose(name, names(), "benchmark")
    path = next(path for folder in __path__ if (path := Path(folder) / f"{name}.toml").is_file())
    benchmark = _parsed(bounded.text(path), str(path))
    if benchmark.name != name:
        raise InputError(f"{path}: expected name = {name!r}, the file's name; found {benchmark.name!r}")
    return benchmark


@functools.lru_cache(maxsize=64)
def _parsed(text: str, where: str) -> Benchmark:
    return declaration.parse(text, where)


def differences_from_games(benchmark: Benchmark) -> list[str]:
    """Return a line for each setting in which a game differs from the benchmark's declaration."""
    from understudy.suite import games

    found = []
    for name in benchmark.games:
        game = games.load(name)
        for field in ("episode_cap_moves", "exploration"):
            declared, own = getattr(benchmark, field), getattr(game, field)
            if declared != own:
                found.append(f"{name}: {field} is {own} in the game, {declared} in {benchmark.name}")
    return found
