"""Scores: verdicts on stored rows, a pure function of their runs and of the teacher data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from understudy.leaderboard import descriptions, leak_notes, plan_check, row_facts, stored_rows
from understudy.leaderboard.descriptions import Description
from understudy.leaderboard.kept_scores import KeptScores, Keys
from understudy.leaderboard.reference_runs import FROZEN_TEACHER, StoredReferences
from understudy.leaderboard.stored_rows import LeftOut, RowFolder
from understudy.leaderboard.stored_runs import StoredRuns
from understudy.suite import benchmarks, tasks
from understudy.suite.benchmarks import Benchmark
from understudy.suite.errors import InputError, MachineError
from understudy.suite.harness import records, score_documents
from understudy.suite.histories import segments
from understudy.suite.io import files, pools, walks, workers
from understudy.suite.scoring import curves, verdicts
from understudy.suite.scoring.comparisons import Comparable
from understudy.suite.scoring.curves import WatchedCurve
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.rules import Rules
from understudy.suite.scoring.verdicts import Verdict

SCORES = "scores.json"
ROWS_A_PROCESS = 24  # at least: each process reads the references by itself, which takes seconds and memory
MOST_PROCESSES = 4  # each holds the references, and the runs of a row


@dataclass(frozen=True)
class ScoredRow:
    """A row and its verdicts under the present rules."""

    folder: RowFolder
    row: dict[str, Any]  # row.json
    verdicts: tuple[Verdict, ...]  # of the budget's tasks, in its order
    other_lanes: tuple[int, ...] = ()  # numbers of lanes of jobs that differ from the budget's
    rechecked: bool | None = None  # whether its weights, given the logs, choose the same moves; None: unknown
    track: str = "frozen"  # as declared, or learning if its parameters changed or its rule is built in
    moved: bool = False  # whether its parameters changed while it played
    state_bytes: int | None = None  # largest state of a run; None: nothing was played
    leak: leak_notes.Leak | None = None  # None: not tested
    # task -> intervention -> gain in points an episode
    gains_under: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    described: Mapping[str, Description] = field(default_factory=dict)  # task -> its description
    frozen_teacher: Mapping[str, Description] = field(default_factory=dict)  # the same for that control
    teachers: tuple[int, int] | None = None  # in mode single: those watched, and those that could be
    played: Mapping[str, Any] = field(default_factory=dict)  # as `row_facts.of_playing` returns it
    other_data: bool = False  # whether its references are of a data folder of one's own
    comparable: Mapping[str, Comparable] = field(default_factory=dict)  # task -> its number, unit by unit
    committed: bool = True  # whether its submission was committed, as it is, to its round; true for controls

    def verdict(self, task: str) -> Verdict | None:
        """Return the verdict on a task; None if the budget does not have it."""
        return next((verdict for verdict in self.verdicts if verdict.task == task), None)


def rescore(results: Path, left_out: LeftOut = stored_rows.refuse) -> list[ScoredRow]:
    """Score every row again and write its `scores.json`; arguments and errors as those of `score_all`."""
    scored = score_all(results, left_out)
    for one in scored:
        files.write_json(one.folder.path / SCORES, scores_of(one))
    return scored


def score_all(results: Path, left_out: LeftOut = stored_rows.refuse) -> list[ScoredRow]:
    """Return every row with its verdicts; nothing is written.

    Args:
        results: the results folder.
        left_out: called for each row that cannot be read, with what is wrong. It is not among those returned,
            and counts as not played where others are compared with it.

    Raises InputError if there is no row, and what `left_out` raises.
    """
    return score_rows(results, stored_rows.rows_in(results, left_out), left_out)


def score_rows(
    results: Path,
    rows: Sequence[RowFolder],
    left_out: LeftOut = stored_rows.refuse,
    kept: KeptScores | None = None,
) -> list[ScoredRow]:
    """Return some rows with their verdicts; arguments as of `RowScorer`, errors as of `score_all`."""
    return score_with(RowScorer(results, left_out, kept), rows, left_out)


def score_with(
    scorer: RowScorer, rows: Sequence[RowFolder], left_out: LeftOut = stored_rows.refuse
) -> list[ScoredRow]:
    """Return some rows with the verdicts of a scorer; `left_out` is called for each that cannot be read.

    Many are scored in several processes; their verdicts and their order are those of one.
    """
    scorer.score_ahead(rows)
    scored = []
    for row in rows:
        try:
            scored.append(scorer.score(row))
        except InputError as error:
            left_out(row, error)
    return scored


def score_row(results: Path, row: RowFolder) -> ScoredRow:
    """Return one row with its verdicts; nothing is written. Raises as `RowScorer.score`."""
    return RowScorer(results).score(row)


class RowScorer:
    """Scores rows one by one, each once; what those of one benchmark and budget share is read once."""

    def __init__(
        self, results: Path, left_out: LeftOut = stored_rows.refuse, kept: KeptScores | None = None
    ) -> None:
        """Arguments as of `score_all`; `left_out` is called for rows that others are compared with.

        `kept` are scores that were derived before; None: all are derived anew, and nothing is kept.
        """
        self._results, self._report_left_out, self._kept = results, left_out, kept
        self._keys = Keys(results)
        self._complete = True  # no row that others are compared with was left out
        self._scorers: dict[tuple[str, str], _BudgetScorer] = {}
        self._scored: dict[RowFolder, ScoredRow] = {}
        self._ahead: dict[RowFolder, _Ahead] = {}
        self._row_keys: dict[RowFolder, str] = {}

    def score_ahead(self, rows: Sequence[RowFolder]) -> None:
        """Score rows that `score` is going to be asked for in several processes, if they are many."""
        due = [row for row in rows if row not in self._scored and self._kept_row(row) is None]
        count = min(segments.available_cores(), MOST_PROCESSES, len(due) // ROWS_A_PROCESS)
        if count > 1:
            self._ahead = dict(zip(due, _scored_in_processes(self._results, due, count), strict=True))

    def score(self, row: RowFolder) -> ScoredRow:
        """Return a row with its verdicts; nothing is written.

        Raises InputError if it cannot be read, and what `left_out` raises.
        """
        if row not in self._scored:
            found = self._kept_row(row)
            if found is None:
                found = self._score_now(row)
                self._keep(self._key_of(row), found)
            self._scored[row] = dataclasses.replace(found, committed=plan_check.is_committed(found.row))
        return self._scored[row]

    def watched_curve(self, benchmark: str, budget: str) -> WatchedCurve | None:
        """Return the teachers' skill over the watched moves of a benchmark; None without a whole run."""
        key = self._key(lambda: self._keys.of_watched(benchmark, budget))
        found = self._kept.get(key) if self._kept and key else None
        if not isinstance(found, WatchedCurve):
            found = self._of_budget(benchmark, budget).watched_curve()
            self._keep(key, found)
        return found

    def _kept_row(self, row: RowFolder) -> ScoredRow | None:
        key = self._key_of(row)
        found = self._kept.get(key) if self._kept and key else None
        return dataclasses.replace(found, folder=row) if isinstance(found, ScoredRow) else None

    def _key_of(self, row: RowFolder) -> str:
        """Return a row's key of the kept scores, for which its files are read once."""
        if row not in self._row_keys:
            self._row_keys[row] = self._key(lambda: self._keys.of_row(row))
        return self._row_keys[row]

    def _score_now(self, row: RowFolder) -> ScoredRow:
        if row not in self._ahead:
            return self._of_budget(row.benchmark, row.budget).score(row)
        ahead = self._ahead.pop(row)
        for other, error in ahead.left_out:
            self._left_out(other, error)
        if isinstance(ahead.scored, InputError):
            raise ahead.scored
        return ahead.scored

    def _key(self, made: Callable[[], str]) -> str:
        """Return a key of the kept scores; none where nothing is kept, or a file cannot be read."""
        if self._kept is None:
            return ""
        try:
            return made()
        except (OSError, InputError):  # scoring says what is wrong with it, and leaves out what it must
            return ""

    def _keep(self, key: str, value: Any) -> None:
        if self._kept and key and self._complete:
            self._kept.put(key, value)

    def _left_out(self, row: RowFolder, error: InputError) -> None:
        self._complete = False
        self._report_left_out(row, error)

    def _of_budget(self, benchmark: str, budget: str) -> _BudgetScorer:
        key = benchmark, budget
        if key not in self._scorers:
            self._scorers[key] = _BudgetScorer(self._results, *key, self._left_out)
        return self._scorers[key]


@dataclass(frozen=True)
class _Ahead:
    """A row that was scored in another process."""

    scored: ScoredRow | InputError  # the error: it cannot be read
    left_out: tuple[tuple[RowFolder, InputError], ...]  # rows that could not be read to compare it with them


def _scored_in_processes(results: Path, rows: Sequence[RowFolder], count: int) -> list[_Ahead]:
    try:
        return pools.run(
            workers.context(),
            count,
            [(_in_worker, row) for row in rows],
            (_start_worker, results),
            stop=lambda: None,
            report=lambda: None,
        )
    except BrokenProcessPool as error:
        raise MachineError(
            "a process that scores rows was killed, perhaps out of memory; try again"
        ) from error


_scorer: RowScorer  # of a worker process
_told: list[tuple[RowFolder, InputError]] = []  # rows that this process left out since it was last asked


def _start_worker(results: Path) -> None:
    global _scorer
    workers.begin()
    _scorer = RowScorer(results, lambda row, error: _told.append((row, error)))


def _in_worker(row: RowFolder) -> _Ahead:
    _told.clear()
    try:
        scored: ScoredRow | InputError = _scorer.score(row)
    except InputError as error:
        scored = error
    return _Ahead(scored, tuple(_told))


def scores_of(scored: ScoredRow) -> dict[str, Any]:
    """Return what `scores.json` holds."""
    return {
        "format": score_documents.Scores.number,
        "row": scored.row["name"],
        "track": scored.track,
        "rechecked": scored.rechecked,
        "state_bytes": scored.state_bytes,
        "leak_nats": scored.leak.difference_nats if scored.leak else None,
        "leak_suspected": scored.leak.suspected if scored.leak else None,
        "verdicts": [verdict.as_json() for verdict in scored.verdicts],
        "interventions": {
            task: {name: dataclasses.asdict(gain) for name, gain in found.items()}
            for task, found in scored.gains_under.items()
        },
        "horizons": {task: found.horizon.as_json() for task, found in scored.described.items()},
        "aggregates": {task: _aggregates(scored, task) for task in scored.described},
    }


def _aggregates(scored: ScoredRow, task: str) -> dict[str, Any] | None:
    other = scored.frozen_teacher.get(task) if scored.folder.name != FROZEN_TEACHER else None
    found = descriptions.aggregates_of(
        scored.described[task].normalised, other.normalised if other is not None else None
    )
    return found and {**found, "compared_with": FROZEN_TEACHER}


class _BudgetScorer:
    """Scores the rows of one benchmark and budget; reads references and teacher runs once."""

    def __init__(
        self, results: Path, benchmark_name: str, budget_name: str, left_out: LeftOut = stored_rows.refuse
    ) -> None:
        self.benchmark: Benchmark = benchmarks.load(benchmark_name)
        self.budget = self.benchmark.budget(budget_name)
        self.references = StoredReferences(results, self.benchmark, self.budget, left_out)
        self._left_out = left_out

    def score(self, folder: RowFolder) -> ScoredRow:
        runs = StoredRuns(folder, self.references)
        stored_rows.require_benchmark(runs.row, folder, self.benchmark.identity)
        found = tuple(runs.verdict(task) for task in self.budget.tasks)
        built_in = any(verdicts.BUILT_IN in verdict.marks for verdict in found)
        return ScoredRow(
            folder,
            runs.row,
            found,
            runs.other_lanes(),
            runs.rechecked(),
            "learning" if built_in else runs.track,
            runs.moved,
            stored_rows.state_bytes(runs.records),
            leak_notes.measured(folder.path, runs.row["identity"]),
            {task.name: runs.gains_under(task) for task in self._gain_tasks},
            {task.name: self._described(task, runs) for task in self._gain_tasks},
            self._frozen_teacher,
            self._teachers(runs),
            row_facts.of_playing(folder, runs.records),
            not self.references.pins.come_with(self.benchmark),
            {task: one for task in self.budget.tasks if (one := runs.comparable(task)) is not None},
        )

    def watched_curve(self) -> WatchedCurve | None:
        """Return the teachers' skill over the watched moves; None without a whole run."""
        return curves.watched(
            self.references.watched(), self.rules(self.budget.tasks[0]), self.benchmark.watched_moves
        )

    def rules(self, task: str) -> Rules:
        """Return the scoring rules of a task at this budget."""
        return self.benchmark.rules(self.budget.name, task)

    @cached_property
    def _gain_tasks(self) -> list[tasks.Task]:
        return tasks.gain_tasks(self.budget.tasks)

    @cached_property
    def _frozen_teacher(self) -> dict[str, Description]:
        """The descriptions of the frozen teacher; empty if it was not scored or is left out."""
        folder = self.references.row(FROZEN_TEACHER)
        try:
            if not walks.is_file(folder.path / records.ROW):
                return {}
            runs = StoredRuns(folder, self.references)
            return {task.name: self._described(task, runs) for task in self._gain_tasks}
        except InputError as error:
            self._left_out(folder, error)
            return {}

    def _described(self, task: tasks.Task, runs: StoredRuns) -> Description:
        return descriptions.describe(task, runs.evidence(task.name), self.rules(task.name))

    def _teachers(self, runs: StoredRuns) -> tuple[int, int] | None:
        """Return how many teachers checkpoints of one each watched, of how many; None in other modes."""
        if runs.row["control"] or runs.row["watched"] != "single":
            return None
        watched = {lane["teacher"] for job in runs.jobs for lane in job["lanes"]}
        pinned = self.references.pins.names(self.benchmark, self.benchmark.watched_games)
        return len(watched), len(pinned)
