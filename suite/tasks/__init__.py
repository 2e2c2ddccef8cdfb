"""Tasks: the benchmark's questions, one file each with one object `TASK`.

A task owns all that is particular to its question: what must be played, what the runs are compared with, how
they are scored, and which number its column shows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from understudy.suite import registry
from understudy.suite.errors import InputError
from understudy.suite.scoring.comparisons import Comparable
from understudy.suite.scoring.evidence import Evidence, PinnedCount, Predictions
from understudy.suite.scoring.references import Reference
from understudy.suite.scoring.rules import Rules
from understudy.suite.scoring.scored_runs import ScoredRun
from understudy.suite.scoring.verdicts import Verdict


class RowRuns(Protocol):
    """The stored runs of one row, as a task asks for them."""

    @property
    def learns_by_construction(self) -> bool:
        """Whether the player's rule is declared to learn, or its weights changed while it played."""

    @property
    def declares_training(self) -> bool:
        """Whether the player is a submission that declares the settings of its training."""

    def of_role(self, role: str, intervention: str = "") -> tuple[ScoredRun, ...]:
        """Return the runs of a role, or of an intervention in it; none unless all of them are whole."""

    def claim(self, role: str) -> str:
        """Return whether the runs of a role speak for the method or for one checkpoint."""

    def predictions(self) -> tuple[Predictions, ...]:
        """Return what the row's checkpoints predicted of their teachers' moves after W."""

    def isolation_holds(self, role: str) -> bool | None:
        """Return whether no information leaked between the lanes of a role; None where not checked."""

    def gains_of_draws(self, roles: tuple[str, str]) -> Mapping[str, tuple[float, ...]]:
        """Return the gain from start role to run role for each draw of redrawn, shuffled and retrained
        parameters."""

    def verdict(self, task: str) -> Verdict:
        """Return the row's verdict on another task."""


class ReferenceRuns(Protocol):
    """The runs that rows of one benchmark and budget are compared with."""

    def starts(self, player: str, role: str) -> tuple[ScoredRun, ...]:
        """Return a reference player's start runs."""

    def continuations(self, units: Collection[str] | None = None) -> tuple[ScoredRun, ...]:
        """Return the watched teachers' runs from W on, of some units or of all."""

    def runs_from_scratch(self) -> tuple[ScoredRun, ...]:
        """Return the teachers' runs on the new games."""

    def watched_moves(self, units: Collection[str] = ()) -> int | None:
        """Return the moves recorded in the shortest watched run among the units, or among all."""

    def pinned(self, *, on_new_games: bool = False, to_w: bool = False) -> PinnedCount:
        """Return how many pinned teacher runs over the budget's moves are here, and how many there are.

        Args:
            on_new_games: runs from scratch on the new games, rather than the watched ones continued.
            to_w: watched runs, with their moves up to W only.
        """

    def ends_by_failure(self, on_new_games: bool) -> bool:
        """Return whether some episode of a teacher ended by the game and not by the cap."""

    def shows_score(self, on_new_games: bool) -> bool:
        """Return whether the games' pixels show the score."""


@dataclass(frozen=True)
class Column:
    """What a table shows of a task beside the answer: one number of its verdict."""

    number: str  # key of `Verdict.numbers`
    heading: str  # what the number is, for a reader: "points an episode", "normalised gain"
    points: str  # key of the number in points an episode
    reference_points: str  # key of the same number of the teacher
    signed: bool  # whether it is written with its sign


@dataclass(frozen=True)
class GainReference:
    """How a task about a gain measures the teacher's gain."""

    on_new_games: bool  # on the new games from scratch, rather than on the watched ones from W on
    start: tuple[str, str]  # (player, role) whose start the teacher's gain begins at
    measure: Callable[[Evidence, Rules], Reference]
    evidence: Callable[[ReferenceRuns], Evidence]  # all that `measure` needs, no imitator in it
    roles: tuple[str, str]  # of the imitator: where its gain starts, and the runs in which it gains


class Task(Protocol):
    """One question put to a row."""

    @property
    def name(self) -> str:
        """The task's name: its file's."""

    @property
    def question(self) -> str:
        """The question in one sentence."""

    @property
    def label(self) -> str:
        """The heading of its column, e.g. `Q2 improvement`."""

    @property
    def column(self) -> Column:
        """What its column shows."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of which it needs the imitator's runs, among `protocols.ROLES`."""

    @property
    def reference_players(self) -> Mapping[str, tuple[str, ...]]:
        """The controls that it compares with, and the roles of which it needs their runs."""

    @property
    def needs_predictions(self) -> bool:
        """Whether it needs the imitator's predictions of the teacher's moves after W."""

    @property
    def gain(self) -> GainReference | None:
        """How the teacher's gain is measured; None for a question that isn't about a gain."""

    def evidence(self, row: RowRuns, references: ReferenceRuns) -> Evidence:
        """Return what the verdict on a row rests on."""

    def verdict(self, evidence: Evidence, rules: Rules) -> Verdict:
        """Answer the question: a pure function of its arguments, whatever the order of runs.

        Raises InputError where runs don't belong together.
        """

    def comparable(self, evidence: Evidence, rules: Rules) -> Comparable | None:
        """Return what `column.points` is made of, to compare rows; None if it was not measured.

        A pure function of its arguments. Raises InputError where runs don't belong together.
        """


def names() -> tuple[str, ...]:
    """Return the registered tasks' names."""
    return registry.names(__path__)


def load(name: str) -> Task:
    """Return a task by name; InputError with a suggestion if there is none."""
    if name not in names():
        for known in map(load, names()):
            if known.label.split()[0] == name.upper():  # Q1, Q2 or Q3, as tables and the protocol say
                raise InputError(f"unknown task {name!r}; did you mean {known.name!r}?")
    registry.choose(name, names(), "task")
    task: Task = registry.load(__name__, name, "TASK")
    return task


def gain_tasks(chosen: Sequence[str]) -> list[Task]:
    """Return those of the chosen tasks that ask about a gain, in their order."""
    return [task for task in map(load, chosen) if task.gain is not None]
