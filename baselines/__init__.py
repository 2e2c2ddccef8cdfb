"""Imitators: one self-contained file an architecture or control, each with one object `ARCHITECTURE`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Assignment:
    """What a control is told of the lives that it will play, one a lane."""

    game: Game  # of the watched lives; the played ones have its shapes
    watched_moves: int  # W
    moves: int  # N of the budget: how long a scored life is, also where a start job is shorter
    on_new_game: bool  # whether the lives are of a new game, begun with an empty memory
    teachers: tuple[Path, ...]  # [B] folder of each lane's watched teacher life
    new_teachers: tuple[Path | None, ...]  # [B] folder of a teacher's life on each lane's new game, if any
    variant: str = ""  # of a control that comes in several, e.g. "0.25"
    report: Callable[[int, int], None] = lambda done, total: None  # told of a teacher's relearning, in moves


class Control(Protocol):
    """A player with a known answer, made from a teacher's life and not trained; `control` is True."""

    name: str
    control: bool
    decoding: str  # "greedy" or "sample": how its logits are meant
    track: str  # "frozen", or "learning" where a hand-written rule learns in its state
    tasks: tuple[str, ...]  # that it is meant for: skill, improvement, transfer
    variants: tuple[str, ...]  # what may follow its name, e.g. ("0.1", "0.5"); empty: it is one player

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player of these lanes; its initial state is where each life begins.

        With another number of rows than lanes, row i is as lane i modulo the lanes.
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


def load_control(name: str) -> tuple[Control, str]:
    """Return a control and its variant by name, e.g. `random` or `injected-0.25`.

    InputError for a trainable architecture or an unknown name, with a suggestion.
    """
    registry.choose(name, (*control_names(), *names()), "control")
    loaded: Any = load(next(known for known in names() if _is_or_varies(name, known)))
    if not loaded.control:
        raise InputError(f"{name!r} is an architecture and is trained first; a control was expected")
    variant = name[len(loaded.name) + 1 :]
    if variant not in (loaded.variants or ("",)):
        raise InputError(f"{name!r} comes in variants: {', '.join(_full_names(loaded))}")
    return loaded, variant


@functools.cache
def control_names() -> tuple[str, ...]:
    """Return the names of all controls, a name a variant, sorted."""
    found: list[Any] = [load(name) for name in names()]
    return tuple(sorted(name for each in found if each.control for name in _full_names(each)))


def _full_names(control: Control) -> list[str]:
    return [f"{control.name}-{variant}" for variant in control.variants] or [control.name]


def _is_or_varies(name: str, known: str) -> bool:
    return name == known or (name.startswith(f"{known}-") and name not in names())
