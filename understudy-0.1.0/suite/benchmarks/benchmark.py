"""Benchmark declarations: the frozen values that a benchmark's file is read into."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path

from understudy.suite import registry
from understudy.suite.errors import InputError
from understudy.suite.io import files
from understudy.suite.scoring.rules import Minima, PublishedReference, Rules, Thresholds


@dataclass(frozen=True)
class Budget:
    """How long the runs of one row are; rows of different budgets are never ranked together."""

    name: str  # full, tenth or quick
    moves: int  # N, length of a run
    start_moves: int  # of the start job, all lanes together
    end_moves: int  # length of the end window, the last moves of a run
    agreement_moves: int  # number of the teacher's moves after W on which agreement is measured
    lanes: int
    tasks: tuple[str, ...]  # tasks for which this budget is long enough


@dataclass(frozen=True)
class Benchmark:
    """One benchmark as its file declares it; a changed file needs a new name."""

    name: str
    family: str  # of games
    path: Path  # of its file
    frozen: bool  # False while numbers may still change: its rows are not citable
    watched_moves: int  # W
    episode_cap_moves: int
    exploration: float  # probability with which the harness replaces a move
    state_cap_bytes: int  # largest state of one run in a ranked row
    segment_moves: int  # a history's segment starts at the first episode start after this many moves
    watched_games: tuple[str, ...]  # full names, family/variant
    new_games: tuple[str, ...]  # never watched
    extra_watchable_games: tuple[str, ...]  # may be watched in mode multi-game only
    thresholds: Thresholds
    minima: Minima
    budgets: tuple[Budget, ...]
    provisional_references: tuple[tuple[str, str, PublishedReference], ...]  # (budget, task, reference)

    @cached_property
    def identity(self) -> str:
        """SHA-256 of the values that decide what is played and how it is scored.

        The values are listed in a fixed order and without their keys. The names of the benchmark, its budgets
        and tasks, its references, its teacher data and the text of its file are no part of it. New values are
        appended to the list, so that the identity of a benchmark without them stays.
        """
        budgets = sorted(
            [each.moves, each.start_moves, each.end_moves, each.agreement_moves, each.lanes]
            for each in self.budgets
        )
        values = [
            *(self.family, self.watched_moves, self.episode_cap_moves, float(self.exploration)),
            *(self.state_cap_bytes, self.segment_moves),
            *(self.watched_games, self.new_games, self.extra_watchable_games),
            [float(value) for value in astuple(self.thresholds)],
            astuple(self.minima),
            budgets,
        ]
        return files.text_sha256(files.canonical_json(["benchmark", values]))

    def budget(self, name: str) -> Budget:
        """Return a budget by name; InputError with a suggestion if there is none."""
        registry.choose(name, self.budget_names, f"budget of {self.name}")
        return next(budget for budget in self.budgets if budget.name == name)

    @property
    def budget_names(self) -> tuple[str, ...]:
        """Names of the budgets in the order of the file, longest first."""
        return tuple(budget.name for budget in self.budgets)

    @property
    def games(self) -> tuple[str, ...]:
        """All games of this benchmark: watched, new and extra ones."""
        return self.watched_games + self.new_games + self.extra_watchable_games

    def unit(self, run_name: str) -> str:
        """Return the unit of a teacher's run in a method claim, e.g. `goal-40` of `goal-40/seed-1`.

        If several games are watched (or new), each game is a unit; otherwise each run is.
        """
        variant = run_name.partition("/")[0]
        new = f"{self.family}/{variant}" in self.new_games
        return variant if len(self.new_games if new else self.watched_games) > 1 else run_name

    def rules(self, budget_name: str, task: str) -> Rules:
        """Return the scoring rules of a task at one budget.

        Raises InputError if the budget is too short for the task.
        """
        budget = self.budget(budget_name)
        if task not in budget.tasks:
            raise InputError(
                f"budget {budget_name!r} of {self.name} is too short for {task!r}; "
                f"its tasks: {', '.join(budget.tasks)}"
            )
        published = {(each, of): reference for each, of, reference in self.provisional_references}
        return Rules(
            watched_moves=self.watched_moves,
            moves=budget.moves,
            end_moves=budget.end_moves,
            episode_cap_moves=self.episode_cap_moves,
            thresholds=self.thresholds,
            minima=self.minima,
            published=published.get((budget_name, task)),
        )
