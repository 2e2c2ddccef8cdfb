"""Reference runs: the pinned teacher runs on this machine, and stored start runs of two controls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path

from understudy.leaderboard import stored_rows
from understudy.leaderboard.stored_rows import LeftOut, RowFolder
from understudy.suite import benchmarks, games
from understudy.suite.benchmarks import Benchmark, Budget, TeacherRun, pinned_runs, pins
from understudy.suite.errors import InputError
from understudy.suite.harness import records
from understudy.suite.io import files, walks
from understudy.suite.scoring.evidence import PinnedCount
from understudy.suite.scoring.scored_runs import ScoredRun

FROZEN_TEACHER = "frozen-teacher"


class StoredReferences:
    """The references of one benchmark and budget, each run read once: `tasks.ReferenceRuns`.

    Start runs are read from a results folder. Those of the frozen teacher must have been played by the
    networks at W that are on this machine. A row that cannot be read counts as not played, after
    `left_out` was called with it; by default that raises.
    """

    def __init__(
        self,
        results: Path,
        benchmark: Benchmark,
        budget: Budget,
        left_out: LeftOut = stored_rows.refuse,
        runs: Sequence[TeacherRun] | None = None,
    ) -> None:
        """Find the pinned runs among the teacher runs of this machine, or among `runs`."""
        self.results, self.benchmark, self.budget = results, benchmark, budget
        self._left_out = left_out
        self.pins = pins.of(benchmark)
        found = benchmarks.teacher_runs(benchmark) if runs is None else runs
        here = {run: pinned_runs.verified_moves(self.pins, run) for run in found}
        self._moves = {run.name: moves for run, moves in here.items() if moves}  # pinned and the same
        self.runs = [run for run in here if run.name in self._moves]
        self._scored: dict[tuple[int, int, tuple[str, ...]], tuple[ScoredRun, ...]] = {}
        self._starts: dict[tuple[str, str], tuple[ScoredRun, ...]] = {}
        self._failures: dict[bool, bool] = {}  # whether on new games -> `ends_by_failure`
        self._shown: dict[bool, bool] = {}  # whether on new games -> `shows_score`

    def starts(self, player: str, role: str) -> tuple[ScoredRun, ...]:
        """Return a reference player's start runs; none if they were not played.

        Raises InputError if they were played by other networks than the teachers' at W on this machine.
        """
        if (player, role) not in self._starts:
            self._starts[player, role] = self._read_starts(player, role)
        return self._starts[player, role]

    def continuations(self, units: Collection[str] | None = None) -> tuple[ScoredRun, ...]:
        """Return the watched teachers' runs from W on, of some units or of all, as long as the budget's."""
        chosen = [run for run in self._watched if units is None or self.unit(run) in units]
        return self._runs(chosen, self.benchmark.watched_moves, self.budget.moves)

    def watched(self) -> tuple[ScoredRun, ...]:
        """Return the watched teachers' runs from their first move on, up to W."""
        return self._runs(self._watched, 0, self.benchmark.watched_moves)

    def runs_from_scratch(self) -> tuple[ScoredRun, ...]:
        """Return the teachers' runs on the new games, as long as the budget's."""
        return self._runs(self._on_new, 0, self.budget.moves)

    def watched_moves(self, units: Collection[str] = ()) -> int | None:
        """Return the moves recorded in the shortest watched run among the units, or among all."""
        chosen = [run for run in self._watched if self.unit(run) in units] or self._watched
        return min((self._moves[run.name] for run in chosen), default=None)

    def pinned(self, *, on_new_games: bool = False, to_w: bool = False) -> PinnedCount:
        """Return how many pinned runs over the budget's moves are here, and how many there are.

        Arguments as of `tasks.ReferenceRuns`.
        """
        benchmark = self.benchmark
        moves = self.budget.moves if on_new_games else benchmark.watched_moves
        if not (on_new_games or to_w):
            moves += self.budget.moves
        names = self.pins.names(
            benchmark, benchmark.new_games if on_new_games else benchmark.watched_games, moves
        )
        return PinnedCount(sum(self._moves.get(name, 0) >= moves for name in names), len(names))

    def ends_by_failure(self, on_new_games: bool) -> bool:
        """Return whether some episode of a teacher was ended by the game, not by the cap."""
        if on_new_games not in self._failures:
            chosen = self._on_new if on_new_games else self._watched
            self._failures[on_new_games] = any(bool(benchmarks.read(run).terminated.any()) for run in chosen)
        return self._failures[on_new_games]

    def shows_score(self, on_new_games: bool) -> bool:
        """Return whether the games' pixels show the score."""
        if on_new_games not in self._shown:
            played = self.benchmark.new_games if on_new_games else self.benchmark.watched_games
            self._shown[on_new_games] = any(games.load(name).score_rows is not None for name in played)
        return self._shown[on_new_games]

    @cached_property
    def _watched(self) -> list[TeacherRun]:
        return [run for run in self.runs if run.game in self.benchmark.watched_games]

    @cached_property
    def _on_new(self) -> list[TeacherRun]:
        return [run for run in self.runs if run.game in self.benchmark.new_games]

    def unit(self, run: TeacherRun) -> str:
        """Return the unit of a teacher's run in a method claim."""
        return self.benchmark.unit(run.name)

    def _runs(self, chosen: Sequence[TeacherRun], start: int, moves: int) -> tuple[ScoredRun, ...]:
        """Return so many moves of runs from move `start` on; runs of one unit get different lane numbers.

        No window reaches beyond them, and a teacher's run may be hundreds of times as long as a budget.
        """
        key = start, moves, tuple(run.name for run in chosen)
        if key not in self._scored:
            self._scored[key] = self._read(chosen, start, moves)
        return self._scored[key]

    def _read(self, chosen: Sequence[TeacherRun], start: int, moves: int) -> tuple[ScoredRun, ...]:
        benchmarks.require_same_training_settings(self.runs)
        found, lanes = [], Counter[str]()
        for run in chosen:
            history, unit = benchmarks.read(run), self.unit(run)
            end = min(start + moves, self._moves[run.name])
            found.append(ScoredRun(unit, 0, lanes[unit], history.reward[start:end], history.ended[start:end]))
            lanes[unit] += 1
        return tuple(found)

    def row(self, name: str) -> RowFolder:
        """Return the folder of a player's row at this benchmark and budget."""
        path = self.results / self.benchmark.name / self.budget.name / name
        return RowFolder(path, self.benchmark.name, self.budget.name, name)

    def _read_starts(self, player: str, role: str) -> tuple[ScoredRun, ...]:
        folder = self.row(player)
        try:
            if walks.is_file(folder.path / records.ROW):
                stored_rows.require_benchmark(stored_rows.row_of(folder), folder, self.benchmark.identity)
            found = stored_rows.runs(folder, role)
            if player == FROZEN_TEACHER:
                self._require_same_networks(folder, role)
        except InputError as error:
            self._left_out(folder, error)
            return ()
        return found

    def _require_same_networks(self, folder: RowFolder, role: str) -> None:
        """Raise InputError if a start was played by another network than the teacher's at W here."""
        here = {run.name: files.sha256(run.network_path) for run in self._watched if run.network_path}
        for path in stored_rows.run_folders(folder, role):
            record = records.read(path)
            name = record["lane"]["teacher"]
            played = record["job"]["player"].get("networks_at_w", {}).get(name, "unknown")
            own = here.get(name, "absent")
            if played != own:
                raise InputError(
                    f"{path}: this start of {name} was played by the network {played[:12]}, here its network "
                    f"at W is {own[:12]}; play the starts again: understudy references --restart"
                )
