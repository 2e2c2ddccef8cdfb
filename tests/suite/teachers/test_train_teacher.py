"""Training teachers: a kill does not change the bytes, finished runs can be extended, runs replay."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.trainings import GAMES, ONE_RUN, TWO_RUNS, TrainingKilled, files_of, kill_at

from understudy.suite import games, stored_names
from understudy.suite.errors import InputError
from understudy.suite.histories import history_format, segments
from understudy.suite.io import file_names, files
from understudy.suite.teachers import dqn, network, recompute, train_teacher, training_progress
from understudy.suite.testing.history_checks import segment_frames


def test_killed_trainings_resume_to_the_same_bytes(tmp_path):
    train_teacher.train(TWO_RUNS, tmp_path / "whole", 300, checkpoint_moves=60)
    for kills in ((1,), (59, 61), (60, 120, 199, 200, 299)):
        out = tmp_path / f"killed-{'-'.join(map(str, kills))}"
        for move in kills:
            with pytest.raises(TrainingKilled):
                train_teacher.train(TWO_RUNS, out, 300, checkpoint_moves=60, report=kill_at(move))
        train_teacher.train(TWO_RUNS, out, 300, checkpoint_moves=60)
        assert files_of(out) == files_of(tmp_path / "whole")


def test_a_finished_run_is_extended(tmp_path):
    train_teacher.train(TWO_RUNS, tmp_path / "whole", 300, checkpoint_moves=60)
    train_teacher.train(TWO_RUNS, tmp_path / "parts", 180, checkpoint_moves=60)
    first = history_format.read(tmp_path / "parts" / "goal-40" / "seed-0" / file_names.HISTORY)
    assert first.num_moves == 180
    train_teacher.train(TWO_RUNS, tmp_path / "parts", 300, checkpoint_moves=60)
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


@pytest.mark.parametrize("stop", [100, 180, 200])
def test_a_run_that_ends_where_a_segment_would_begin_is_extended(tmp_path, stop):
    """Dark-room episodes are 20 moves: those at 100 and 180 follow multiples of 90, W is 200."""
    train_teacher.train(TWO_RUNS, tmp_path / "whole", 300, checkpoint_moves=60)
    paths = train_teacher.train(TWO_RUNS, tmp_path / "parts", stop, checkpoint_moves=60)
    starts = [0, 100, 180, 200, 280]
    for path in paths:
        found = [segment.first_move for segment in history_format.read(path).header.segments]
        assert found == [move for move in starts if move < stop]
    paths = train_teacher.train(TWO_RUNS, tmp_path / "parts", 300, checkpoint_moves=60)
    for path in paths:
        assert [segment.first_move for segment in history_format.read(path).header.segments] == starts
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


def test_a_run_without_its_progress_file_is_extended(tmp_path):
    train_teacher.train(TWO_RUNS, tmp_path / "whole", 300, checkpoint_moves=60)
    train_teacher.train(TWO_RUNS, tmp_path / "parts", 180, checkpoint_moves=60)
    for path in (tmp_path / "parts").rglob(training_progress.PROGRESS):
        path.unlink()
    train_teacher.train(TWO_RUNS, tmp_path / "parts", 300, checkpoint_moves=60)
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


def test_a_run_begun_before_the_progress_file_was_renamed_is_resumed(tmp_path):
    """An interrupted extension of a finished run keeps what it had learned since."""
    train_teacher.train(ONE_RUN, tmp_path / "whole", 120)
    train_teacher.train(ONE_RUN, tmp_path / "whole", 220)
    train_teacher.train(ONE_RUN, tmp_path / "parts", 120)
    with contextlib.suppress(TrainingKilled):
        train_teacher.train(ONE_RUN, tmp_path / "parts", 220, 20, kill_at(190))
    for path in list((tmp_path / "parts").rglob(training_progress.PROGRESS)):
        assert files.read_json(path)["moves"] == 180
        path.rename(path.with_name(stored_names.TRAINING_PROGRESS))
    reported = []
    train_teacher.train(ONE_RUN, tmp_path / "parts", 220, 20, lambda at: reported.append(at.moves))
    assert min(reported) >= 180  # nothing is trained twice
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


@pytest.mark.parametrize("moves", [180, 173, 40])
def test_runs_without_their_checkpoints_are_recomputed_and_extended(tmp_path, moves):
    train_teacher.train(TWO_RUNS, tmp_path / "whole", 300, checkpoint_moves=60)
    train_teacher.train(TWO_RUNS, tmp_path / "parts", moves, checkpoint_moves=60)
    for path in (tmp_path / "parts").rglob(file_names.CHECKPOINT):
        path.unlink()
    for path in (tmp_path / "parts").rglob(training_progress.PROGRESS):
        path.unlink()
    seen = []
    train_teacher.train(TWO_RUNS, tmp_path / "parts", 300, checkpoint_moves=60, report=seen.append)
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")
    assert max(progress.recomputed for progress in seen if progress.recomputed) == (moves - 1, moves - 1)


@pytest.mark.parametrize("alone_moves", [20_000, 0], ids=["one process", "all cores"])
def test_rebuilding_the_memory_is_reported_and_can_be_interrupted(tmp_path, monkeypatch, alone_moves):
    monkeypatch.setattr(segments, "ONE_PROCESS_MOVES", alone_moves)
    train_teacher.train(TWO_RUNS, tmp_path / "whole", 300, checkpoint_moves=60)
    out = tmp_path / "killed"
    with pytest.raises(TrainingKilled):
        train_teacher.train(TWO_RUNS, out, 300, checkpoint_moves=60, report=kill_at(260))

    def interrupt(progress):
        if progress.rebuilt:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="the same command resumes from"):
        train_teacher.train(TWO_RUNS, out, 300, checkpoint_moves=60, report=interrupt)
    seen = []
    train_teacher.train(TWO_RUNS, out, 300, checkpoint_moves=60, report=seen.append)
    rebuilt = [progress.rebuilt for progress in seen if progress.rebuilt]
    assert rebuilt
    assert all(done <= total for done, total in rebuilt)
    assert rebuilt[-1][0] == rebuilt[-1][1]
    assert {progress.moves for progress in seen if progress.rebuilt} == {240}
    assert [progress.moves for progress in seen if not progress.rebuilt] == list(range(241, 301))
    assert not list(out.rglob(train_teacher.REBUILDING))
    assert files_of(out) == files_of(tmp_path / "whole")


def test_trainings_share_a_folder_and_their_runs_are_extended_together(tmp_path):
    """Each run equals that of a training of both, except for the stages that its header lists."""
    other = replace(ONE_RUN, game_names=GAMES[1:])
    whole = train_teacher.train(TWO_RUNS, tmp_path / "whole", 300)
    out = tmp_path / "apart"
    with pytest.raises(TrainingKilled):
        train_teacher.train(ONE_RUN, out, 180, checkpoint_moves=60, report=kill_at(130))
    train_teacher.train(other, out, 180)
    with pytest.raises(
        InputError, match=r"goal-41/seed-0: 180 moves, but 120 in other runs of this training"
    ):
        train_teacher.train(TWO_RUNS, out, 300)
    train_teacher.train(ONE_RUN, out, 180)
    apart = train_teacher.train(TWO_RUNS, out, 300)
    for one, two in zip(whole, apart, strict=True):
        assert np.array_equal(history_format.read(one).action, history_format.read(two).action)
        assert (
            one.with_name(file_names.CHECKPOINT).read_bytes()
            == two.with_name(file_names.CHECKPOINT).read_bytes()
        )
    stages = [history_format.read(path).header.player["stages"] for path in apart]
    assert [(stage["from_move"], stage["runs_in_lock_step"]) for stage in stages[0]] == [(0, 1), (180, 2)]
    for game, own in zip(GAMES, stages, strict=True):
        assert [(stage["game_names"], stage["seeds"]) for stage in own] == [([game], [0])] * 2


def test_killed_while_writing_progress_files_it_resumes_from_the_checkpoint_before(tmp_path, monkeypatch):
    """At each progress file, in a first training and in one that extends finished runs."""
    write = files.write_json
    train_teacher.train(TWO_RUNS, tmp_path / "whole", 180, checkpoint_moves=60)
    train_teacher.train(TWO_RUNS, tmp_path / "whole", 300, checkpoint_moves=60)
    for limit in range(1, 24):
        left = limit

        def write_or_die(path, value):
            nonlocal left
            left -= 1
            if left < 0:
                raise TrainingKilled
            write(path, value)

        out = tmp_path / f"killed-{limit}"
        monkeypatch.setattr(files, "write_json", write_or_die)
        for moves in (180, 300):
            left = limit
            with contextlib.suppress(TrainingKilled):
                train_teacher.train(TWO_RUNS, out, moves, checkpoint_moves=60)
            leftover = (
                f".{training_progress.PROGRESS}.0123456789abcdef.part"  # of a process killed while it wrote
            )
            (out / "goal-41" / "seed-0" / leftover).touch()
            left = 1000
            train_teacher.train(TWO_RUNS, out, moves, checkpoint_moves=60)
        monkeypatch.setattr(files, "write_json", write)
        assert files_of(out) == files_of(tmp_path / "whole")
        assert not list(out.rglob(".*"))


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_leaves_a_checkpoint_of_the_last_move(tmp_path):
    def interrupt(progress):
        if progress.moves == 77 and not list(tmp_path.rglob("checkpoint-78.safetensors")):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="the same command resumes from"):
        train_teacher.train(TWO_RUNS, tmp_path / "killed", 120, report=interrupt)
    assert len(list(tmp_path.rglob("checkpoint-78.safetensors"))) == 2
    train_teacher.train(TWO_RUNS, tmp_path / "killed", 120, report=interrupt)
    train_teacher.train(TWO_RUNS, tmp_path / "whole", 120)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


def test_stages_without_device_and_precision_are_of_a_cpu_in_float32(tmp_path):
    for path in train_teacher.train(TWO_RUNS, tmp_path, 180):
        progress = files.read_json(path.with_name(training_progress.PROGRESS))
        del progress["stages"][0]["device"], progress["stages"][0]["precision"]
        files.write_json(path.with_name(training_progress.PROGRESS), progress)
    (path, _) = train_teacher.train(TWO_RUNS, tmp_path, 240)
    assert len(history_format.read(path).header.player["stages"]) == 1


def test_extending_with_other_threads_begins_a_new_stage(tmp_path):
    train_teacher.train(TWO_RUNS, tmp_path, 180)
    (path, _) = train_teacher.train(replace(TWO_RUNS, threads=2), tmp_path, 240)
    stages = history_format.read(path).header.player["stages"]
    assert [(stage["from_move"], stage["threads"]) for stage in stages] == [(0, 1), (180, 2)]


def test_atari_is_trained_and_recomputed_in_bfloat16(tmp_path):
    """Killed, it ends in the same bytes; extended in float32 it cannot be recomputed past the change."""
    settings = replace(dqn.SETTINGS["atari"], learning_starts=8, exploration_moves=10, memory_moves=60)
    training = train_teacher.TeacherTraining(
        ("atari/breakout",), (0,), 40, 90, settings, precision="bfloat16"
    )
    with pytest.raises(TrainingKilled):
        train_teacher.train(training, tmp_path / "killed", 60, checkpoint_moves=25, report=kill_at(39))
    train_teacher.train(training, tmp_path / "killed", 60)
    (path,) = train_teacher.train(training, tmp_path / "whole", 60)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")
    ((_, (learned,)),) = recompute.checkpoints([history_format.read(path)], [40])
    for name, tensor in load_file(path.with_name(file_names.NETWORK_AT_W)).items():
        assert torch.equal(learned[f"network.{name}"], tensor)
    (other,) = train_teacher.train(replace(training, precision="float32"), tmp_path / "float32", 60)
    in_float32 = load_file(other.with_name(file_names.NETWORK_AT_W))
    assert not torch.equal(learned["network.conv0.weight"], in_float32["conv0.weight"])
    (path,) = train_teacher.train(replace(training, precision="float32"), tmp_path / "whole", 70)
    history = history_format.read(path)
    assert [stage["precision"] for stage in history.header.player["stages"]] == ["bfloat16", "float32"]
    next(recompute.checkpoints([history], [60]))
    with pytest.raises(InputError, match="trained in bfloat16 and float32"):
        next(recompute.checkpoints([history], [65]))


def test_network_at_w_is_the_one_that_played_move_w(tmp_path):
    train_teacher.train(replace(TWO_RUNS, watched_moves=180), tmp_path / "w", 180)
    train_teacher.train(replace(TWO_RUNS, watched_moves=170), tmp_path / "beyond", 180)
    path = tmp_path / "w" / "goal-40" / "seed-0" / file_names.NETWORK_AT_W
    parameters = network.load_parameters(path, games.load("darkroom/goal-40"))
    final = load_file(tmp_path / "beyond" / "goal-40" / "seed-0" / file_names.CHECKPOINT)
    for name, tensor in parameters.items():
        assert torch.equal(tensor[0], final[f"network.{name}"])


def test_run_replays_and_explores_at_the_benchmarks_rate_in_the_end(tmp_path):
    (path, _) = train_teacher.train(TWO_RUNS, tmp_path, 4_000)
    history = history_format.read(path)
    for index in range(len(history.header.segments)):
        for _ in segment_frames(history, index):
            pass
    assert history.explored[:50].all()
    late = history.explored[200:].mean()
    assert late == pytest.approx(0.1, abs=0.02)
