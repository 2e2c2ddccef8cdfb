"""Pins: the teacher runs that a benchmark's references are made of, named by hashes of their moves.

`<benchmark>.data.json` beside the benchmark's file lists them. Pins are only ever added: a run that was
continued is pinned again with more moves. A data folder of one's own that holds such a file replaces them,
and its verdicts are marked.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import pydantic.dataclasses
from pydantic import BaseModel, Field

from understudy.suite import validation
from understudy.suite.benchmarks import data_folders
from understudy.suite.benchmarks.benchmark import Benchmark
from understudy.suite.errors import InputError
from understudy.suite.io import bounded, files, walks
from understudy.suite.validation import Sha256

SUFFIX: Final = ".data.json"
FORMAT: Final = 1
EMBEDDED: Final = "embedded"  # the source of runs that come with the package


@pydantic.dataclasses.dataclass(frozen=True, config=validation.STRICT_FIELDS)
class Pin:
    """The first moves of one teacher's run, pinned by their hash."""

    run: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}/seed-[0-9]{1,9}$")]  # variant/seed-k
    moves: Annotated[int, Field(ge=1)]
    sha256: Sha256  # of those moves: `moves_hash.sha256`
    network_at_w: Sha256 | None  # of the file of the network at W; None on new games
    # EMBEDDED, a pinned dataset on the Hub, or None: not published yet
    source: Annotated[str, Field(pattern=r"^(embedded|hf://datasets/[^@]+@[0-9a-f]{40})$")] | None


@dataclass(frozen=True)
class Pins:
    """The pins of one benchmark."""

    path: Path  # of the file, which need not exist
    pins: tuple[Pin, ...]

    def come_with(self, benchmark: Benchmark) -> bool:
        """Return whether they lie beside the benchmark's file, rather than in a data folder of one's own."""
        return self.path.parent == benchmark.path.parent

    @property
    def published(self) -> tuple[str, ...]:
        """The datasets on the Hub that are sources of pinned runs, each once."""
        sources = (pin.source for pin in self.pins)
        return tuple(dict.fromkeys(each for each in sources if each not in (None, EMBEDDED)))

    def of_run(self, name: str) -> tuple[Pin, ...]:
        """Return a run's pins, the shortest first."""
        return self._by_run.get(name, ())

    def longest_of(self, name: str) -> Pin | None:
        """Return a run's pin over its most moves; None if it has none."""
        return self.of_run(name)[-1] if name in self._by_run else None

    def names(self, benchmark: Benchmark, games: Sequence[str], moves: int = 1) -> tuple[str, ...]:
        """Return the runs of some games that are pinned over at least so many moves, by game and seed."""
        variants = [game.partition("/")[2] for game in games]
        found = [name for name, pins in self._by_run.items() if pins[-1].moves >= moves]
        chosen = [name for name in found if name.partition("/")[0] in variants]
        return tuple(sorted(chosen, key=lambda name: (variants.index(name.partition("/")[0]), _seed(name))))

    @functools.cached_property
    def _by_run(self) -> dict[str, tuple[Pin, ...]]:
        found: dict[str, list[Pin]] = {}
        for pin in self.pins:
            found.setdefault(pin.run, []).append(pin)
        return {name: tuple(sorted(pins, key=lambda pin: pin.moves)) for name, pins in found.items()}


class _File(BaseModel):
    model_config = validation.STRICT
    format: Literal[1]
    runs: tuple[Pin, ...]


def of(benchmark: Benchmark) -> Pins:
    """Return a benchmark's pins: those in a chosen data folder if it has some, else the package's.

    Raises InputError if the file is malformed or pins one run twice.
    """
    packaged = path_of(benchmark, benchmark.path.parent)
    chosen = data_folders.roots() if data_folders.are_chosen() else ()
    of_ones_own = (path_of(benchmark, folder) for folder in chosen)
    return read(next((path for path in of_ones_own if walks.is_file(path)), packaged))


def path_of(benchmark: Benchmark, folder: Path) -> Path:
    """Return where a benchmark's pins lie in a folder: its own file's, or a data folder."""
    return folder / f"{benchmark.name}{SUFFIX}"


def read(path: Path) -> Pins:
    """Return the pins of a file, none if there is no such file; InputError as `of`."""
    if not walks.is_file(path):
        return Pins(path, ())
    return _read(path, path.stat().st_mtime_ns, path.stat().st_size)


def append(path: Path, new: Iterable[Pin]) -> Pins:
    """Add pins to a file, which is made if there is none, and return all of them; raises as `merged`."""
    found = merged(read(path), new)
    files.write_json(path, {"format": FORMAT, "runs": [asdict(pin) for pin in found.pins]})
    return found


def merged(pinned: Pins, new: Iterable[Pin]) -> Pins:
    """Return pins with others added to them.

    Pins that are there already stay as they are, except that one without a source may get it.

    Raises InputError for a pin that contradicts one that is there, or for two runs with the same moves.
    """
    path, found = pinned.path, list(pinned.pins)
    known = {(pin.run, pin.moves): index for index, pin in enumerate(found)}
    for pin in new:
        index = known.get((pin.run, pin.moves))
        if index is None:
            known[pin.run, pin.moves] = len(found)
            found.append(pin)
            continue
        old = found[index]
        if (old.sha256, old.network_at_w) != (pin.sha256, pin.network_at_w):
            raise InputError(
                f"{path}: {pin.run}: its first {pin.moves:,} moves or its network are pinned as "
                f"{old.sha256[:12]}, found {pin.sha256[:12]}; pins never change: number the run otherwise"
            )
        found[index] = pin if old.source is None else old
    _refuse_contradictions(found, path)
    return Pins(path, tuple(found))


@functools.lru_cache(maxsize=64)
def _read(path: Path, modified_ns: int, size_bytes: int) -> Pins:
    found = validation.document(_File, bounded.read(path), path, "restore it").runs
    _refuse_contradictions(found, path)
    return Pins(path, found)


def _refuse_contradictions(pins: Sequence[Pin], path: Path) -> None:
    """Raise InputError for two pins of one run and length, or two runs with the same moves."""
    lengths: set[tuple[str, int]] = set()
    runs: dict[str, str] = {}
    for pin in pins:
        if (pin.run, pin.moves) in lengths:
            raise InputError(f"{path}: {pin.run} with {pin.moves:,} moves is pinned twice; remove one")
        lengths.add((pin.run, pin.moves))
        other = runs.setdefault(pin.sha256, pin.run)
        if other != pin.run:
            raise InputError(f"{path}: {other} and {pin.run} have the same moves and are one run; remove one")


def _seed(name: str) -> int:
    return int(name.rpartition("-")[2])
