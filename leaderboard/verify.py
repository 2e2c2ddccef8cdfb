"""Verification: every logged life is played again through the emulator, every stored number derived again.

What this proves is the badge `replayed`: the returns follow from the logged actions and seeds. It does not
prove that the player would choose those actions; that takes its weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from understudy.leaderboard import board, instrument, planned, predictions, scores, stored
from understudy.leaderboard import rows as table_rows
from understudy.leaderboard.stored import RowFolder
from understudy.suite import benchmarks, draws, exploration, files, games, records
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.histories import format as history_format
from understudy.suite.histories import replay
from understudy.suite.histories.format import History

Report = Callable[[int, int], None]  # moves done and to do


@dataclass(frozen=True)
class Finding:
    """One row's result."""

    row: RowFolder
    lives: int
    moves: int
    failures: tuple[str, ...]  # each names the file and the place


def verify(
    results: Path, processes: int | None = None, report: Report = lambda done, total: None
) -> list[Finding]:
    """Verify every row below a results folder, and its tables; return what was found, row by row.

    Raises InputError if there is no row.
    """
    rows = stored.rows_in(results)
    lives = {row: stored.life_folders(row) for row in rows}
    failures: dict[RowFolder, list[str]] = {row: [] for row in rows}
    histories: list[tuple[RowFolder, Path, History]] = []
    for row, folders in lives.items():
        for folder in folders:
            found, history = _check_files(folder)
            failures[row] += found
            if history is not None:
                histories.append((row, folder, history))
    replayed = replay.verify_lives([history for *_, history in histories], processes, report)
    for (row, folder, _), error in zip(histories, replayed, strict=True):
        failures[row] += [f"{folder / records.HISTORY}: {error}"] if error else []
    for row in rows:
        failures[row] += [
            *_check_jobs(row),
            *_check_plan(row),
            *_check_fed(row),
            *_check_scores(results, row),
        ]
    for row in {(row.benchmark, row.budget): row for row in reversed(rows)}.values():
        failures[row] += _check_instrument(results, row)
    failures[rows[0]] += [*_check_strays(results, rows), *_check_tables(results)]
    moves = {row: sum(h.num_moves for r, _, h in histories if r == row) for row in rows}
    return [Finding(row, len(lives[row]), moves[row], tuple(failures[row])) for row in rows]


def _check_files(folder: Path) -> tuple[list[str], History | None]:
    """Return what is wrong with a life's files without an emulator, and its log if that is whole."""
    path = folder / records.RECORD
    try:
        history = history_format.read(folder / records.HISTORY)
        record = records.read(folder)
        failures = [f"{path}: {text}" for text in _differences(record, history)]
    except (InputError, LookupError, TypeError, ValueError) as error:
        text = str(error) if isinstance(error, InputError) else f"{path}: not a record ({error!r})"
        return [text], None
    return failures, history


def _differences(record: Mapping[str, Any], history: History) -> Iterator[str]:
    """Yield each number of a record that does not follow from the log, and each draw not of its seed."""
    derived = {
        "history_sha256": history.content_sha256,
        **history.header.life,
        **records.measured(history),
    }
    for place, found, expected in _leaves(dict(record), derived):
        yield f"{place} is {found!r}, the log says {expected!r}"
    if records.seal(record) != record.get("record_sha256"):
        yield "record_sha256 does not hold: a number of this record was changed"
    yield from _draw_differences(record, history)


def _draw_differences(record: Mapping[str, Any], history: History) -> Iterator[str]:
    """Yield what was not drawn from the life's seed: emulator seeds and exploration."""
    seed = int(record["lane"]["seed"], 16)
    for index, segment in enumerate(history.header.segments):
        expected = draws.environment_seed(seed, index)
        if segment.seed != expected:
            yield f"segment {index}: emulator seed {segment.seed}, the life's seed gives {expected}"
    legal = np.array(games.load(history.header.game).legal_actions)
    explored, drawn = exploration.exploration_of(seed, legal, history.num_moves, record["job"]["exploration"])
    wrong = (explored != history.explored) | (explored & (drawn != history.action))
    if wrong.any():
        move = int(wrong.argmax())
        yield (
            f"move {move}: action {history.action[move]}, explored {bool(history.explored[move])}; its "
            f"life's seed gives explored {bool(explored[move])}"
            + (f", action {drawn[move]}" if explored[move] else "")
        )


def _leaves(stored: Any, derived: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (place, stored, derived) for each derived value that is stored otherwise."""
    if isinstance(derived, Mapping) and isinstance(stored, Mapping):
        for key in derived:
            yield from _leaves(stored.get(key), derived[key], f"{place}.{key}" if place else key)
        if place:
            for key in set(stored) - set(derived):
                yield f"{place}.{key}", stored[key], None
    elif isinstance(derived, list) and isinstance(stored, list) and len(derived) == len(stored):
        for index, (one, other) in enumerate(zip(stored, derived, strict=True)):
            yield from _leaves(one, other, f"{place}[{index}]")
    elif stored != derived:
        yield place, stored, derived


def _check_jobs(row: RowFolder) -> Iterator[str]:
    """Yield each job of which some lives are stored and not all, or which its lives say otherwise."""
    for folder in stored.job_folders(row):
        path = folder / records.JOB
        lives = sorted(record.parent for record in folder.glob(f"lane-*/{records.RECORD}"))
        try:
            job = records.read_job(folder)
            names = [f"lane-{index}" for index in range(len(job["lanes"]))]
            missing = sorted(set(names) - {life.name for life in lives}) if lives else []
            if missing:
                yield f"{folder}: {missing[0]} of {len(names)} lives is missing; a job's lives count together"
            for life in lives:
                expected = records.life_of(job, names.index(life.name))
                for place, found, told in _leaves(records.read(life), expected):
                    yield f"{life / records.RECORD}: {place} is {found!r}, {records.JOB} says {told!r}"
        except (InputError, LookupError, TypeError, ValueError) as error:
            yield (
                str(error)
                if isinstance(error, InputError)
                else f"{path}: not the job of its lives ({error!r})"
            )


def _check_plan(row: RowFolder) -> Iterator[str]:
    """Yield each job and prediction that is not what belongs in its place, and each that is missing."""
    try:
        yield from planned.differences(row)
        yield from predictions.differences(row, benchmarks.load(row.benchmark))
    except InputError as error:
        yield str(error)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        yield f"{row.path}: not a row and its jobs ({error!r})"


def _check_fed(row: RowFolder) -> Iterator[str]:
    """Yield each note of a check that is of other lives or weights than are stored."""
    for folder in stored.job_folders(row):
        for name in records.FED_AGAIN:
            try:
                found = stored.fed(folder, name)
            except InputError as error:
                yield str(error)
                continue
            if found is not None and found.mismatch:
                yield f"{found.path}: {found.mismatch}"


def _check_scores(results: Path, row: RowFolder) -> Iterator[str]:
    """Yield what differs in a row's stored verdicts from those of its lives."""
    path = row.path / scores.SCORES
    if not path.exists():
        return
    try:
        judged = scores.judge_row(results, row)
        kept = files.read_json(path)
    except InputError as error:
        yield str(error)
        return
    for place, found, expected in _leaves({"scores": kept}, {"scores": scores.scores_of(judged)}):
        yield f"{path}: {place.removeprefix('scores.')} is {found!r}, the lives give {expected!r}"


def _check_instrument(results: Path, row: RowFolder) -> Iterator[str]:
    """Yield what differs in the stored instrument check of a row's benchmark and budget from its lives."""
    path = results / row.benchmark / row.budget / instrument.INSTRUMENT
    if not path.exists():
        return
    try:
        kept = files.read_json(path)
        found = instrument.check(results, row.benchmark, row.budget).as_json()
    except InputError as error:
        yield str(error)
        return
    expected = json.loads(json.dumps(found))  # tuples become lists
    for place, stored_value, derived in _leaves({"instrument": kept}, {"instrument": expected}):
        yield f"{path}: {place.removeprefix('instrument.')} is {stored_value!r}, the lives give {derived!r}"


def _check_strays(results: Path, rows: Sequence[RowFolder]) -> Iterator[str]:
    """Yield each folder of lives that are no row's, and so count nowhere."""
    known = {row.path for row in rows}
    lives = results.glob(f"*/*/*/*/*/lane-*/{records.RECORD}")
    for folder in sorted({path.parents[3] for path in lives} - known):
        yield f"{folder / stored.ROW}: missing, so the lives here count nowhere; restore it, or score again"


def _check_tables(results: Path) -> Iterator[str]:
    """Yield each stored table that is not what the rows give."""
    written = [path for path in (results / name for name in board.FILES) if path.exists()]
    if not written:
        return
    try:
        tables = board.texts(table_rows.tables_of(scores.judge_all(results)))
    except InputError as error:
        yield str(error)
        return
    for path in written:
        if path.read_text() != tables[path.name]:
            yield f"{path}: not the table that these rows give; write it again: understudy rescore {results}"


def require(findings: list[Finding]) -> None:
    """Raise CheckFailed, naming the first failure, unless every row holds."""
    failures = [failure for finding in findings for failure in finding.failures]
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise CheckFailed(f"{failures[0]}{more}")
