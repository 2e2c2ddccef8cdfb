"""Entries: a submission or control as plain values that can be passed to any process."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from understudy.suite import devices
from understudy.suite.custom_code import CustomCode
from understudy.suite.harness.interventions import Intervention
from understudy.suite.harness.lanes import Lane
from understudy.suite.harness.rounds import Committed

if TYPE_CHECKING:
    from torch import nn

Report = Callable[[str, int, int], None]  # what is being done, how much is done, of how much


def _no_report(what: str, done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class PlayerRequest:
    """A request to a loader: for which lanes to make a player, and with which parameters."""

    lanes: tuple[Lane, ...]  # [B]
    on_new_games: bool  # whether the runs are on a new game, with an empty memory
    run_moves: int  # N of the budget: length of a scored run, even if a start job is shorter
    intervention: Intervention | None = None  # determines the parameters; None: the player's own
    row_folder: Path | None = None  # where parameters trained for an intervention are stored
    report: Report = _no_report  # called while teachers are recomputed or parameters are trained
    threads: int = 1  # of a player in a process of its own
    device: str = devices.CPU  # the same, by name


@dataclass(frozen=True)
class Loader:
    """A function of a module and its first arguments; the module is imported when the loader is called."""

    function: str  # "package.module:function"; it takes the arguments, then a PlayerRequest
    arguments: tuple[Any, ...] = ()

    def __call__(self, request: PlayerRequest) -> nn.Module:
        """Return the player in evaluation mode; InputError if it cannot be made."""
        module, _, name = self.function.partition(":")
        player: nn.Module = getattr(importlib.import_module(module), name)(*self.arguments, request)
        return player


@dataclass(frozen=True)
class Player:
    """One set of weights of an entry, and the teacher runs that prime it and are its reference."""

    checkpoint: str  # folder of the checkpoint; "control" for a control
    training_seed: int | None  # None: not trained
    teachers: tuple[str, ...]  # pinned runs that prime it and are its reference: ("breakout/seed-0",)
    identity: str  # of the checkpoint's tensors and configuration; for a control, of its label
    networks_at_w: tuple[
        tuple[str, str], ...
    ]  # (teacher, SHA-256) of the networks that a control plays; empty for a submission
    tasks: tuple[str, ...]  # tasks that it can be scored on
    load: Loader
    load_in_child: Loader | None = None  # in a process of its own; None: a control, or a model in memory


@dataclass(frozen=True)
class Facts:
    """What a submission is, as far as it decides nothing that is played."""

    parameters: int  # values in the tensors of a set of weights, the largest of them
    watched_runs: int  # teachers' runs, or parts of them, that the weights were trained on
    watched_moves: int  # of these runs together
    training: tuple[tuple[str, int | float], ...] | None  # (name, value) of its declared settings


@dataclass(frozen=True)
class Entry:
    """A submission or a control, scored under one name."""

    name: str
    benchmark: str
    identity: str  # of the submission's checkpoints; for a control, of its label
    architecture: str  # a control's own name
    decoding: str  # greedy or sample
    track: str  # frozen or learning
    priming_moves: int  # K: it is primed with the last K watched moves
    is_control: bool  # whether it is a control, which comes with the package
    players: tuple[Player, ...]  # in order of checkpoint; one for a control
    folder: Path | None = None  # the submission's; None for a control
    watched: str | None = None  # the submission's mode: single, multi or multi-game
    search_trials: int | None = None  # size of its hyper-parameter search; None: not stated
    declaration: str | None = (
        None  # `submission_format.declaration_hash`, or the identity if in memory; None: a control
    )
    custom_code: CustomCode | None = None  # of its architecture; None: it comes with this package
    weights: str | None = (
        None  # hf://user/repo@<commit hash>, where it was fetched; None: a folder or control
    )
    in_memory: str | None = None  # class of a model that was given as an object; None: it is stored
    training_targets: str | None = None  # the actions that it was trained to predict; None: not trained
    facts: Facts | None = None  # of a submission, for the tables; None: a control, or a model in memory

    @property
    def committed(self) -> Committed | None:
        """The submission as it has to be committed to a round; None for a control."""
        if self.declaration is None:
            return None
        return Committed(
            self.identity,
            self.benchmark,
            self.name,
            self.decoding,
            self.track,
            self.priming_moves,
            self.declaration,
        )
