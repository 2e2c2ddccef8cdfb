"""Importers: what others have recorded, as foreign lives; one file a layout, each with one object `IMPORTER`.

A file `dqn_replay.py` here is the importer `dqn-replay`. No importer runs code that it finds in the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from understudy.suite import registry
from understudy.suite.histories.foreign import Steps
from understudy.suite.protocols import Game

BLOCK_MOVES = 1024  # at most so many moves are in memory at once


@dataclass(frozen=True)
class Opened:
    """A life that was found and looked at; its moves are read when `steps` is."""

    steps: Iterator[Steps]  # at most BLOCK_MOVES each; raises InputError where the data are damaged
    source: Mapping[str, Any]  # importer, files, sizes: what the history's header says of its origin
    lacks: tuple[str, ...]  # what is missing, a line each
    most_moves: int  # no more come


class Importer(Protocol):
    """One layout of recorded experience."""

    takes_shards: bool  # whether a part can be chosen by the shards' numbers

    def open(self, source: Path, game: Game, shards: range | None) -> Opened:
        """Look at a life of `game` in the folder `source`, or at some of its shards.

        Raises InputError, in one line that names the file, where something is absent or doesn't fit.
        """


def importers() -> tuple[str, ...]:
    """Return the registered importers' names."""
    return registry.names(Path(__file__).parent)


def importer(name: str) -> Importer:
    """Return an importer by name; InputError with a suggestion if there is none."""
    registry.choose(name, importers(), "importer")
    loaded: Importer = registry.load(__name__, name, "IMPORTER")
    return loaded
