"""Where the lives of the DQN controls begin, and the seeds that they draw by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from understudy.baselines import Assignment
from understudy.suite import draws, games
from understudy.suite.histories.format import History
from understudy.suite.protocols import Game, State
from understudy.suite.teachers import knowledge, relearn


@dataclass(frozen=True)
class Beginning:
    """What a life begins with."""

    learned: Mapping[str, Tensor]  # LEARNED, each [P] float32
    updates: int  # Adam's steps so far
    age: int  # moves seen so far, which exploration and updates are timed by
    memory: State | None = None  # rings of one row, with the newest of `age` moves; None: empty


def histories_of(assignment: Assignment) -> list[History]:
    """Return the history of each lane's watched teacher; InputError if one can't be read."""
    return [knowledge.history_of(folder) for folder in assignment.teachers]


def seeds(name: str, assignment: Assignment) -> list[int]:
    """Return the seed of each lane's draws: a function of the control, the teacher and the lane.

    It stays the same when the teacher's life is carried on.
    """
    teachers = [(history.header.game, relearn.life_seed(history)) for history in histories_of(assignment)]
    return [draws.derive(name, *teacher, lane) for lane, teacher in enumerate(teachers)]


def shown_games(assignment: Assignment) -> list[Game]:
    """Return games that show every plane that the lanes' games may show."""
    if not assignment.on_new_game:
        return [assignment.game]
    if None in assignment.new_teachers:
        return [replace(assignment.game, shown_planes=None)]
    folders = [folder for folder in assignment.new_teachers if folder]
    return [games.load(knowledge.history_of(folder).header.game) for folder in folders]
