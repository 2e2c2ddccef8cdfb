"""Predictions: the stored predictions of the teachers' moves after W by a row's checkpoints, half of Q1."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from understudy.leaderboard import stored_rows
from understudy.leaderboard.stored_rows import RowFolder
from understudy.suite import benchmarks, escaping, games
from understudy.suite.benchmarks import Benchmark, TeacherRun
from understudy.suite.errors import InputError
from understudy.suite.harness import records, row_files
from understudy.suite.harness.row_files import RowPath
from understudy.suite.histories.frame_store import open_store
from understudy.suite.io import files, walks
from understudy.suite.scoring.evidence import Predictions

COLUMNS = {  # dtypes of `agreement.measure`
    "chosen": "int64",
    "explored": "bool",
    "predicted": "int64",
    "loss_nats": "float64",
    "ceiling": "float64",
}
MOST: Final = 1e39  # no loss in nats is larger: logits are float32, and two differ by 7e38 at most
KEPT_TEACHERS = 128  # columns kept in a process, 34 bytes a move of some 1,000


def of_row(
    folder: RowFolder, benchmark: Benchmark, teacher_runs: Sequence[TeacherRun]
) -> tuple[Predictions, ...]:
    """Return a row's predictions; none unless they are stored for every teacher of its start jobs.

    Raises InputError if a file cannot be read, or holds other columns or a number above `MOST`.
    """
    due = list(_due(folder, benchmark, teacher_runs))
    if not all(path.exists() for path, *_ in due):
        return ()
    return tuple(_read(path, benchmark.unit(run.name), number) for path, number, run in due)


def differences(folder: RowFolder, benchmark: Benchmark, teacher_runs: Sequence[TeacherRun]) -> Iterator[str]:
    """Yield each file that is missing, unexpected, or of other moves than the teacher's.

    Whether the weights make these predictions is checked by `understudy verify ROW --recheck SUBMISSION`.
    """
    due = {path: run for path, _, run in _due(folder, benchmark, teacher_runs)}
    found = set(row_files.find(folder.path, f"{records.AGREEMENT}/*/*.safetensors"))
    for path in sorted(found - set(due)):
        yield f"{path}: predictions of a teacher for which this checkpoint has no start job"
    for path in sorted(set(due) - found) if found else ():
        yield f"{path}: predictions are missing; those of all teachers count together"
    for path in sorted(found & set(due)):
        yield from (f"{path}: {text}" for text in _differing(_columns(path), folder, due[path]))


def _columns(path: RowPath) -> dict[str, np.ndarray]:
    """Return the columns of a file of predictions; InputError if there are others, or of other shapes."""
    columns = files.read_columns(path)
    found = {name: str(column.dtype) for name, column in columns.items()}
    if found != COLUMNS or len({column.shape for column in columns.values()}) != 1:
        shown = ", ".join(
            f"{name} {columns[name].dtype} {list(columns[name].shape)}" for name in sorted(columns)
        )
        raise InputError(
            f"{path}: expected the columns {', '.join(COLUMNS)} of one length; found "
            f"{escaping.shortened(shown, 400) or 'none'}; score its agreement again"
        )
    for name, column in columns.items():
        if column.ndim != 1 or not (np.abs(column) <= MOST).all():  # nor a NaN
            raise InputError(
                f"{path}: {name}: expected numbers [n] of at most {MOST:.0e}; score its agreement again"
            )
    return columns


def _read(path: RowPath, unit: str, number: int) -> Predictions:
    columns = _columns(path)
    try:
        return Predictions(unit=unit, checkpoint=number, **columns)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}; score its agreement again") from error


def _differing(columns: dict[str, np.ndarray], folder: RowFolder, run: TeacherRun) -> Iterator[str]:
    benchmark = benchmarks.load(folder.benchmark)
    start, moves = benchmark.watched_moves, benchmark.budget(folder.budget).agreement_moves
    assert run.network_path is not None
    changed = run.history_path.stat().st_mtime_ns, run.network_path.stat().st_mtime_ns
    expected = _expected(run, start, moves, changed)
    for name, values in expected.items():
        if not np.array_equal(columns[name], values):
            yield f"{name} differs from the teacher's run"
    legal = np.flatnonzero(games.load(run.game).legal_actions)
    if columns["predicted"].shape != (moves,) or not np.isin(columns["predicted"], legal).all():
        yield f"predicted: expected {moves:,} legal actions"


@functools.lru_cache(maxsize=KEPT_TEACHERS)
def _expected(run: TeacherRun, start: int, moves: int, changed: tuple[int, int]) -> Mapping[str, np.ndarray]:
    """Return `agreement.teachers_columns` of a run, computed once for the rows of all players.

    Args:
        run: of a teacher, with its network at W.
        start: the first move to predict.
        moves: how many.
        changed: when the log and the network were, in ns: other files are other columns.
    """
    from understudy.suite.harness import agreement

    history = benchmarks.read(run)
    store = open_store(history, start, start + moves)
    assert run.network_path is not None
    return agreement.teachers_columns(history, store, start, moves, run.network_path)


def _due(
    folder: RowFolder, benchmark: Benchmark, teacher_runs: Sequence[TeacherRun]
) -> Iterator[tuple[RowPath, int, TeacherRun]]:
    """Yield (file, number of the checkpoint, teacher's run) for the teachers of a row's start jobs.

    Runs that end before the moves to predict, or have no network at W, are left out.
    """
    if not walks.is_file(folder.path / records.ROW):
        return
    runs = {run.name: run for run in teacher_runs}
    moves = benchmark.watched_moves + benchmark.budget(folder.budget).agreement_moves
    for number, checkpoint in enumerate(stored_rows.checkpoints(folder)):
        job = folder.runs / "start" / checkpoint
        if not (job / records.JOB).exists():
            continue
        for teacher in sorted({str(lane["teacher"]) for lane in records.read_job(job)["lanes"]}):
            run = runs.get(teacher)
            if run is None or run.network_path is None or benchmarks.read(run).num_moves < moves:
                continue
            yield records.predictions_path(folder.runs, checkpoint, teacher), number, run
