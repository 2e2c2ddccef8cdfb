"""Teaching: what is refused, and what is told while it goes on."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import torch
from safetensors.torch import save

from understudy import cli, screen
from understudy.suite import files
from understudy.suite.errors import InputError
from understudy.suite.histories import format as history_format
from understudy.suite.teachers import checkpoints, dqn, relearn, standing, teach
from understudy.suite.testing.lessons import GAMES, LESSON, ONE, SETTINGS, Killed, files_of, kill_at


def test_a_life_that_takes_hours_to_learn_again_asks_for_its_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(relearn, "MOST_MOVES", {"darkroom": 100})
    teach.teach(LESSON, tmp_path, 180)
    for path in tmp_path.rglob(checkpoints.CHECKPOINT):
        path.unlink()
    with pytest.raises(InputError, match=r"checkpoint\.safetensors: no such file, .*at most 100 moves"):
        teach.teach(LESSON, tmp_path, 300)


def test_weights_of_another_life_or_move_are_refused_and_a_broken_file_is_named(tmp_path):
    """Whether a lesson goes on from a checkpoint in between, or a finished life is carried on."""
    with pytest.raises(Killed):
        teach.teach(LESSON, tmp_path, 180, checkpoint_moves=60, report=kill_at(130))
    for done in (120, 180):
        mine, other = (checkpoints.find(tmp_path / game.partition("/")[2] / "seed-0", done) for game in GAMES)
        kept = mine.read_bytes()
        for wrong, said in (
            (other.read_bytes(), r"expected darkroom/goal-40, life .{8}, 1.0 moves, found darkroom/goal-41"),
            (kept[:-50], "not a whole safetensors file"),
            (b"", "not a whole safetensors file"),
            (save({"network.conv0.bias": torch.zeros(3)}), "no network.linear0.weight; put"),
        ):
            mine.write_bytes(wrong)
            with pytest.raises(InputError, match=f"{mine.name}: .*{said}"):
                teach.teach(LESSON, tmp_path, 300 if done == 180 else 180, checkpoint_moves=60)
        mine.write_bytes(kept)
        teach.teach(LESSON, tmp_path, 180, checkpoint_moves=60)
    early = mine.read_bytes()
    teach.teach(LESSON, tmp_path, 240)
    mine.write_bytes(early)
    with pytest.raises(InputError, match=r"expected .* 240 moves, found darkroom/goal-40, .* 180 moves"):
        teach.teach(LESSON, tmp_path, 300)


def test_a_finished_life_is_not_taught_over(tmp_path):
    """Neither by a lesson of more lives, nor by a shorter one."""
    (path,) = teach.teach(ONE, tmp_path, 150)
    kept = files_of(tmp_path)
    with pytest.raises(InputError, match=r"a life lies here, and none in .*goal-41/seed-0; teach those"):
        teach.teach(LESSON, tmp_path, 100)
    with pytest.raises(InputError, match="this life is 150 moves long already, not 100"):
        teach.teach(ONE, tmp_path, 100)
    path.with_name(standing.PROGRESS).unlink()  # as it was handed over
    with pytest.raises(InputError, match=r"a life lies here, and none in "):
        teach.teach(LESSON, tmp_path, 100)
    path.with_name(checkpoints.CHECKPOINT).unlink()
    assert teach.teach(ONE, tmp_path, 150) == [path]  # nothing is left to do, so nothing is needed for it
    del kept[path.with_name(checkpoints.CHECKPOINT).relative_to(tmp_path)]
    assert files_of(tmp_path) == kept


@pytest.mark.parametrize("text", ["null", "{}", "[]", '{"moves": 1, "stages": []}'])
def test_a_broken_progress_file_is_named_and_nothing_begins_anew(tmp_path, text):
    (path,) = teach.teach(ONE, tmp_path, 120)
    path.with_name(standing.PROGRESS).write_text(text)
    with pytest.raises(InputError, match="expected moves, finished and stages"):
        teach.teach(ONE, tmp_path, 150)


def test_two_processes_do_not_teach_one_life(tmp_path):
    with (
        files.alone(tmp_path / "goal-41" / "seed-0" / teach.LOCK),
        pytest.raises(InputError, match="goal-41/seed-0: another process teaches this life; wait for it"),
    ):
        teach.teach(LESSON, tmp_path, 100)
    teach.teach(LESSON, tmp_path, 100)
    assert not list(tmp_path.rglob(teach.LOCK))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_refused_in_one_line(tmp_path, capsys):
    arguments = ["teach", "darkroom-v1", "--game", "goal-40", "--out", str(tmp_path), "--moves", "50"]
    for device, message in (("cuda", "torch finds no CUDA device here"), ("tpu", "expected cpu or cuda")):
        assert cli.main([*arguments, "--device", device]) != 0
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("precision", "message"),
    [("bfloat16", "expected a game of byte frames"), ("float8", "expected float32 or bfloat16")],
)
def test_a_precision_that_there_is_not_is_refused_in_one_line(tmp_path, capsys, precision, message):
    arguments = ["teach", "darkroom-v1", "--game", "goal-40", "--out", str(tmp_path), "--moves", "50"]
    assert cli.main([*arguments, "--precision", precision]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())


def test_fewer_updates_are_told_in_the_header_and_are_another_recipe(tmp_path, capsys):
    arguments = ["teach", "darkroom-v1", "--game", "goal-40", "--out", str(tmp_path)]
    assert cli.main([*arguments, "--moves", "120", "--update-every", "3"]) == 0
    (path,) = tmp_path.rglob(standing.HISTORY)
    history = history_format.read(path)
    assert history.header.player["settings"] == asdict(replace(dqn.SETTINGS["darkroom"], update_every=3))
    before = files_of(tmp_path)
    for options in ([], ["--update-every", "2"]):
        assert cli.main([*arguments, "--moves", "150", *options]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "these lives were begun with" in line
        assert "update_every" in line
    assert files_of(tmp_path) == before
    ((_, (learned,)),) = relearn.checkpoints([history], [119])
    steps = {float(tensor) for name, tensor in learned.items() if name.startswith("optimiser.step")}
    assert steps == {6.0}  # 102, 105, ..., 117: learning starts at move 100


@pytest.mark.parametrize(
    "other",
    [
        replace(LESSON, settings=replace(SETTINGS, discount=0.9)),
        replace(LESSON, watched_moves=100),
        replace(LESSON, threads=2),
    ],
)
def test_interrupted_lives_are_not_gone_on_with_otherwise(tmp_path, other):
    with pytest.raises(Killed):
        teach.teach(LESSON, tmp_path, 300, checkpoint_moves=60, report=kill_at(130))
    before = files_of(tmp_path)
    with pytest.raises(InputError, match="begun with"):
        teach.teach(other, tmp_path, 300)
    assert files_of(tmp_path) == before


def test_a_finished_life_of_other_settings_is_no_answer(tmp_path):
    teach.teach(ONE, tmp_path, 100)
    other = replace(ONE, settings=replace(SETTINGS, discount=0.9))
    with pytest.raises(InputError, match=r"begun with discount: 0\.95, not 0\.9;"):
        teach.teach(other, tmp_path, 100)


def test_the_command_says_that_the_memory_is_rebuilt(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(screen, "LINE_SECONDS", -1.0)
    arguments = ["teach", "darkroom-v1", "--game", "goal-40", "--out", str(tmp_path), "--moves"]
    assert cli.main([*arguments, "300"]) == 0
    assert "rebuilding" not in capsys.readouterr().err
    assert cli.main([*arguments, "310"]) == 0
    shown = capsys.readouterr().err.splitlines()
    assert "rebuilding the replay memory: 300 of 300" in shown
    assert shown[-1].startswith("teaching: 310 of 310 skill ")
    stored = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert float(shown[-1].split(", ")[-1].removesuffix(" MB")) == pytest.approx(stored / 1e6, abs=0.1)


def test_where_no_bar_is_shown_a_line_says_the_time_left(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: now[0])
    shown = screen.Progress(None)
    for second, done in ((1, 10), (20, 100), (40, 110), (60, 300)):
        now[0] = 100.0 + second
        shown.report("teaching", done, 300, "skill 1.00")
    assert capsys.readouterr().err.splitlines() == [
        "teaching: 100 of 300 skill 1.00, 0:00:42 left",  # 90 took 19 seconds
        "teaching: 110 of 300 skill 1.00, 0:01:14 left",
        "teaching: 300 of 300 skill 1.00",
    ]


def test_a_lesson_that_goes_on_can_be_looked_at(tmp_path, capsys):
    with pytest.raises(Killed):
        teach.teach(ONE, tmp_path, 180, checkpoint_moves=60, report=kill_at(130))
    assert cli.main(["histories", "info", str(tmp_path)]) == 0
    assert "moves     120 in " in capsys.readouterr().out
