"""Policies: read networks trained elsewhere as teachers' networks; one file per format, object `POLICY`.

Such a network has no history; `fixed_player` records how it plays here. Nothing is ever unpickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from understudy.suite import registry
from understudy.suite.protocols import Game
from understudy.suite.teachers.network import Parameters

LACKS = (
    "no learning history: this is how the finished player plays, not how it learned",
    "it was trained under other settings, often with ends at each lost life, fire at the start, no sticky "
    "actions: its skill here is not its published one",
    "never a reference, and no watched run of a benchmark",
)


class Policy(Protocol):
    """One format of stored networks."""

    def load(self, path: Path, game: Game) -> Parameters:
        """Return the network in a file as a teacher's network of `game`, S = 1.

        Raises InputError, in one line that names the file, if it holds something else or doesn't fit.
        """


def policies() -> tuple[str, ...]:
    """Return the registered formats' names."""
    return registry.names(__path__)


def policy(name: str) -> Policy:
    """Return a format by name; InputError with a suggestion if there is none."""
    registry.choose(name, policies(), "policy format")
    loaded: Policy = registry.load(__name__, name, "POLICY")
    return loaded
