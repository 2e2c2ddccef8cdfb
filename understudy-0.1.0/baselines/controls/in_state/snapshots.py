"""Snapshots from which the DQN controls' runs start, and the seeds of the controls' draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from understudy.baselines.controls import Assignment
from understudy.suite import draws, games
from understudy.suite.histories.history_format import History
from understudy.suite.protocols import Game, State
from understudy.suite.teachers import recompute, recomputed


@dataclass(frozen=True)
class Snapshot:
    """A DQN at the start of a run."""

    learned: Mapping[str, Tensor]  # the vectors of flat_networks.LEARNED, each [P] float32
    updates: int  # made so far, as Adam counts them
    age: int  # moves so far, on which exploration and the times of updates depend
    memory: State | None = None  # ring buffers of one row, with the newest of `age` moves; None: empty


def histories_of(assignment: Assignment) -> list[History]:
    """Return the history of each lane's watched teacher; InputError if one cannot be read."""
    return [recomputed.history_of(folder) for folder in assignment.teachers]


def seeds(label: str, assignment: Assignment) -> list[int]:
    """Return the seed of each lane's draws, derived from the control's label, the teacher and the lane.

    It does not change when the teacher's run is extended.
    """
    teachers = [(history.header.game, recompute.run_seed(history)) for history in histories_of(assignment)]
    return [draws.derive(label, *teacher, lane) for lane, teacher in enumerate(teachers)]


def shown_games(assignment: Assignment) -> list[Game]:
    """Return games that together show every plane that the lanes' games may show."""
    if not assignment.on_new_game:
        return [assignment.game]
    if None in assignment.new_teachers:
        return [replace(assignment.game, shown_planes=None)]
    folders = [folder for folder in assignment.new_teachers if folder]
    return [games.load(recomputed.history_of(folder).header.game) for folder in folders]
