"""References: what verdicts compare with, teacher lives of this machine and starts of reference players."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path

from understudy.leaderboard import stored
from understudy.leaderboard.stored import RowFolder
from understudy.suite import benchmarks, files, records
from understudy.suite.benchmarks import Benchmark, Budget, TeacherLife
from understudy.suite.errors import InputError
from understudy.suite.judging.contrasts import METHOD
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.lives import Life

TEACHER, RANDOM = "policy-at-w", "random"


class References:
    """The teacher's and the random player's side of one benchmark and budget, each life read once.

    Starts are read from a results folder. They are of the networks at W that are on this machine, or refused.
    """

    def __init__(self, results: Path, benchmark: Benchmark, budget: Budget) -> None:
        self.results, self.benchmark, self.budget = results, benchmark, budget
        self.lives = benchmarks.teacher_lives(benchmark)

    @cached_property
    def teacher_starts(self) -> tuple[Life, ...]:
        """Start lives of the teachers' networks at W on the watched games."""
        folder = self._row(TEACHER)
        self._require_same_networks(folder)
        return stored.lives(folder, "start")

    @cached_property
    def random_starts(self) -> tuple[Life, ...]:
        """Start lives of the random player on the watched games."""
        return stored.lives(self._row(RANDOM), "start")

    @cached_property
    def random_starts_new(self) -> tuple[Life, ...]:
        """Start lives of the random player on the new games."""
        return stored.lives(self._row(RANDOM), "start-new")

    def continuations(self, units: Collection[str] | None = None) -> tuple[Life, ...]:
        """Return the watched teachers' lives from W on, of some units or of all."""
        chosen = [life for life in self._watched if units is None or self.unit(life) in units]
        return self._lives(chosen, self.benchmark.watched_moves)

    def lives_from_scratch(self) -> tuple[Life, ...]:
        """Return the teachers' lives on the new games."""
        return self._lives(self._on_new, 0)

    def watched_moves(self, units: Collection[str] = ()) -> int | None:
        """Return the moves recorded in the shortest watched life among the units, or among all."""
        chosen = [life for life in self._watched if self.unit(life) in units] or self._watched
        return min((benchmarks.read(life).num_moves for life in chosen), default=None)

    def end_by_failure(self, on_new_games: bool) -> bool:
        """Whether some teacher's episode on the new or watched games ended by the game, not by the cap."""
        chosen = self._on_new if on_new_games else self._watched
        return any(bool(benchmarks.read(life).terminated.any()) for life in chosen)

    def evidence(self, task: str) -> Evidence:
        """Return what measures the ruler of a gain task, every unit of it and no imitator."""
        if task == "improvement":
            return Evidence(
                METHOD,
                ruler_lives=self.continuations(),
                ruler_starts=self.teacher_starts,
                watched_moves=self.watched_moves(),
            )
        return Evidence(
            METHOD,
            ruler_lives=self.lives_from_scratch(),
            random_starts=self.random_starts_new,
            watched_moves=self.watched_moves(),
        )

    @property
    def _watched(self) -> list[TeacherLife]:
        return [life for life in self.lives if life.game in self.benchmark.watched_games]

    @property
    def _on_new(self) -> list[TeacherLife]:
        return [life for life in self.lives if life.game in self.benchmark.new_games]

    def unit(self, life: TeacherLife) -> str:
        """Return what a teacher's life counts as."""
        return self.benchmark.unit(life.name)

    def _lives(self, chosen: Sequence[TeacherLife], start: int) -> tuple[Life, ...]:
        """Return lives from a move on; those of one unit are told apart as lanes."""
        benchmarks.require_one_recipe(self.lives)
        found, lanes = [], Counter[str]()
        for life in chosen:
            history, unit = benchmarks.read(life), self.unit(life)
            found.append(Life(unit, 0, lanes[unit], history.reward[start:], history.ended[start:]))
            lanes[unit] += 1
        return tuple(found)

    def _row(self, name: str) -> RowFolder:
        path = self.results / self.benchmark.name / self.budget.name / name
        folder = RowFolder(path, self.benchmark.name, self.budget.name, name)
        if (path / stored.ROW).exists():
            stored.require_benchmark(stored.row_of(folder), folder, self.benchmark.sha256)
        return folder

    def _require_same_networks(self, folder: RowFolder) -> None:
        """Raise InputError if a start was played by another network than a teacher's at W here."""
        here = {life.name: files.sha256(life.network_path) for life in self._watched if life.network_path}
        for path in stored.life_folders(folder, "start"):
            record = records.read(path)
            name = record["lane"]["teacher"]
            played = record["job"]["player"].get("networks_at_w", {}).get(name, "unknown")
            own = here.get(name, "absent")
            if played != own:
                raise InputError(
                    f"{path}: this start of {name} was played by the network {played[:12]}, here its network "
                    f"at W is {own[:12]}; play the starts again: understudy rulers --restart"
                )
