"""Games as seeded vector environments: one file per family, each with one object `FAMILY`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import gymnasium
import numpy as np

from understudy.suite import registry
from understudy.suite.errors import InputError
from understudy.suite.protocols import Game


class SeededVectorEnv(Protocol):
    """The part of Gymnasium's `VectorEnv` that the suite uses; seeds are arrays, one per lane being reset."""

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
        """Return one game's description; its only cost is hashing for the fingerprint."""

    def make(self, variants: Sequence[str], threads: int) -> gymnasium.vector.VectorEnv[Any, Any, Any]:
        """Return a vector environment with one lane per variant, autoreset mode SameStep, not yet reset.

        `reset(seed=int array, options={"reset_mask": bool [B]})` restarts the masked lanes, with one seed
        for each; a restarted lane equals a newly made one with that seed.
        """

    def comparable(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
        """Return the settings that keep two fingerprints from being comparable, each as readable text."""


def families() -> tuple[str, ...]:
    """Return the registered families' names."""
    return registry.names(__path__)


def family(name: str) -> Family:
    """Return a family by name; raise InputError with a suggestion for an unknown one."""
    registry.choose(name, families(), "game family")
    loaded: Family = registry.load(__name__, name, "FAMILY")
    return loaded


def load(name: str) -> Game:
    """Return the game `family/variant`; raise InputError with a suggestion for an unknown one."""
    family_name, slash, variant = name.partition("/")
    if not slash:
        raise InputError(f"a game is named family/variant, e.g. atari/breakout; found {name!r}")
    found = family(family_name)
    registry.choose(variant, found.variants(), f"{family_name} game")
    return found.game(variant)


def make(games: Sequence[Game], threads: int = 1) -> SeededVectorEnv:
    """Return a vector environment with one lane per game; raise InputError unless they are of one family."""
    found = {game.family for game in games}
    if len(found) != 1:
        raise InputError(f"the lanes of one environment must be of one game family; found {sorted(found)}")
    made: Any = family(found.pop()).make([game.variant for game in games], threads)
    env: SeededVectorEnv = made
    return env


def differing_settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return `key: a, not b` for each entry in which two flat mappings differ."""
    keys = sorted(set(one) | set(other))
    return [f"{k}: {one.get(k)!r}, not {other.get(k)!r}" for k in keys if one.get(k) != other.get(k)]
