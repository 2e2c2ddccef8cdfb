"""Benchmarks: games, moves, windows, seeds and thresholds under one versioned name, one TOML file each."""

from __future__ import annotations

import hashlib
from pathlib import Path

from understudy.suite import registry
from understudy.suite.benchmarks import declaration
from understudy.suite.benchmarks.benchmark import Benchmark, Budget
from understudy.suite.benchmarks.teacher_data import (
    TeacherLife,
    read,
    require_one_recipe,
    roots,
    teacher_lives,
)
from understudy.suite.errors import InputError

__all__ = [
    "Benchmark",
    "Budget",
    "TeacherLife",
    "differences_from_games",
    "load",
    "names",
    "read",
    "require_one_recipe",
    "roots",
    "teacher_lives",
]

FOLDER = Path(__file__).parent


def names() -> tuple[str, ...]:
    """Return the registered benchmarks' names."""
    return registry.names(FOLDER, ".toml")


def load(name: str) -> Benchmark:
    """Return a benchmark by name; InputError with a suggestion if there is none."""
    registry.choose(name, names(), "benchmark")
    path = FOLDER / f"{name}.toml"
    content = path.read_bytes()
    benchmark = declaration.parse(content.decode(), str(path), hashlib.sha256(content).hexdigest())
    if benchmark.name != name:
        raise InputError(f"{path}: expected name = {name!r}, as the file is called; found {benchmark.name!r}")
    return benchmark


def differences_from_games(benchmark: Benchmark) -> list[str]:
    """Return, as readable text, where the games' own declarations differ from the benchmark's."""
    from understudy.suite import games

    found = []
    for name in benchmark.games:
        game = games.load(name)
        for field in ("episode_cap_moves", "exploration"):
            declared, own = getattr(benchmark, field), getattr(game, field)
            if declared != own:
                found.append(f"{name}: {field} is {own} in the game, {declared} in {benchmark.name}")
    return found
