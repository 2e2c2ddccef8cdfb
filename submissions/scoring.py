"""Scoring: each requested entry is resolved once; its runs and its references' are planned and played."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from understudy.submissions import check as check_of_submissions
from understudy.submissions import resolution, submission_format
from understudy.suite import benchmarks, devices, tasks
from understudy.suite.benchmarks import Benchmark, TeacherRun, pinned_runs, pins
from understudy.suite.errors import InputError
from understudy.suite.harness import engines, finished, records, row_files, row_storage, work
from understudy.suite.harness.interventions import Intervention
from understudy.suite.harness.requests import PlayProgress, Report, Request, RequestedRow
from understudy.suite.harness.rounds import DEV_ROUND
from understudy.suite.harness.work import WorkItem
from understudy.suite.io import files

SLOW_TO_MAKE_SECONDS: Final = 1.0  # of a player for one run: its other runs' would take minutes


@dataclass(frozen=True)
class Plan:
    """What scoring takes."""

    items: tuple[WorkItem, ...]  # in order, each once
    slow_to_make: frozenset[RequestedRow]  # rows whose players take long to make


def _no_report(progress: PlayProgress) -> None:
    """Report nothing."""


def rows_of(requests: Sequence[Request]) -> list[RequestedRow]:
    """Return the requested rows, each entry resolved once and each benchmark's pinned runs found once.

    Raises InputError for unknown names, a malformed submission, a device that is not there, or as
    `resolution.resolve`.
    """
    known: dict[str, tuple[Benchmark, tuple[TeacherRun, ...]]] = {}
    rows = []
    for request in dict.fromkeys(requests):
        devices.require(request.device)
        if request.benchmark not in known:
            benchmark = benchmarks.load(request.benchmark)
            known[request.benchmark] = benchmark, pinned_runs_of(benchmark)
        benchmark, runs = known[request.benchmark]
        entry = resolution.resolve(request.name_or_path, benchmark, runs)
        rows.append(RequestedRow(request, entry, benchmark, runs))
    return rows


def score(
    rows: Sequence[RequestedRow],
    task_names: Sequence[str] | None = None,
    engine: str = "serial",
    report: Report = _no_report,
    applied: Sequence[Intervention] = (),
) -> None:
    """Play the rows' runs and those of their references; finished runs are kept, interrupted jobs resumed.

    Takes the arguments of `plan`, and raises as it does.
    """
    play(plan(rows, task_names, engine, report, applied).items, engine, report)


def plan(
    rows: Sequence[RequestedRow],
    task_names: Sequence[str] | None = None,
    engine: str = "serial",
    report: Report = _no_report,
    applied: Sequence[Intervention] = (),
) -> Plan:
    """Return what scoring the rows takes, finished or not; nothing is played or written.

    Args:
        rows: as `rows_of` returns them.
        task_names: None: all tasks of the budget for which the player is made.
        engine: serial or process.
        report: called while players are made.
        applied: interventions to be played too, for the rows but not for their references.

    Raises InputError for an unknown task, a submission that `check` refuses, a player that cannot be made, or
    stored runs of another job.
    """
    engines.require_engine(engine)
    items: dict[WorkItem, None] = {}  # in order, each once
    # A control may be asked for as well as compared with; a request's round is none of a control's.
    references = {replace(row.request, round=DEV_ROUND): row for row in rows if row.entry.is_control}
    slow = set()
    for row in rows:
        wanted = wanted_tasks(row, task_names)
        own = list(work.items_of(row, wanted, applied))
        if not all(map(finished.is_finished, own)):
            _accept(row)
            began = time.monotonic()
            work.require_player(row, wanted, report)
            if time.monotonic() - began > SLOW_TO_MAKE_SECONDS * len(row.entry.players):
                slow.add(row)
        items |= dict.fromkeys(own)
        items |= dict.fromkeys(_reference_items(row, wanted, references))
    for row in dict.fromkeys(item.row for item in items):
        work.row_file(row)  # raises where another entry's row is stored
    work.refuse_other_jobs(list(items))  # before hours of play beside runs that are not comparable
    return Plan(tuple(items), frozenset(slow))


def play(items: Sequence[WorkItem], engine: str = "serial", report: Report = _no_report) -> None:
    """Play what was planned and is not finished; rows are declared in their folders first.

    A row all of whose items are finished stays packed, and no process is started for it.
    """
    declarations = [work.row_file(row) for row in dict.fromkeys(item.row for item in items)]
    due = [item for item in items if not finished.is_finished(item)]
    with _in_trees(due, report):
        for path, declared in declarations:
            files.write_json(path, declared)
        in_memory = any(item.row.entry.in_memory for item in due)  # which no other process has
        engines.run("serial" if in_memory else engine, due, work.run, report)


def play_reference_starts(request: Request, engine: str = "serial", report: Report = _no_report) -> list[str]:
    """Play the start runs of a benchmark's references at a budget; return the tasks that have a reference.

    A task whose teacher runs are too few, or too short for the budget, has no reference, and nothing is
    played for it. The request's name is ignored. Raises as `score`.
    """
    engines.require_engine(engine)
    devices.require(request.device)
    benchmark = benchmarks.load(request.benchmark)
    runs = pinned_runs_of(benchmark)
    measured = [
        task
        for task in tasks.gain_tasks(benchmark.budget(request.budget).tasks)
        if _has_reference_runs(benchmark, runs, request.budget, task)
    ]
    items = []
    for task in measured:
        assert task.gain is not None
        name, role = task.gain.start
        row = RequestedRow(
            replace(request, name_or_path=name), resolution.resolve(name, benchmark, runs), benchmark, runs
        )
        items.append(WorkItem(row, work.PLAY, role))
    play(items, engine, report)
    return [task.name for task in measured]


def check(rows: Sequence[RequestedRow], what: str, report: Report = _no_report) -> None:
    """Check the stored runs of rows in new processes; the results are stored beside the runs.

    Args:
        rows: the rows, played.
        what: work.ISOLATION or work.RECHECK.
        report: called while runs are checked.

    Raises InputError if a row has not been played.
    """
    items = [item for row in rows for item in work.check_items(row, what)]
    here = [item for item in items if item.row.entry.in_memory]  # no other process has its model
    with _in_trees(items, report, restart=False):
        engines.run("serial", here, work.run, report)
        engines.run_fresh([item for item in items if item not in here], work.run, report)


def refuse_meaningless(rows: Sequence[RequestedRow], applied: Sequence[Intervention]) -> None:
    """Raise InputError for an intervention that changes nothing for a row's player or games."""
    for row in rows:
        for intervention in applied:
            reason = work.why_meaningless(intervention, row)
            if reason:
                raise InputError(f"--intervention {intervention.name}: {reason}; leave it out")


def seconds_played(rows: Sequence[RequestedRow]) -> float:
    """Return the seconds of play of the rows' runs, summed over jobs, also those that ran side by side."""
    return sum(float(job["seconds"]) for row in rows for job in row_storage.timing(row.folder).values())


def has_networks_at_w(benchmark: Benchmark, runs: Sequence[TeacherRun]) -> bool:
    """Return whether every pinned watched run is here with its network at W."""
    networks = {run.name: run.network_path for run in runs}
    names = pins.of(benchmark).names(benchmark, benchmark.watched_games)
    return all(networks.get(name) is not None for name in names)


def pinned_runs_of(benchmark: Benchmark) -> tuple[TeacherRun, ...]:
    """Return the pinned teacher runs on this machine; a score depends on no others."""
    return tuple(pinned_runs.pinned_among(benchmark, benchmarks.teacher_runs(benchmark)))


def _accept(row: RequestedRow) -> None:
    """Raise InputError for a submission that `check` refuses; a model in memory was checked when given.

    All runs of this machine are looked at, since those that are watched need not be pinned.
    """
    if row.entry.folder is not None:
        runs = benchmarks.teacher_runs(row.benchmark)
        check_of_submissions.accept(submission_format.read(row.entry.folder), row.benchmark, runs)


def _in_trees(
    items: Sequence[WorkItem], report: Report, restart: bool = True
) -> AbstractContextManager[None]:
    """Return a context in which the runs of the items' rows are in trees, where they are played and checked.

    Packed runs of a row that is to be played again go, unless `restart` is false.
    """
    rows: dict[Path, bool] = {}
    for row in dict.fromkeys(item.row for item in items):
        rows[row.folder] = rows.get(row.folder, False) or (restart and row.request.restart)
    return row_storage.unpacked(rows, lambda: report(PlayProgress("", "another process packs a row", 0, 1)))


def wanted_tasks(row: RequestedRow, task_names: Sequence[str] | None) -> list[str]:
    """Return the tasks that a row is scored on.

    Raises InputError for an unknown task, or one for which the budget is too short.
    """
    benchmark, budget = row.benchmark, row.benchmark.budget(row.request.budget)
    wanted = list(budget.tasks) if task_names is None else list(task_names)
    for name in wanted:
        tasks.load(name)  # raises, with a suggestion, where there is no such task
        if name not in budget.tasks:
            others = [each.name for each in benchmark.budgets if name in each.tasks]
            raise InputError(
                f"budget {budget.name!r} of {benchmark.name} is too short for {name!r}; its tasks: "
                f"{', '.join(budget.tasks)}; budgets with {name}: {', '.join(others) or 'none'}"
            )
    benchmarks.require_same_training_settings(row.runs)
    if row.entry.name == "frozen-teacher" and not has_networks_at_w(benchmark, row.runs):
        raise InputError(
            f"frozen-teacher: some pinned teacher run of {benchmark.name} or its network at W is not here; "
            f"fetch them: understudy histories pull --benchmark {benchmark.name}"
        )
    return [name for name in wanted if name in row.entry.players[0].tasks]


def _reference_items(
    row: RequestedRow, wanted: Sequence[str], known: dict[Request, RequestedRow]
) -> list[WorkItem]:
    """Return the start runs of other controls with which a row's tasks compare it."""
    needed: dict[str, dict[str, None]] = {}  # player -> roles, in order
    for name in wanted:
        for player, roles in tasks.load(name).reference_players.items():
            needed.setdefault(player, {}).update(dict.fromkeys(roles))
    items = []
    for player, needed_roles in needed.items():
        lacks_networks = player == "frozen-teacher" and not has_networks_at_w(row.benchmark, row.runs)
        if player == row.entry.name or lacks_networks:
            continue
        device = _device_of_reference(row, player)
        request = replace(row.request, name_or_path=player, restart=False, round=DEV_ROUND, device=device)
        if request not in known:
            entry = resolution.resolve(player, row.benchmark, row.runs)
            known[request] = RequestedRow(request, entry, row.benchmark, row.runs)
        items += [WorkItem(known[request], work.PLAY, role) for role in needed_roles]
    return items


def _device_of_reference(row: RequestedRow, player: str) -> str:
    """Return the device of a control with which a row is compared: the row's, or that of its stored runs.

    The stored start runs of a control serve rows of every device.
    """
    asked = row.request.device
    for job in row_files.find(row.folder.parent / player, f"*/*/{records.JOB}"):
        played_on: str = records.read_job(job.parent)["device"]
        return asked if played_on == devices.type_of(asked) else played_on
    return asked


def _has_reference_runs(
    benchmark: Benchmark, runs: Sequence[TeacherRun], budget_name: str, task: tasks.Task
) -> bool:
    """Return whether enough teacher runs are recorded over a task's moves at a budget."""
    assert task.gain is not None
    on_new_games = task.gain.on_new_games
    if not on_new_games and not has_networks_at_w(benchmark, runs):
        return False
    compared = benchmark.new_games if on_new_games else benchmark.watched_games
    needed = benchmark.budget(budget_name).moves + (0 if on_new_games else benchmark.watched_moves)
    return len(pins.of(benchmark).names(benchmark, compared, needed)) >= benchmark.minima.reference_runs
