"""What a benchmark is: the frozen declaration that its file is read into."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.suite import registry
from understudy.suite.errors import InputError
from understudy.suite.judging.rules import Minima, PublishedRuler, Rules, Thresholds


@dataclass(frozen=True)
class Budget:
    """How long the lives of one row are; rows of different budgets are never ranked together."""

    name: str  # full, tenth or quick
    moves: int  # N of a life
    start_moves: int  # of the start job, all lanes together
    end_moves: int  # the last so many moves of a life are its end
    likeness_moves: int  # the teacher's next moves on which likeness is measured
    lanes: int
    tasks: tuple[str, ...]  # the tasks that this budget is long enough for


@dataclass(frozen=True)
class Benchmark:
    """One benchmark as its file declares it; any change of the file is a new name."""

    name: str
    family: str  # of games
    frozen: bool  # False while numbers may still change: its rows are not citable
    watched_moves: int  # W
    episode_cap_moves: int
    exploration: float  # probability with which the harness replaces a move
    state_cap_bytes: int  # of one life's state, in the ranked table
    segment_moves: int  # a history's segment starts at the first episode start after so many moves
    watched_games: tuple[str, ...]  # full names, family/variant
    new_games: tuple[str, ...]  # never watched
    extra_watchable_games: tuple[str, ...]  # also watched in the multi-game track
    thresholds: Thresholds
    minima: Minima
    budgets: tuple[Budget, ...]
    provisional_rulers: tuple[tuple[str, str, PublishedRuler], ...]  # (budget, task, ruler)
    sha256: str  # of the file

    def budget(self, name: str) -> Budget:
        """Return a budget by name; InputError with a suggestion if there is none."""
        registry.choose(name, self.budget_names, f"budget of {self.name}")
        return next(budget for budget in self.budgets if budget.name == name)

    @property
    def budget_names(self) -> tuple[str, ...]:
        """Names of the budgets, longest first as in the file."""
        return tuple(budget.name for budget in self.budgets)

    @property
    def games(self) -> tuple[str, ...]:
        """Every game that a life of this benchmark may be of."""
        return self.watched_games + self.new_games + self.extra_watchable_games

    def unit(self, life_name: str) -> str:
        """Return what a teacher's life counts as in a method claim, e.g. of "goal-40/seed-1": "goal-40".

        Where several games are watched, or several are new, each game is one unit, else each life.
        """
        variant = life_name.partition("/")[0]
        new = f"{self.family}/{variant}" in self.new_games
        return variant if len(self.new_games if new else self.watched_games) > 1 else life_name

    def rules(self, budget_name: str, task: str) -> Rules:
        """Return what a task needs to know of this benchmark at one budget.

        Raises InputError where the budget is too short for the task.
        """
        budget = self.budget(budget_name)
        if task not in budget.tasks:
            raise InputError(
                f"budget {budget_name!r} of {self.name} is too short for {task!r}; "
                f"it has: {', '.join(budget.tasks)}"
            )
        published = {(each, of): ruler for each, of, ruler in self.provisional_rulers}
        return Rules(
            watched_moves=self.watched_moves,
            moves=budget.moves,
            end_moves=budget.end_moves,
            episode_cap_moves=self.episode_cap_moves,
            thresholds=self.thresholds,
            minima=self.minima,
            published=published.get((budget_name, task)),
        )
