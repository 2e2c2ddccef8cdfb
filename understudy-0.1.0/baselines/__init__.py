"""Imitators: one self-contained file per architecture, each with one object `ARCHITECTURE`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from understudy.suite import registry
from understudy.suite.errors import InputError
from understudy.suite.protocols import Game

if TYPE_CHECKING:
    from torch import nn


class Architecture(Protocol):
    """A family of trainable imitators.

    `build` returns imitators (suite/protocols.py) that are modules with parameters to train. They may have
    two more members, both read in training alone: `context_moves`, how many moves a layer attends to, which
    refuses windows shorter than twice that; and `state_at(moves)`, int64 [B] -> State, if the state depends
    on the number of moves alone, which begins a window with the state at its first move. An architecture may
    have `settings`, the dataclass of its settings (`validation.bounded`), which `train --settings` lists;
    `small`, settings of a small model for quick tests; and `reads(game) -> bool`, false for games that
    `config` and `build` refuse by InputError.
    `suite/testing/architecture_checks.py` checks all of it.
    """

    name: str

    def config(self, game: Game, **overrides: Any) -> dict[str, Any]:
        """Return all settings as JSON values: the game's defaults with overrides; InputError for bad ones."""

    def build(self, config: Mapping[str, Any], game: Game, seed: int = 0) -> nn.Module:
        """Return an untrained imitator with parameters drawn from `seed`; InputError for a bad config."""


def names() -> tuple[str, ...]:
    """Return the registered architectures' names, without importing them."""
    return registry.names(__path__)


def load(name: str) -> Architecture:
    """Return an architecture by name.

    Raises InputError for an unknown name, with a suggestion, and for a control.
    """
    from understudy.baselines import controls

    if name not in names() and controls.is_control(name):
        raise InputError(f"{name!r} is a control and is not trained; choose an architecture")
    registry.choose(name, names(), "architecture")
    architecture: Architecture = registry.load(__name__, name, "ARCHITECTURE")
    return architecture
