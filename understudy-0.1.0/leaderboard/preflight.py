"""Preflight: which tasks cannot be answered at a budget, and why, before anything is played.

Whether they can depends on the references alone: on the teacher runs of this machine, and on the records of
the references' start runs, which are in the results or came with the package.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from understudy.leaderboard import reference_tables, stored_rows
from understudy.leaderboard.reference_runs import FROZEN_TEACHER, StoredReferences
from understudy.suite import tasks
from understudy.suite.benchmarks import Benchmark, Budget, TeacherRun
from understudy.suite.errors import InputError
from understudy.suite.harness import records, row_files
from understudy.suite.harness.requests import RequestedRow
from understudy.suite.io import files
from understudy.suite.scoring import reference_summaries, references
from understudy.suite.scoring.contrasts import CHECKPOINT
from understudy.suite.scoring.evidence import Evidence
from understudy.suite.scoring.scored_runs import ScoredRun
from understudy.suite.tasks import Task, skill


def of_rows(rows: Sequence[RequestedRow], task_names: Sequence[str] | None) -> list[str]:
    """Return `unanswerable` for requested rows; without `task_names`, for all tasks of their benchmarks."""
    found: dict[str, None] = {}
    for row in rows:
        every = dict.fromkeys(name for budget in row.benchmark.budgets for name in budget.tasks)
        wanted = [name for name in task_names or every if name in row.entry.players[0].tasks]
        watched = {teacher for player in row.entry.players for teacher in player.teachers}
        units = {row.benchmark.unit(name) for name in watched}
        where = row.request.budget, wanted, row.request.results
        found |= dict.fromkeys(unanswerable(row.benchmark, row.runs, *where, units))
    return list(found)


def unanswerable(
    benchmark: Benchmark,
    runs: Sequence[TeacherRun],
    budget_name: str,
    task_names: Sequence[str],
    results: Path,
    units: Collection[str] | None = None,
) -> list[str]:
    """Return a line for each task that gets no verdict at a budget; it names the smallest that gives one.

    A task is left out where nothing is known, because the start of its reference was never played.

    Args:
        benchmark: the benchmark.
        runs: its teacher runs on this machine.
        budget_name: the budget.
        task_names: the tasks, whether or not the budget has them.
        results: the folder in which a row is to be scored; start runs in it are preferred.
        units: the units of the teachers with whose skill the row is compared; None: all.
    """
    asked = _References(benchmark, runs, results, units)
    found = []
    for task in map(tasks.load, task_names):
        why = asked.reason(task, benchmark.budget(budget_name)).why_not
        if why:
            found.append(f"{task.label}: {why}; {_smallest(asked, task)}")
    return found


@dataclass(frozen=True)
class _Answerable:
    """Whether a task can be answered at a budget."""

    known: bool
    why_not: str | None = None  # None: it can, if that is known


class _References:
    """The references of a benchmark at each budget, from records, each measured once."""

    def __init__(
        self,
        benchmark: Benchmark,
        runs: Sequence[TeacherRun],
        results: Path,
        units: Collection[str] | None,
    ) -> None:
        self.benchmark = benchmark
        self._runs, self._results, self._units = runs, results, units
        self._found: dict[tuple[str, str], _Answerable] = {}
        watched = [run for run in runs if run.game in benchmark.watched_games]
        self._lacks_networks = not all(run.network_path for run in watched)

    def reason(self, task: Task, budget: Budget) -> _Answerable:
        """Return whether a task can be answered at a budget, by the first results that tell."""
        key = task.name, budget.name
        if key not in self._found:
            self._found[key] = self._reason(task, budget)
        return self._found[key]

    def _reason(self, task: Task, budget: Budget) -> _Answerable:
        if task.name not in budget.tasks:
            return _Answerable(True, f"{self.benchmark.name} does not ask it at {budget.name}")
        if not task.gain and task.name != skill.TASK.name:
            return _Answerable(False)
        measure = self._gain if task.gain else self._skill
        for results in (self._results, stored_rows.RESULTS):
            recorded = _RecordedStarts(results, self.benchmark, budget, self._runs)
            try:
                found = measure(task, budget, recorded)
            except InputError:  # starts of another benchmark's file, or of other networks than those here
                continue
            if found.known:
                return found
        return _Answerable(False)

    def _gain(self, task: Task, budget: Budget, recorded: _RecordedStarts) -> _Answerable:
        assert task.gain is not None
        rules, name = self.benchmark.rules(budget.name, task.name), self.benchmark.name
        evidence = task.gain.evidence(recorded)
        reference, minimum = task.gain.measure(evidence, rules), rules.minima.reference_runs
        may_be_played = task.gain.on_new_games or not self._lacks_networks
        if may_be_played and reference.m < minimum and not reference.published:
            enough = len(references.long_enough(evidence.reference_runs, rules)) >= minimum
            if enough:
                return _Answerable(False)  # a start is missing, and nothing else
        after_w = not task.gain.on_new_games
        found = reference_summaries.summarise(reference, evidence, rules, after_w=after_w)
        if found.allows_verdict:
            return _Answerable(True)
        if found.gain is None or found.runs < minimum or found.gain.above(0):
            return _Answerable(True, f"{budget.name} gives no verdict on {name}: {'; '.join(found.reasons)}")
        number = reference_tables.figure(found.gain, signed=True)
        why = f"{budget.name} is too short to measure the teacher's gain on {name} (reference {number})"
        return _Answerable(True, why)

    def _skill(self, task: Task, budget: Budget, recorded: _RecordedStarts) -> _Answerable:
        """Compare the teachers with themselves: what withholds their verdict withholds every row's."""
        rules, name = self.benchmark.rules(budget.name, task.name), self.benchmark.name
        random, teachers = (recorded.starts(player, "start") for player in ("random", FROZEN_TEACHER))
        own = [run for run in teachers if self._units is None or run.unit in self._units]
        own = own if len(own) > 1 else list(teachers)  # one lane has no spread
        evidence = Evidence(
            claim=CHECKPOINT,
            starts=tuple(own),
            reference_starts=tuple(own),
            random_starts=random,
            watched_moves=recorded.watched_moves(),
        )
        incomplete = references.watched_incomplete(evidence, rules) or references.incomplete(
            recorded.pinned(to_w=True)
        )
        if incomplete or self._lacks_networks:
            return _Answerable(True, f"{name}: {incomplete or 'a watched teacher run has no network at W'}")
        if teachers and not skill.window_is_long(evidence, rules):
            ends = f"fewer than {rules.minima.window_ends} episodes end in a teacher's start runs"
            short = f"{budget.name} is too short to measure the teacher's skill on {name}"
            return _Answerable(True, f"{short} ({ends}), so it gives no yes")
        if not teachers or not random:
            return _Answerable(False)
        found = skill.skill_verdict(evidence, rules)
        if found.answer is not None:
            return _Answerable(True)
        return _Answerable(True, f"{budget.name} gives no yes on {name}: {found.reason}")


class _RecordedStarts(StoredReferences):
    """References whose start runs are read from their records, which an installed package has too."""

    def __init__(
        self, results: Path, benchmark: Benchmark, budget: Budget, runs: Sequence[TeacherRun]
    ) -> None:
        super().__init__(results, benchmark, budget, runs=runs)
        self._networks = {run.name: run.network_path for run in runs}

    def starts(self, player: str, role: str) -> tuple[ScoredRun, ...]:
        """Return a reference player's start runs; none unless all of a job's records are there.

        Those of teachers that are not on this machine are left out. Raises InputError if they were played
        under another file of the benchmark or by other networks.
        """
        row = self.row(player).path
        paths = row_files.find(row, f"{role}/control/lane-*/{records.RECORD}")
        found = [records.read(path.parent) for path in paths]
        if not found or len(found) != found[0]["job"]["lanes"]:
            return ()
        if player == FROZEN_TEACHER:
            found = [record for record in found if self._networks.get(record["lane"]["teacher"])]
        if not all(self._is_of_here(record, player) for record in found):
            raise InputError(
                f"{row}: starts of another benchmark's file or of other networks; play them again"
            )
        return tuple(_as_scored(record) for record in found)

    def _is_of_here(self, record: dict[str, Any], player: str) -> bool:
        played, teacher = record["job"], record["lane"]["teacher"]
        if played["benchmark"] != self.benchmark.identity:
            return False
        if player != FROZEN_TEACHER:
            return True
        path = self._networks[teacher]
        return path is not None and played["player"]["networks_at_w"].get(teacher) == files.sha256(path)


def _as_scored(record: dict[str, Any]) -> ScoredRun:
    """Return a start run with a record's points and ends; where in the run they lie does not matter."""
    reward, ended = np.zeros(record["moves"], np.float32), np.zeros(record["moves"], np.bool_)
    reward[0] = record["points"]
    ended[: record["episodes"]] = True
    return ScoredRun(record["lane"]["unit"], 0, record["lane"]["number"], reward, ended)


def _smallest(asked: _References, task: Task) -> str:
    """Return the smallest budget that can answer a task, or what is known of the budgets, in words."""
    budgets = sorted(asked.benchmark.budgets, key=lambda budget: budget.moves)
    found = {budget.name: asked.reason(task, budget) for budget in budgets}
    see = f"see: understudy benchmarks {asked.benchmark.name}"
    able = [name for name, each in found.items() if each.known and not each.why_not]
    if able:
        return f"the smallest budget that can: {able[0]}"
    unknown = [name for name, each in found.items() if not each.known]
    if unknown:
        return f"whether {' or '.join(unknown)} can is not known here; {see}"
    return f"no budget can with the teacher runs here; {see}"
