"""Which teacher lives are on this machine: a scan of the data folders, nothing opened."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from understudy.suite import registry
from understudy.suite.benchmarks.benchmark import Benchmark
from understudy.suite.errors import InputError

ENVIRONMENT_VARIABLE = "UNDERSTUDY_DATA"  # folders, separated as in PATH; used instead of the usual ones
HISTORY = "history.parquet"
NETWORK_AT_W = "network_at_w.safetensors"


@dataclass(frozen=True)
class TeacherLife:
    """Where one recorded life of a teacher lies."""

    game: str  # full name, family/variant
    variant: str
    seed: int
    folder: Path
    history_path: Path
    network_path: Path | None  # the teacher's network at W; None where the life is no watched one

    @property
    def name(self) -> str:
        """The life's name within its benchmark, e.g. `breakout/seed-0`."""
        return f"{self.variant}/seed-{self.seed}"


def roots() -> tuple[Path, ...]:
    """Return the data folders: those of UNDERSTUDY_DATA if set, else suite/data and a checkout's data."""
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        return tuple(Path(part).expanduser() for part in chosen.split(os.pathsep) if part)
    suite = Path(__file__).resolve().parent.parent
    checkout = suite.parent
    beside = (checkout / "data",) if (checkout / "pyproject.toml").is_file() else ()
    return (suite / "data", *beside)


def teacher_lives(benchmark: Benchmark, folders: Sequence[Path] | None = None) -> list[TeacherLife]:
    """Return the benchmark's recorded teacher lives, in order of game and seed.

    A life is `<folder>/<benchmark>/<variant>/seed-<k>/history.parquet`; `folders` default to `roots()`.
    Raises InputError if a folder that was asked for is absent, if a life is of a game that the benchmark
    doesn't have, or if one life lies in two folders.
    """
    explicit = folders is not None or bool(os.environ.get(ENVIRONMENT_VARIABLE))
    found: dict[tuple[str, int], TeacherLife] = {}
    for folder in roots() if folders is None else folders:
        if explicit and not folder.is_dir():
            raise InputError(
                f"data folder {folder} does not exist; set {ENVIRONMENT_VARIABLE} to one that does"
            )
        for path in sorted((folder / benchmark.name).glob(f"*/seed-*/{HISTORY}")):
            life = _teacher_life(benchmark, path)
            other = found.setdefault((life.game, life.seed), life)
            if other is not life:
                raise InputError(
                    f"{benchmark.name} {life.name} is in {other.folder} and in {life.folder}; keep one"
                )
    order = {game: position for position, game in enumerate(benchmark.games)}
    return sorted(found.values(), key=lambda life: (order[life.game], life.seed))


def _teacher_life(benchmark: Benchmark, history_path: Path) -> TeacherLife:
    folder = history_path.parent
    variant, seed = folder.parent.name, folder.name.removeprefix("seed-")
    if not (seed.isascii() and seed.isdigit()):
        raise InputError(f"{folder}: expected a folder seed-<number>; found {folder.name!r}")
    variants = [game.partition("/")[2] for game in benchmark.games]
    registry.choose(variant, variants, f"game of {benchmark.name} in {folder}:")
    network = folder / NETWORK_AT_W
    return TeacherLife(
        game=f"{benchmark.family}/{variant}",
        variant=variant,
        seed=int(seed),
        folder=folder,
        history_path=history_path,
        network_path=network if network.is_file() else None,
    )
