"""Importers of runs that others recorded: one file per layout, each with one object `IMPORTER`.

A file `dqn_replay.py` here is the importer `dqn-replay`. No importer executes code from the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from understudy.suite import registry
from understudy.suite.histories.imported import MoveBlock
from understudy.suite.protocols import Game

BLOCK_MOVES = 1024  # the most moves in memory at once


@dataclass(frozen=True)
class Opened:
    """A run whose files were found and checked; its moves are read when `blocks` is iterated."""

    blocks: Iterator[MoveBlock]  # of at most BLOCK_MOVES each; raises InputError if the data are damaged
    source: Mapping[str, Any]  # where the run comes from, for the history's header: importer, files, sizes
    lacks: tuple[str, ...]  # what the run lacks, one text each
    max_moves: int  # upper bound on the number of moves


class Importer(Protocol):
    """Reads one layout of recorded experience."""

    takes_shards: bool  # whether `open` accepts a range of shards

    def open(self, source: Path, game: Game, shards: range | None) -> Opened:
        """Open a run of `game` in the folder `source`, or only some of its shards.

        Raises InputError, in one line that names the file, if something is missing or doesn't fit.
        """


def importers() -> tuple[str, ...]:
    """Return the registered importers' names."""
    return registry.names(__path__)


def importer(name: str) -> Importer:
    """Return an importer by name; raise InputError with a suggestion for an unknown one."""
    registry.choose(name, importers(), "importer")
    loaded: Importer = registry.load(__name__, name, "IMPORTER")
    return loaded
