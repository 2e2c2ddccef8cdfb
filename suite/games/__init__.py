"""Games as seeded vector environments: one file a family, each with one object `FAMILY`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import gymnasium
import numpy as np

from understudy.suite import registry
from understudy.suite.errors import InputError
from understudy.suite.protocols import Game


class SeededVectorEnv(Protocol):
    """What the suite uses of a Gymnasium vector environment: seeds are arrays, one a lane being reset."""

    def reset(
        self, *, seed: np.ndarray | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Restart the lanes of `options["reset_mask"]` (bool [B]); return observations [B, ...]."""

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Execute int64 actions [B]; return observations, rewards, terminated, truncated, info."""

    def close(self) -> None:
        """Release the emulators."""


class Family(Protocol):
    """A family of games that share observation, action set and emulator."""

    mixes_variants: bool  # whether the lanes of one environment may play different games

    def variants(self) -> tuple[str, ...]:
        """Return the names of the family's games, without the family's name."""

    def game(self, variant: str) -> Game:
        """Return one game's description; cheap but for the fingerprint's hashing."""

    def make(self, variants: Sequence[str], threads: int) -> gymnasium.vector.VectorEnv[Any, Any, Any]:
        """Return a vector environment, one lane a variant, autoreset SameStep, not yet reset.

        `reset(seed=int array of the lanes being reset, options={"reset_mask": bool [B]})` restarts
        single lanes; a restarted lane equals a freshly made one with that seed.
        """

    def comparable(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
        """Return the settings, as readable text, in which two fingerprints differ enough to matter."""


def families() -> tuple[str, ...]:
    """Return the registered families' names."""
    return registry.names(Path(__file__).parent)


def family(name: str) -> Family:
    """Return a family by name; InputError with a suggestion if there is none."""
    registry.choose(name, families(), "game family")
    loaded: Family = registry.load(__name__, name, "FAMILY")
    return loaded


def load(name: str) -> Game:
    """Return the game `family/variant`; InputError with a suggestion if there is none."""
    family_name, slash, variant = name.partition("/")
    if not slash:
        raise InputError(f"a game is named family/variant, e.g. atari/breakout; found {name!r}")
    found = family(family_name)
    registry.choose(variant, found.variants(), f"{family_name} game")
    return found.game(variant)


def make(games: Sequence[Game], threads: int = 1) -> SeededVectorEnv:
    """Return a vector environment with one lane a game; all games must be of one family."""
    found = {game.family for game in games}
    if len(found) != 1:
        raise InputError(f"the lanes of one environment are of one game family; found {sorted(found)}")
    made: Any = family(found.pop()).make([game.variant for game in games], threads)
    env: SeededVectorEnv = made
    return env


def differing_settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return `key: a, not b` for each entry in which two flat mappings differ."""
    keys = sorted(set(one) | set(other))
    return [f"{k}: {one.get(k)!r}, not {other.get(k)!r}" for k in keys if one.get(k) != other.get(k)]
