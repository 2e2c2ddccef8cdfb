"""Imitators: one self-contained file an architecture or control, each with one object `ARCHITECTURE`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from understudy.suite import registry
from understudy.suite.errors import InputError
from understudy.suite.protocols import Game

if TYPE_CHECKING:
    from torch import nn


class Architecture(Protocol):
    """A family of trainable imitators; `control` is False.

    The modules it builds are imitators (suite/protocols.py) and carry `reach_moves`: how many of the newest
    moves, the present one included, can change the logits; None where there is no such bound.
    """

    name: str
    control: bool

    def config(self, game: Game, **overrides: Any) -> dict[str, Any]:
        """Return all settings, fit for JSON: the game's defaults with overrides; InputError for bad ones."""

    def build(self, config: Mapping[str, Any], game: Game, seed: int = 0) -> nn.Module:
        """Return an untrained imitator, its parameters drawn from `seed`; InputError for a bad config."""


class Control(Protocol):
    """A player with a known answer, made from a teacher's life and not trained; `control` is True."""

    name: str
    control: bool
    decoding: str  # "greedy" or "sample": how its logits are meant

    def build_control(self, game: Game, teacher_folders: Sequence[Path]) -> nn.Module:
        """Return the player of some teachers, one for all lanes or one a lane.

        Raises InputError where a teacher's folder lacks what the player needs.
        """


def names() -> tuple[str, ...]:
    """Return the registered names; nothing is imported."""
    return registry.names(Path(__file__).parent)


def load(name: str) -> Architecture | Control:
    """Return an architecture or control by name; InputError with a suggestion if there is none."""
    registry.choose(name, names(), "architecture")
    loaded: Architecture | Control = registry.load(__name__, name, "ARCHITECTURE")
    return loaded


def load_architecture(name: str) -> Architecture:
    """Return a trainable architecture by name; InputError for a control."""
    loaded: Any = load(name)
    if loaded.control:
        raise InputError(f"{name!r} is a control and is not trained; choose an architecture")
    architecture: Architecture = loaded
    return architecture


def load_control(name: str) -> Control:
    """Return a control by name; InputError for a trainable architecture."""
    loaded: Any = load(name)
    if not loaded.control:
        raise InputError(f"{name!r} is an architecture and is trained first; a control was expected")
    control: Control = loaded
    return control
