"""Controls: untrained players, most with a known answer, one file each with one object `CONTROL`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from understudy.suite import registry
from understudy.suite.errors import InputError
from understudy.suite.io.readable import StoredPath
from understudy.suite.protocols import Game

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Assignment:
    """The runs for which a control is built, one per lane."""

    game: Game  # of the watched runs; the played ones have its shapes
    watched_moves: int  # W
    moves: int  # N of the budget: length of a scored run, even if a start job is shorter
    on_new_game: bool  # whether the runs are on a new game, begun with an empty memory
    teachers: tuple[StoredPath, ...]  # [B] folder of each lane's watched run; empty if the control uses none
    new_teachers: tuple[StoredPath | None, ...]  # [B] folder of a run on each lane's new game, if any
    variant: str = ""  # of a control with several, e.g. "0.25"
    report: Callable[[int, int], None] = lambda done, total: None  # progress of recomputing, in moves


class Control(Protocol):
    """A player that is made from teachers' runs or by hand, and not trained."""

    name: str
    label: str  # from which seeds derive; a control that is renamed keeps it
    decoding: str  # "greedy" or "sample": how its logits are decoded
    track: str  # "frozen", or "learning" if a hand-written rule learns in its state
    tasks: tuple[str, ...] | None  # that it is made for; None: all
    uses_teachers: bool  # whether it needs the files of its teachers' runs
    variants: tuple[str, ...]  # suffixes of its name, e.g. ("0.1", "0.5"); empty for a single player

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player of these lanes; its initial state is the start of each run.

        With another number of rows than lanes, row i is as lane i modulo the lanes.
        Raises InputError if a teacher's folder lacks what the player needs.
        """


def load(name: str) -> tuple[Control, str]:
    """Return a control and its variant by name, e.g. `random` or `injected-0.25`.

    Raises InputError for an architecture or an unknown name, with a suggestion.
    """
    files = registry.names(__path__)
    found = next((file for file in files if name == file or name.startswith(f"{file}-")), None)
    if found is None:
        architectures = registry.names([Path(__file__).parent.parent])  # baselines imports this module
        registry.choose(name, (*names(), *architectures), "control")
        raise InputError(f"{name!r} is an architecture and is trained first; a control was expected")
    control = _load(found)
    variant = name[len(found) + 1 :]
    if variant not in (control.variants or ("",)):
        raise InputError(f"{name!r} comes in variants: {', '.join(_full_names(control))}")
    return control, variant


@functools.cache
def names() -> tuple[str, ...]:
    """Return the names of all controls, one per variant, sorted."""
    return tuple(sorted(name for file in registry.names(__path__) for name in _full_names(_load(file))))


def is_control(name: str) -> bool:
    """Return whether a name is a control's or has the form of a variant's; no control is imported."""
    return any(name == file or name.startswith(f"{file}-") for file in registry.names(__path__))


def _load(file: str) -> Control:
    control: Control = registry.load(__name__, file, "CONTROL")
    return control


def _full_names(control: Control) -> list[str]:
    return [f"{control.name}-{variant}" for variant in control.variants] or [control.name]


def _architectures() -> tuple[str, ...]:
    return registry.names([Path(__path__[0]).parent])
