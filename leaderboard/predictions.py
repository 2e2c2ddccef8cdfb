"""Predictions: what a row's checkpoints predicted of their teachers' next moves, half of Q1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from understudy.leaderboard import stored
from understudy.leaderboard.stored import RowFolder
from understudy.suite import benchmarks, files, games, records
from understudy.suite.benchmarks import Benchmark, TeacherLife
from understudy.suite.histories.frames import frames
from understudy.suite.judging.evidence import Likeness

LIKENESS = "likeness"  # <row>/likeness/<checkpoint>/<teacher>.safetensors


def of_row(folder: RowFolder, benchmark: Benchmark) -> tuple[Likeness, ...]:
    """Return a row's predictions; none unless they are there of every teacher on whose game it started.

    InputError where a file of them can't be read.
    """
    due = list(_due(folder, benchmark))
    if not all(path.exists() for path, *_ in due):
        return ()
    return tuple(
        Likeness(unit=benchmark.unit(life.name), checkpoint=number, **files.read_columns(path))
        for path, number, life in due
    )


def differences(folder: RowFolder, benchmark: Benchmark) -> Iterator[str]:
    """Yield each file that is missing, of nobody's, or of other moves than the teacher's.

    That the predictions are those of the weights takes the weights: `understudy score --rederive`.
    """
    due = {path: life for path, _, life in _due(folder, benchmark)}
    found = set(folder.path.glob(f"{LIKENESS}/*/*.safetensors"))
    for path in sorted(found - set(due)):
        yield f"{path}: predictions of a teacher on whose game this checkpoint has no start"
    for path in sorted(set(due) - found) if found else ():
        yield f"{path}: predictions are missing; those of all teachers count together"
    for path in sorted(found & set(due)):
        yield from (f"{path}: {text}" for text in _differing(files.read_columns(path), folder, due[path]))


def _differing(columns: dict[str, np.ndarray], folder: RowFolder, life: TeacherLife) -> Iterator[str]:
    from understudy.suite import likeness as likeness_of

    benchmark, history = benchmarks.load(folder.benchmark), benchmarks.read(life)
    start, moves = benchmark.watched_moves, benchmark.budget(folder.budget).likeness_moves
    assert life.network_path is not None
    store = frames(history, start, start + moves)
    expected = likeness_of.teachers_columns(history, store, start, moves, life.network_path)
    if set(columns) != {*expected, "predicted", "loss_nats"}:
        yield f"columns {', '.join(sorted(columns))}; score its likeness again"
        return
    for name, values in expected.items():
        if not np.array_equal(columns[name], values):
            yield f"{name} is not what the teacher's life says"
    legal = np.flatnonzero(games.load(life.game).legal_actions)
    if columns["predicted"].shape != (moves,) or not np.isin(columns["predicted"], legal).all():
        yield f"predicted: expected {moves:,} legal actions"


def _due(folder: RowFolder, benchmark: Benchmark) -> Iterator[tuple[Path, int, TeacherLife]]:
    """Yield (file, number of the checkpoint, teacher's life) of all that a row's starts ask for.

    A teacher's life that ends before the moves to predict, or has no network at W, is asked of nobody.
    """
    if not (folder.path / stored.ROW).exists():
        return
    lives = {life.name: life for life in benchmarks.teacher_lives(benchmark)}
    moves = benchmark.watched_moves + benchmark.budget(folder.budget).likeness_moves
    for number, checkpoint in enumerate(stored.checkpoints(folder)):
        job = folder.path / "start" / checkpoint
        if not (job / records.JOB).exists():
            continue
        for teacher in sorted({str(lane["teacher"]) for lane in records.read_job(job)["lanes"]}):
            life = lives.get(teacher)
            if life is None or life.network_path is None or benchmarks.read(life).num_moves < moves:
                continue
            name = f"{teacher.replace('/', '.')}.safetensors"
            yield folder.path / LIKENESS / checkpoint / name, number, life
