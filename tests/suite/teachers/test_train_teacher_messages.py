"""Training teachers: error messages and reported progress."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace

import pytest
import torch
from safetensors.torch import save
from support import embedded_runs
from support.trainings import GAMES, ONE_RUN, SETTINGS, TWO_RUNS, TrainingKilled, files_of, kill_at

from understudy import cli, screen
from understudy.suite.errors import InputError
from understudy.suite.histories import history_format
from understudy.suite.io import file_lock, file_names
from understudy.suite.teachers import checkpoints, dqn, recompute, train_teacher, training_progress


def test_a_run_that_takes_hours_to_recompute_needs_its_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(recompute, "MAX_MOVES", {"darkroom": 100})
    train_teacher.train(TWO_RUNS, tmp_path, 180)
    for path in tmp_path.rglob(file_names.CHECKPOINT):
        path.unlink()
    with pytest.raises(InputError, match=r"checkpoint\.safetensors: no such file, .*at most 100 moves"):
        train_teacher.train(TWO_RUNS, tmp_path, 300)


def test_weights_of_another_run_or_move_are_refused_and_a_broken_file_is_named(tmp_path):
    """Both when a training resumes from a checkpoint and when a finished run is extended."""
    with pytest.raises(TrainingKilled):
        train_teacher.train(TWO_RUNS, tmp_path, 180, checkpoint_moves=60, report=kill_at(130))
    for done in (120, 180):
        mine, other = (checkpoints.find(tmp_path / game.partition("/")[2] / "seed-0", done) for game in GAMES)
        kept = mine.read_bytes()
        for wrong, said in (
            (other.read_bytes(), r"expected darkroom/goal-40, run .{8}, 1.0 moves, found darkroom/goal-41"),
            (kept[:-50], "not a whole safetensors file"),
            (b"", "not a whole safetensors file"),
            (save({"network.conv0.bias": torch.zeros(3)}), "no network.linear0.weight; put"),
        ):
            mine.write_bytes(wrong)
            with pytest.raises(InputError, match=f"{mine.name}: .*{said}"):
                train_teacher.train(TWO_RUNS, tmp_path, 300 if done == 180 else 180, checkpoint_moves=60)
        mine.write_bytes(kept)
        train_teacher.train(TWO_RUNS, tmp_path, 180, checkpoint_moves=60)
    early = mine.read_bytes()
    train_teacher.train(TWO_RUNS, tmp_path, 240)
    mine.write_bytes(early)
    with pytest.raises(InputError, match=r"expected .* 240 moves, found darkroom/goal-40, .* 180 moves"):
        train_teacher.train(TWO_RUNS, tmp_path, 300)


def test_a_finished_run_is_not_overwritten(tmp_path):
    """Neither by a training of more runs, nor by a shorter one."""
    (path,) = train_teacher.train(ONE_RUN, tmp_path, 150)
    kept = files_of(tmp_path)
    with pytest.raises(InputError, match=r"holds a run, but .*goal-41/seed-0 does not; train only"):
        train_teacher.train(TWO_RUNS, tmp_path, 100)
    with pytest.raises(InputError, match="this run is 150 moves long already, not 100"):
        train_teacher.train(ONE_RUN, tmp_path, 100)
    path.with_name(training_progress.PROGRESS).unlink()
    with pytest.raises(InputError, match=r"holds a run, but .* does not"):
        train_teacher.train(TWO_RUNS, tmp_path, 100)
    path.with_name(file_names.CHECKPOINT).unlink()
    # The run is finished, so no checkpoint is needed.
    assert train_teacher.train(ONE_RUN, tmp_path, 150) == [path]
    del kept[path.with_name(file_names.CHECKPOINT).relative_to(tmp_path)]
    assert files_of(tmp_path) == kept


@pytest.mark.parametrize("text", ["null", "{}", "[]", '{"moves": 1, "stages": []}'])
def test_a_broken_progress_file_is_named_and_nothing_is_overwritten(tmp_path, text):
    (path,) = train_teacher.train(ONE_RUN, tmp_path, 120)
    path.with_name(training_progress.PROGRESS).write_text(text)
    with pytest.raises(InputError, match="expected moves, finished and stages"):
        train_teacher.train(ONE_RUN, tmp_path, 150)


def test_two_processes_do_not_train_one_run(tmp_path):
    with (
        file_lock.held(tmp_path / "goal-41" / "seed-0" / file_names.LOCK),
        pytest.raises(InputError, match="goal-41/seed-0: another process trains this run; wait for it"),
    ):
        train_teacher.train(TWO_RUNS, tmp_path, 100)
    train_teacher.train(TWO_RUNS, tmp_path, 100)
    assert not list(tmp_path.rglob(file_names.LOCK))


def test_a_packed_run_is_not_trained_a_second_time(tmp_path):
    shutil.copy(embedded_runs.ARCHIVE, tmp_path)
    with pytest.raises(InputError, match=r"histories\.zip: holds the run goal-40/seed-0, and a packed run"):
        train_teacher.train(TWO_RUNS, tmp_path, 20_000)
    assert [path.name for path in tmp_path.iterdir()] == ["histories.zip"]
    (path,) = train_teacher.train(replace(ONE_RUN, seeds=(4,)), tmp_path, 100)
    assert path == tmp_path / "goal-40" / "seed-4" / file_names.HISTORY


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_missing_device_is_refused_in_one_line(tmp_path, capsys):
    arguments = ["train-teacher", "darkroom-v1", "--game", "goal-40", "--out", str(tmp_path), "--moves", "50"]
    for device, message in (("cuda", "torch finds no CUDA device here"), ("tpu", "expected cpu or cuda")):
        assert cli.main([*arguments, "--device", device]) != 0
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("precision", "message"),
    [("bfloat16", "expected a game of byte frames"), ("float8", "expected float32 or bfloat16")],
)
def test_an_unsupported_precision_is_refused_in_one_line(tmp_path, capsys, precision, message):
    arguments = ["train-teacher", "darkroom-v1", "--game", "goal-40", "--out", str(tmp_path), "--moves", "50"]
    assert cli.main([*arguments, "--precision", precision]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())


def test_update_every_is_stored_in_the_header_and_cannot_be_changed(tmp_path, capsys):
    arguments = ["train-teacher", "darkroom-v1", "--game", "goal-40", "--out", str(tmp_path)]
    assert cli.main([*arguments, "--moves", "120", "--update-every", "3"]) == 0
    (path,) = tmp_path.rglob(file_names.HISTORY)
    history = history_format.read(path)
    assert history.header.player["settings"] == asdict(replace(dqn.SETTINGS["darkroom"], update_every=3))
    before = files_of(tmp_path)
    for options in ([], ["--update-every", "2"]):
        assert cli.main([*arguments, "--moves", "150", *options]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "these runs were begun with" in line
        assert "update_every" in line
    assert files_of(tmp_path) == before
    ((_, (learned,)),) = recompute.checkpoints([history], [119])
    updates = {float(tensor) for name, tensor in learned.items() if name.startswith("optimiser.step")}
    assert updates == {6.0}  # at moves 102, 105, ..., 117: learning starts at move 100


@pytest.mark.parametrize(
    "other",
    [
        replace(TWO_RUNS, settings=replace(SETTINGS, discount=0.9)),
        replace(TWO_RUNS, watched_moves=100),
        replace(TWO_RUNS, threads=2),
    ],
)
def test_interrupted_runs_do_not_resume_with_other_settings(tmp_path, other):
    with pytest.raises(TrainingKilled):
        train_teacher.train(TWO_RUNS, tmp_path, 300, checkpoint_moves=60, report=kill_at(130))
    before = files_of(tmp_path)
    with pytest.raises(InputError, match="begun with"):
        train_teacher.train(other, tmp_path, 300)
    assert files_of(tmp_path) == before


def test_a_finished_run_of_other_settings_is_refused(tmp_path):
    train_teacher.train(ONE_RUN, tmp_path, 100)
    other = replace(ONE_RUN, settings=replace(SETTINGS, discount=0.9))
    with pytest.raises(InputError, match=r"begun with discount: 0\.95, not 0\.9;"):
        train_teacher.train(other, tmp_path, 100)


def test_the_command_reports_that_the_memory_is_rebuilt(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(screen, "LINE_SECONDS", -1.0)
    arguments = ["train-teacher", "darkroom-v1", "--game", "goal-40", "--out", str(tmp_path), "--moves"]
    assert cli.main([*arguments, "300"]) == 0
    assert "rebuilding" not in capsys.readouterr().err
    assert cli.main([*arguments, "310"]) == 0
    shown = capsys.readouterr().err.splitlines()
    assert "rebuilding the replay memory: 300 of 300" in shown
    assert shown[-1].startswith("training: 310 of 310 skill ")
    stored = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert float(shown[-1].split(", ")[-1].removesuffix(" MB")) == pytest.approx(stored / 1e6, abs=0.1)


def test_without_a_progress_bar_lines_show_the_time_left(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: now[0])
    shown = screen.ProgressDisplay(None)
    for second, done in ((1, 10), (20, 100), (40, 110), (60, 300)):
        now[0] = 100.0 + second
        shown.report("training", done, 300, "skill 1.00")
    assert capsys.readouterr().err.splitlines() == [
        "training: 100 of 300 skill 1.00, 0:00:42 left",  # 90 took 19 seconds
        "training: 110 of 300 skill 1.00, 0:01:14 left",
        "training: 300 of 300 skill 1.00",
    ]


def test_histories_info_shows_an_unfinished_training(tmp_path, capsys):
    with pytest.raises(TrainingKilled):
        train_teacher.train(ONE_RUN, tmp_path, 180, checkpoint_moves=60, report=kill_at(130))
    assert cli.main(["histories", "info", str(tmp_path)]) == 0
    assert "moves     120 in " in capsys.readouterr().out
