"""Verification: replays every logged run through the emulator and recomputes every stored number.

A run that was replayed on this machine before, by a note in the user's cache, is not replayed again; all else
is checked every time.

A verified row is `replayed`: its returns follow from the logged actions and seeds. This does not prove that
the player would choose those actions, which takes its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from understudy.leaderboard import (
    derived_files,
    leak_notes,
    plan_check,
    predictions,
    reference_starts,
    scores,
    stored_rows,
    value_differences,
)
from understudy.leaderboard.kept_scores import KeptScores
from understudy.leaderboard.stored_rows import RowFolder
from understudy.suite import benchmarks, draws, exploration, games, tasks
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.harness import records, row_archive, row_files, row_storage
from understudy.suite.harness.row_files import RowPath
from understudy.suite.histories import derived_segments, replay
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.histories.history_format import History
from understudy.suite.histories.replay_notes import ReplayNotes
from understudy.suite.io import file_names, walks

Report = Callable[[int, int], None]  # moves done and to do
Begin = Callable[[int, int, int], None]  # runs and moves to replay, runs that were replayed before


@dataclass(frozen=True)
class Finding:
    """The result of verifying one row."""

    row: RowFolder
    runs: int
    moves: int
    failures: tuple[str, ...]  # each names the file and the key
    not_played: tuple[str, ...] = ()  # tasks of the budget without any runs of their roles
    replayed_before: int = 0  # of the runs, those that a note spared another replay
    reported: tuple[str, ...] = ()  # what notes beside the runs say, which nothing here has computed


def verify(
    path: Path,
    processes: int | None = None,
    report: Report = lambda done, total: None,
    begin: Begin = lambda runs, moves, before: None,
    notes: ReplayNotes | None = None,
    kept: KeptScores | None = None,
) -> list[Finding]:
    """Verify every row below a folder, and the tables of a results folder; return one finding per row.

    Args:
        path: a results folder, or the folder of a benchmark, a budget or a row in it. Of the rest of the
            results, only the reference players' starts, on which its rows' answers rest, are replayed.
        processes: None: as many as there are cores.
        report: called while runs are replayed.
        begin: called once, before the first replay.
        notes: of earlier replays, brought up to date; None: every run is replayed, and nothing is noted.
        kept: scores that this code derived from the same files before; None: all are derived anew.

    Raises InputError if there is no row.
    """
    results, chosen = stored_rows.results_of(path)
    rows = [row for row in stored_rows.every_row_in(results) if _lies_in(row.path, chosen)]
    failures: dict[RowFolder, list[str]] = {row: [] for row in rows}
    runs = {row: _run_folders(row, failures[row]) for row in rows}
    beside = reference_starts.beside(results, rows)
    others = {row: [run for runs in beside.get(row, {}).values() for run in runs] for row in rows}
    histories: list[tuple[RowFolder, RowPath, History]] = []
    for row, folders in runs.items():
        for folder in [*folders, *others[row]]:
            found, history = _check_files(row, folder)
            failures[row] += found
            if history is not None:
                histories.append((row, folder, history))
    before = notes.held([history for *_, history in histories]) if notes else [False] * len(histories)
    due = [each for each, known in zip(histories, before, strict=True) if not known]
    logs = [history for *_, history in due]
    begin(len(due), sum(history.num_moves for history in logs), sum(before))
    replayed = replay.verify_runs(logs, processes, report) if logs else []
    if notes:
        notes.update(logs, replayed)
    for (row, folder, _), error in zip(due, replayed, strict=True):
        failures[row] += [f"{folder / file_names.HISTORY}: {error}"] if error else []
    scorer = scores.RowScorer(results, kept=kept)
    for row in rows:
        for check in (_check_row, _check_jobs, _check_plan, _check_results_of_checks):
            failures[row] += _failures(check(row))
        for reference in beside.get(row, {}):
            failures[row] += _failures(_check_jobs(reference))
            failures[row] += _failures(_check_plan(reference))
        failures[row] += derived_files.check_scores(scorer, row)
    if chosen != rows[0].path:  # of a single row: its folder says nothing about the controls
        for row in {(row.benchmark, row.budget): row for row in reversed(rows)}.values():
            failures[row] += derived_files.check_controls(results, row, scorer)
    failures[rows[0]] += _check_strays(results, chosen, rows)
    if chosen == results:
        failures[rows[0]] += derived_files.check_tables(results, scorer)
        failures[rows[0]] += _failures(derived_files.check_releases(results, scorer))
    return [
        Finding(
            row,
            runs=len(runs[row]),
            moves=sum(
                history.num_moves
                for each, folder, history in histories
                if each == row and folder not in others[row]
            ),
            failures=tuple(dict.fromkeys(failures[row])),
            not_played=_not_played(row),
            reported=(*_reported(row), *reference_starts.reported(results, row)),
            replayed_before=sum(
                known
                for (each, folder, _), known in zip(histories, before, strict=True)
                if each == row and folder not in others[row]
            ),
        )
        for row in rows
    ]


def _run_folders(row: RowFolder, failures: list[str]) -> list[RowPath]:
    """Return the folders of a row's finished runs; none, and one more failure, if they cannot be found."""
    try:
        return stored_rows.run_folders(row)
    except InputError as error:
        failures.append(str(error))
        return []


def _failures(check: Iterator[str]) -> Iterator[str]:
    """Yield the failures that a check finds, and what keeps it from going on."""
    try:
        yield from check
    except InputError as error:
        yield str(error)


def _lies_in(path: Path, folder: Path) -> bool:
    return folder in (path, *path.parents)


def _check_files(row: RowFolder, folder: RowPath) -> tuple[list[str], History | None]:
    """Return what is wrong with a run's files, checked without an emulator, and its log if complete."""
    path = folder / records.RECORD
    try:
        record = records.read(folder)
        history = stored_rows.log(folder, row.benchmark, row.budget)
        failures = [f"{path}: {text}" for text in _differences(record, history)]
    except (InputError, LookupError, TypeError, ValueError) as error:
        text = str(error) if isinstance(error, InputError) else f"{path}: not a record ({error!r})"
        return [text], None
    return failures, history


def _differences(record: Mapping[str, Any], history: History) -> Iterator[str]:
    """Yield each number of a record that does not follow from the log, and each draw not of its seed."""
    derived = {
        "history_sha256": history.content_sha256,
        **history.header.run,
        **records.measured(history),
    }
    for place, found, expected in value_differences.differing(dict(record), derived):
        yield f"{place} is {found!r}, the log says {expected!r}"
    if records.checksum(record) != record.get("record_sha256"):
        yield "record_sha256 does not hold: a number of this record was changed"
    yield from _draw_differences(record, history)


def _draw_differences(record: Mapping[str, Any], history: History) -> Iterator[str]:
    """Yield the segments that are not cut by the job's rule, and seeds and moves not drawn from the run's."""
    cut = derived_segments.difference(history, SegmentRule(record["job"]["segment_moves"]))
    if cut:
        yield cut
    seed = int(record["lane"]["seed"], 16)
    for index, segment in enumerate(history.header.segments):
        expected = draws.environment_seed(seed, index)
        if segment.seed != expected:
            yield f"segment {index}: emulator seed {segment.seed}, the run's seed gives {expected}"
    legal = np.array(games.load(history.header.game).legal_actions)
    explored, drawn = exploration.exploration_of(seed, legal, history.num_moves, record["job"]["exploration"])
    wrong = (explored != history.explored) | (explored & (drawn != history.action))
    if wrong.any():
        move = int(wrong.argmax())
        yield (
            f"move {move}: action {history.action[move]}, explored {bool(history.explored[move])}; its "
            f"run's seed gives explored {bool(explored[move])}"
            + (f", action {drawn[move]}" if explored[move] else "")
        )


def _check_row(row: RowFolder) -> Iterator[str]:
    """Yield what keeps a row's declaration or its timing from being read."""
    stored_rows.row_of(row)
    row_storage.timing(row.path)
    yield from ()


def _check_jobs(row: RowFolder) -> Iterator[str]:
    """Yield each job without all of its runs, and each difference between a job and its runs."""
    if not stored_rows.job_folders(row):
        yield f"{row.path}: no run has been played; play its runs: understudy score"
    for folder in stored_rows.job_folders(row):
        path = folder / records.JOB
        runs = [
            record.parent for record in row_files.find(row.path, f"{folder.inner}/lane-*/{records.RECORD}")
        ]
        try:
            job = records.read_job(folder)
            names = [f"lane-{index}" for index in range(len(job["lanes"]))]
            missing = sorted(set(names) - {run.name for run in runs})
            if missing and not runs:
                yield f"{folder}: its {len(names)} runs are not finished; score the row again to resume"
            elif missing:
                yield f"{folder}: {missing[0]} of {len(names)} runs is missing; a job's runs count together"
            for run in runs:
                expected = {**records.run_of(job, names.index(run.name)), "labels": job["labels"]}
                for place, found, declared in value_differences.differing(records.read(run), expected):
                    yield f"{run / records.RECORD}: {place} is {found!r}, {records.JOB} says {declared!r}"
        except (InputError, LookupError, TypeError, ValueError) as error:
            yield (
                str(error)
                if isinstance(error, InputError)
                else f"{path}: not the job of its runs ({error!r})"
            )


def _check_plan(row: RowFolder) -> Iterator[str]:
    """Yield each job and prediction that differs from the planned one, and each that is missing."""
    try:
        yield from plan_check.differences(row)
        benchmark = benchmarks.load(row.benchmark)
        yield from predictions.differences(row, benchmark, benchmarks.teacher_runs(benchmark))
    except InputError as error:
        yield str(error)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        yield f"{row.path}: not a row and its jobs ({error!r})"


def _check_results_of_checks(row: RowFolder) -> Iterator[str]:
    """Yield each stored result of a check that is of other runs or weights, or cannot be read."""
    try:
        leak_notes.measured(row.path, stored_rows.row_of(row)["identity"])
    except InputError as error:
        yield str(error)
    for folder in stored_rows.job_folders(row):
        for name in records.CHECKS:
            try:
                found = stored_rows.check_result(folder, name)
            except InputError as error:
                yield str(error)
                continue
            if found is not None and found.mismatch:
                yield f"{found.path}: {found.mismatch}"


def _not_played(row: RowFolder) -> tuple[str, ...]:
    """Return the tasks of which an imitator's row has no runs; they may have been left out on purpose."""
    try:
        if stored_rows.row_of(row)["control"]:  # also a reference, of which only the start is needed
            return ()
        roles = {path.parent.parent.name for path in stored_rows.run_folders(row)}
        named = benchmarks.load(row.benchmark).budget(row.budget).tasks
    except InputError:  # a failure of this row already
        return ()
    return tuple(name for name in named if not set(tasks.load(name).roles) <= roles)


def _reported(row: RowFolder) -> tuple[str, ...]:
    """Return what the stored notes of a row's jobs say: no proof, since anybody could write them."""
    found = []
    for name, holds, fails in (
        (records.RECHECKED, "rechecked", "recheck failed"),
        (records.ISOLATION, "isolated", "not isolated"),
    ):
        try:
            notes = [stored_rows.check_result(folder, name) for folder in stored_rows.job_folders(row)]
        except InputError:  # a failure of this row already
            continue
        counted = [note for note in notes if note is not None and note.mismatch is None]
        if counted:
            found.append(f"{holds if all(note.holds for note in counted) else fails} ({len(counted)} jobs)")
    return tuple(found)


def _check_strays(results: Path, chosen: Path, rows: Sequence[RowFolder]) -> Iterator[str]:
    """Yield each folder of runs below the chosen one that belongs to no row and is therefore not scored."""
    known = {row.path for row in rows}
    runs = [path.parents[3] for path in walks.matching(results, f"*/*/*/*/*/lane-*/{records.RECORD}")]
    runs += [path.parent for path in walks.matching(results, f"*/*/*/{row_archive.ARCHIVE}")]
    for folder in sorted({path for path in runs if _lies_in(path, chosen)} - known):
        yield f"{folder / records.ROW}: missing, so the runs here are not scored; restore it, or score again"


def require(findings: list[Finding]) -> None:
    """Raise CheckFailed with the first failure, unless there is none."""
    failures = [failure for finding in findings for failure in finding.failures]
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise CheckFailed(f"{failures[0]}{more}")


def require_whole(findings: list[Finding]) -> None:
    """Raise CheckFailed with the first row that lacks runs of a question, unless there is none."""
    partial = [finding for finding in findings if finding.not_played]
    if partial:
        first = partial[0]
        more = f" (and {len(partial) - 1} more)" if len(partial) > 1 else ""
        raise CheckFailed(
            f"{first.row.path}: a partial row, {' and '.join(first.not_played)} not played; play the rest: "
            f"understudy score{more}"
        )
