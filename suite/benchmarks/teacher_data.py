"""Which teacher lives are on this machine, and the one way to read them."""

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

if TYPE_CHECKING:
    from understudy.suite.histories.format import History

ENVIRONMENT_VARIABLE = (
    "UNDERSTUDY_DATA"  # folders or hf://..., separated as in PATH; instead of the usual ones
)
HISTORY = "history.parquet"
NETWORK_AT_W = "network_at_w.safetensors"
TEACHER = "teacher"  # a history's player.kind
KEPT_HISTORIES = (
    4096  # of a process, the last ones read; more than a benchmark has lives, or each round reads all
)


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
    """Return the data folders: those of UNDERSTUDY_DATA if set, else suite/data and a checkout's data.

    One that is `hf://datasets/user/repo@<commit hash>` is fetched if need be, and checked.
    """
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        return tuple(map(_root, _parts(chosen)))
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


def read(life: TeacherLife) -> History:
    """Return a teacher's life, read and checked once in a process as long as its file stays as it is.

    Raises InputError where it can't be read, isn't a teacher's, is of another game or seed than its folder
    says, was recorded under settings that this installation doesn't have, or lies beside another life's
    network.
    """
    try:
        stored = life.history_path.stat()
    except OSError as error:
        raise InputError(f"{life.history_path}: no such history file") from error
    return _read(life, stored.st_mtime_ns, stored.st_size)


@functools.lru_cache(maxsize=KEPT_HISTORIES)
def _read(life: TeacherLife, modified_ns: int, size_bytes: int) -> History:
    from understudy.suite.histories import format as history_format
    from understudy.suite.histories import replay, stamps

    history = history_format.read(life.history_path)
    problem = _misplaced(life, history)
    if problem:
        raise InputError(f"{life.history_path}: {problem}")
    try:
        replay.require_comparable(history)
    except InputError as error:
        raise InputError(f"{life.history_path}: {error}") from error
    if life.network_path is not None:
        stamps.require(life.network_path, history.header, history.header.life.get("watched_moves", 0))
    return history


def require_one_recipe(lives: Sequence[TeacherLife]) -> None:
    """Raise InputError if one of a benchmark's teachers learned by other settings than the first."""
    from understudy.suite import games

    settings = [read(life).header.player.get("settings", {}) for life in lives]
    for life, own in zip(lives, settings, strict=True):
        differing = games.differing_settings(own, settings[0])
        if differing:
            raise InputError(
                f"{life.history_path}: taught with {differing[0]} as {lives[0].name} was; a benchmark's "
                "teachers follow one recipe, keep the others in another data folder"
            )


def _misplaced(life: TeacherLife, history: History) -> str | None:
    """Return why a history is not the teacher's life that its folder says, or None."""
    header = history.header
    kind = header.player.get("kind")
    if kind != TEACHER:
        return (
            f"expected a teacher's life, found player.kind {kind!r}; rulers and watched data are teachers' "
            "lives only: move it out of the data folder"
        )
    if header.game != life.game:
        return f"its folder says {life.game}, its history {header.game}; rename the folder"
    if header.player.get("seed") != life.seed:
        return f"its folder says seed-{life.seed}, its history seed {header.player.get('seed')}; rename it"
    return None


def _parts(chosen: str) -> list[str]:
    """Split at the separator of PATH, which a name on the Hub may hold too."""
    separator = re.escape(os.pathsep)
    return re.findall(rf"{locations.SCHEME}[^{separator}]*|[^{separator}]+", chosen)


def _root(part: str) -> Path:
    if not locations.names_hub(part):
        return Path(part).expanduser()
    return client.folder(part, lambda line: print(line, file=sys.stderr))


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
