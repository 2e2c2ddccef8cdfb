"""Stages: what a run's header says of its training, whose size must not grow with the runs beside it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from support.trainings import GAMES, ONE_RUN, TWO_RUNS, TrainingKilled, files_of, kill_at

from understudy.suite.errors import InputError
from understudy.suite.histories import history_format
from understudy.suite.histories.journal import Journal
from understudy.suite.io import file_names, files
from understudy.suite.teachers import train_teacher, training_progress
from understudy.suite.teachers.train_teacher import TeacherTraining


def stage_with_neighbours(training: TeacherTraining, index: int) -> dict[str, Any]:
    """Return a run's stage as it was once stored: with the games and seeds of all runs."""
    plain = json.loads(files.canonical_json(asdict(training)))
    return {**plain, "versions": train_teacher.versions()}


def stages_of(out: Path) -> list[list[dict[str, Any]]]:
    found = [history_format.read(path) for path in sorted(out.rglob(file_names.HISTORY))]
    return [history.header.player["stages"] for history in found]


def test_a_header_does_not_grow_with_the_runs_trained_beside_it(tmp_path):
    """Of 2 and of 64 runs: the header of one, its journal's and its progress file differ by one digit."""
    headers, begun, contents = [], [], []
    for count in (2, 64):
        out = tmp_path / str(count)
        training = replace(ONE_RUN, game_names=GAMES[:1] * count, seeds=tuple(range(count)))
        folder = train_teacher.run_folder(out, GAMES[0], 1)
        with pytest.raises(TrainingKilled):
            train_teacher.train(training, out, 60, checkpoint_moves=20, report=kill_at(41))
        journal = Journal(folder / f"{file_names.HISTORY}.journal").folder
        begun.append([(journal / "header.json").stat().st_size])
        begun[-1].append((folder / training_progress.PROGRESS).stat().st_size)
        train_teacher.train(training, out, 60)
        history = history_format.read(folder / file_names.HISTORY)
        headers.append(history.header)
        contents.append(history)
    few, many = (files.canonical_json(history_format.header_fields(header)) for header in headers)
    assert len(many) == len(few) + len("64") - len("2")
    assert many == few.replace('"runs_in_lock_step":2,', '"runs_in_lock_step":64,')
    assert [size - other for size, other in zip(*reversed(begun), strict=True)] == [1, 1]
    for name in history_format.COLUMNS:
        assert (getattr(contents[0], name) == getattr(contents[1], name)).all()


def test_a_stage_lists_the_runs_own_game_and_seed(tmp_path):
    training = replace(TWO_RUNS, seeds=(3, 7))
    train_teacher.train(training, tmp_path, 40)
    (one,), (other,) = stages_of(tmp_path)
    assert (one["game_names"], one["seeds"], one["runs_in_lock_step"]) == ([GAMES[0]], [3], 2)
    assert (other["game_names"], other["seeds"], other["runs_in_lock_step"]) == ([GAMES[1]], [7], 2)
    assert {k: one[k] for k in one if k not in ("game_names", "seeds")} == {
        k: other[k] for k in other if k not in ("game_names", "seeds")
    }


@pytest.mark.parametrize("finished", [True, False])
def test_runs_whose_stages_list_their_neighbours_are_continued_as_they_are(tmp_path, monkeypatch, finished):
    """By the same training: their stages stay, and their bytes are those of an uninterrupted one."""
    with monkeypatch.context() as patched:
        patched.setattr(TeacherTraining, "stage", stage_with_neighbours)
        train_teacher.train(TWO_RUNS, tmp_path / "whole", 300)
        if finished:
            train_teacher.train(TWO_RUNS, tmp_path / "parts", 180)
        else:
            with pytest.raises(TrainingKilled):
                train_teacher.train(TWO_RUNS, tmp_path / "parts", 300, 60, kill_at(190))
    for (stage,) in stages_of(tmp_path / "whole"):
        assert (stage["game_names"], stage["seeds"]) == (list(GAMES), [0, 0])
        assert "runs_in_lock_step" not in stage
    if not finished:
        with pytest.raises(InputError, match="begun with runs_in_lock_step: 2, not 1"):
            train_teacher.train(ONE_RUN, tmp_path / "parts", 300)
    train_teacher.train(TWO_RUNS, tmp_path / "parts", 300, checkpoint_moves=60)
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


def test_a_run_whose_stage_lists_neighbours_is_extended_alone_in_a_stage_without_them(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(TeacherTraining, "stage", stage_with_neighbours)
        train_teacher.train(TWO_RUNS, tmp_path / "parts", 180)
    before = stages_of(tmp_path / "parts")[0]
    train_teacher.train(ONE_RUN, tmp_path / "parts", 300)
    old, new = stages_of(tmp_path / "parts")[0]
    assert [old] == before
    assert (new["from_move"], new["game_names"], new["seeds"]) == (180, [GAMES[0]], [0])
    assert new["runs_in_lock_step"] == 1


@pytest.mark.parametrize("lists_neighbours", [True, False])
def test_a_run_in_another_runs_folder_is_not_extended(tmp_path, monkeypatch, lists_neighbours):
    with monkeypatch.context() as patched:
        if lists_neighbours:
            patched.setattr(TeacherTraining, "stage", stage_with_neighbours)
        train_teacher.train(ONE_RUN, tmp_path, 100)
    other = replace(ONE_RUN, seeds=(1,))
    here, there = (train_teacher.run_folder(tmp_path, GAMES[0], seed) for seed in (0, 1))
    here.rename(there)
    with pytest.raises(InputError, match="begun with seeds"):
        train_teacher.train(other, tmp_path, 150)
