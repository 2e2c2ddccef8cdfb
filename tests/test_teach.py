"""Teaching: lives that a kill does not change, that can be carried on, and that grow in skill."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from understudy import cli, screen
from understudy.suite import benchmarks, files, games
from understudy.suite.benchmarks import teacher_data
from understudy.suite.errors import InputError
from understudy.suite.histories import format as history_format
from understudy.suite.histories import segments
from understudy.suite.teachers import checkpoints, dqn, network, relearn, standing, teach
from understudy.suite.testing.histories import segment_frames

GAMES = ("darkroom/goal-40", "darkroom/goal-41")
SETTINGS = replace(
    dqn.SETTINGS["darkroom"], learning_starts=50, exploration_moves=100, target_every=40, memory_moves=150
)
LESSON = teach.Lesson(GAMES, (0, 0), 200, 90, SETTINGS)


class Killed(Exception):
    pass


def kill_at(move):
    def report(progress):
        if progress.moves == move:
            raise Killed

    return report


def files_of(out):
    return {
        path.relative_to(out): path.read_bytes()
        for path in out.rglob("*")
        if path.suffix in (".parquet", ".safetensors")
    }


def test_killed_lessons_go_on_to_the_same_bytes(tmp_path):
    teach.teach(LESSON, tmp_path / "whole", 300, checkpoint_moves=60)
    for kills in ((1,), (59, 61), (60, 120, 199, 200, 299)):
        out = tmp_path / f"killed-{'-'.join(map(str, kills))}"
        for move in kills:
            with pytest.raises(Killed):
                teach.teach(LESSON, out, 300, checkpoint_moves=60, report=kill_at(move))
        teach.teach(LESSON, out, 300, checkpoint_moves=60)
        assert files_of(out) == files_of(tmp_path / "whole")


def test_a_finished_life_is_carried_on(tmp_path):
    teach.teach(LESSON, tmp_path / "whole", 300, checkpoint_moves=60)
    teach.teach(LESSON, tmp_path / "parts", 180, checkpoint_moves=60)
    first = history_format.read(tmp_path / "parts" / "goal-40" / "seed-0" / standing.HISTORY)
    assert first.num_moves == 180
    teach.teach(LESSON, tmp_path / "parts", 300, checkpoint_moves=60)
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


def test_a_life_handed_over_as_files_is_carried_on(tmp_path):
    teach.teach(LESSON, tmp_path / "whole", 300, checkpoint_moves=60)
    teach.teach(LESSON, tmp_path / "parts", 180, checkpoint_moves=60)
    for path in (tmp_path / "parts").rglob(standing.PROGRESS):
        path.unlink()
    teach.teach(LESSON, tmp_path / "parts", 300, checkpoint_moves=60)
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


@pytest.mark.parametrize("moves", [180, 173, 40])
def test_lives_without_their_checkpoints_are_learnt_again_and_carried_on(tmp_path, moves):
    teach.teach(LESSON, tmp_path / "whole", 300, checkpoint_moves=60)
    teach.teach(LESSON, tmp_path / "parts", moves, checkpoint_moves=60)
    for path in (tmp_path / "parts").rglob(checkpoints.CHECKPOINT):
        path.unlink()
    for path in (tmp_path / "parts").rglob(standing.PROGRESS):
        path.unlink()
    seen = []
    teach.teach(LESSON, tmp_path / "parts", 300, checkpoint_moves=60, report=seen.append)
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")
    assert max(progress.relearnt for progress in seen if progress.relearnt) == (moves - 1, moves - 1)


def test_a_life_that_takes_hours_to_learn_again_asks_for_its_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(relearn, "MOST_MOVES", {"darkroom": 100})
    teach.teach(LESSON, tmp_path, 180)
    for path in tmp_path.rglob(checkpoints.CHECKPOINT):
        path.unlink()
    with pytest.raises(InputError, match=r"checkpoint\.safetensors: no such file, .*at most 100 moves"):
        teach.teach(LESSON, tmp_path, 300)


@pytest.mark.parametrize("alone_moves", [20_000, 0], ids=["one process", "all cores"])
def test_the_memorys_rebuilding_is_reported_and_can_be_interrupted(tmp_path, monkeypatch, alone_moves):
    monkeypatch.setattr(segments, "ALONE_MOVES", alone_moves)
    teach.teach(LESSON, tmp_path / "whole", 300, checkpoint_moves=60)
    out = tmp_path / "killed"
    with pytest.raises(Killed):
        teach.teach(LESSON, out, 300, checkpoint_moves=60, report=kill_at(260))

    def interrupt(progress):
        if progress.rebuilt:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="the same command goes on from"):
        teach.teach(LESSON, out, 300, checkpoint_moves=60, report=interrupt)
    seen = []
    teach.teach(LESSON, out, 300, checkpoint_moves=60, report=seen.append)
    rebuilt = [progress.rebuilt for progress in seen if progress.rebuilt]
    assert rebuilt
    assert all(done <= total for done, total in rebuilt)
    assert rebuilt[-1][0] == rebuilt[-1][1]
    assert {progress.moves for progress in seen if progress.rebuilt} == {240}
    assert [progress.moves for progress in seen if not progress.rebuilt] == list(range(241, 301))
    assert not list(out.rglob(teach.REBUILDING))
    assert files_of(out) == files_of(tmp_path / "whole")


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


def test_another_lifes_network_at_w_is_no_teachers(tmp_path):
    out = tmp_path / "darkroom-v1"
    paths = teach.teach(LESSON, out, 210)
    lives = teacher_data.teacher_lives(benchmarks.load("darkroom-v1"), [tmp_path])
    assert [teacher_data.read(life).num_moves for life in lives] == [210, 210]
    names = [path.with_name(checkpoints.NETWORK_AT_W) for path in paths]
    names[0].write_bytes(names[1].read_bytes())
    teacher_data._read.cache_clear()
    with pytest.raises(InputError, match=r"these weights are not this life's: .* found darkroom/goal-41"):
        teacher_data.read(lives[0])


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


ONE = replace(LESSON, game_names=GAMES[:1], seeds=(0,))


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


def test_lessons_share_a_folder_and_their_lives_are_carried_on_together(tmp_path):
    """Each life is what it is in a lesson of both, but for what its header says of who was beside it."""
    other = replace(ONE, game_names=GAMES[1:])
    whole = teach.teach(LESSON, tmp_path / "whole", 300)
    out = tmp_path / "apart"
    with pytest.raises(Killed):
        teach.teach(ONE, out, 180, checkpoint_moves=60, report=kill_at(130))
    teach.teach(other, out, 180)
    with pytest.raises(InputError, match=r"goal-41/seed-0: 180 moves, but 120 in other lives of this lesson"):
        teach.teach(LESSON, out, 300)
    teach.teach(ONE, out, 180)
    apart = teach.teach(LESSON, out, 300)
    for one, two in zip(whole, apart, strict=True):
        assert np.array_equal(history_format.read(one).action, history_format.read(two).action)
        assert (
            one.with_name(checkpoints.CHECKPOINT).read_bytes()
            == two.with_name(checkpoints.CHECKPOINT).read_bytes()
        )
    stages = [history_format.read(path).header.player["stages"] for path in apart]
    assert [(stage["from_move"], len(stage["seeds"])) for stage in stages[0]] == [(0, 1), (180, 2)]
    assert [stage["game_names"] for stage in stages[1]] == [[GAMES[1]], list(GAMES)]


def test_killed_while_it_tells_of_a_checkpoint_it_goes_on_from_the_one_before(tmp_path, monkeypatch):
    """At each of the files written in one, of a first lesson and of one that carries finished lives on."""
    write = files.write_json
    teach.teach(LESSON, tmp_path / "whole", 180, checkpoint_moves=60)
    teach.teach(LESSON, tmp_path / "whole", 300, checkpoint_moves=60)
    for limit in range(1, 24):
        left = limit

        def write_or_die(path, value):
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            write(path, value)

        out = tmp_path / f"killed-{limit}"
        monkeypatch.setattr(files, "write_json", write_or_die)
        for moves in (180, 300):
            left = limit
            with contextlib.suppress(Killed):
                teach.teach(LESSON, out, moves, checkpoint_moves=60)
            (
                out / "goal-41" / "seed-0" / f".{standing.PROGRESS}.1234.part"
            ).touch()  # of a process killed hard
            left = 1000
            teach.teach(LESSON, out, moves, checkpoint_moves=60)
        monkeypatch.setattr(files, "write_json", write)
        assert files_of(out) == files_of(tmp_path / "whole")
        assert not list(out.rglob(".*"))


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_leaves_a_checkpoint_of_the_last_move(tmp_path):
    def interrupt(progress):
        if progress.moves == 77 and not list(tmp_path.rglob("checkpoint-78.safetensors")):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="the same command goes on from"):
        teach.teach(LESSON, tmp_path / "killed", 120, report=interrupt)
    assert len(list(tmp_path.rglob("checkpoint-78.safetensors"))) == 2
    teach.teach(LESSON, tmp_path / "killed", 120, report=interrupt)
    teach.teach(LESSON, tmp_path / "whole", 120)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_refused_in_one_line(tmp_path, capsys):
    arguments = ["teach", "darkroom-v1", "--game", "goal-40", "--out", str(tmp_path), "--moves", "50"]
    for device, message in (("cuda", "torch finds no CUDA device here"), ("tpu", "expected cpu or cuda")):
        assert cli.main([*arguments, "--device", device]) != 0
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
        assert not list(tmp_path.iterdir())


def test_lives_begun_before_devices_were_named_were_begun_on_a_cpu(tmp_path):
    for path in teach.teach(LESSON, tmp_path, 180):
        progress = files.read_json(path.with_name(standing.PROGRESS))
        del progress["stages"][0]["device"]
        files.write_json(path.with_name(standing.PROGRESS), progress)
    (path, _) = teach.teach(LESSON, tmp_path, 240)
    assert len(history_format.read(path).header.player["stages"]) == 1


def test_carried_on_with_other_threads_is_a_stage_of_its_own(tmp_path):
    teach.teach(LESSON, tmp_path, 180)
    (path, _) = teach.teach(replace(LESSON, threads=2), tmp_path, 240)
    stages = history_format.read(path).header.player["stages"]
    assert [(stage["from_move"], stage["threads"]) for stage in stages] == [(0, 1), (180, 2)]


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
    with pytest.raises(InputError, match="begun with settings"):
        teach.teach(other, tmp_path, 100)


def test_network_at_w_is_the_one_that_played_on_from_w(tmp_path):
    teach.teach(replace(LESSON, watched_moves=180), tmp_path / "w", 180)
    teach.teach(replace(LESSON, watched_moves=170), tmp_path / "beyond", 180)
    path = tmp_path / "w" / "goal-40" / "seed-0" / checkpoints.NETWORK_AT_W
    parameters = network.load_parameters(path, games.load("darkroom/goal-40"))
    final = load_file(tmp_path / "beyond" / "goal-40" / "seed-0" / checkpoints.CHECKPOINT)
    for name, tensor in parameters.items():
        assert torch.equal(tensor[0], final[f"network.{name}"])


def test_life_replays_and_ends_exploring_at_the_benchmarks_rate(tmp_path):
    (path, _) = teach.teach(LESSON, tmp_path, 4_000)
    history = history_format.read(path)
    for index in range(len(history.header.segments)):
        for _ in segment_frames(history, index):
            pass
    assert history.explored[:50].all()
    late = history.explored[200:].mean()
    assert late == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("name", benchmarks.names())
def test_teachers_explore_at_the_benchmarks_rate_before_w(name):
    benchmark = benchmarks.load(name)
    settings = dqn.SETTINGS[benchmark.family]
    assert settings.exploration(benchmark.watched_moves - 5_000 if name != "darkroom-v1" else 1_100) == (
        benchmark.exploration
    )
    assert settings.learning_starts + settings.exploration_moves < benchmark.watched_moves


@pytest.mark.parametrize("name", benchmarks.names())
def test_embedded_lives_are_whole_and_their_skill_rises(name):
    benchmark = benchmarks.load(name)
    rises = []
    for life in benchmarks.teacher_lives(benchmark):
        history = history_format.read(life.history_path)
        fifth = history.num_moves // 5
        early, late = (
            history.reward[part].sum() / max(1, history.ended[part].sum())
            for part in (slice(0, fifth), slice(-fifth, None))
        )
        rises.append(late - early)
        assert history.header.game == life.game
        assert history.header.life["watched_moves"] == benchmark.watched_moves
    assert rises
    assert np.mean(rises) > 0
    assert np.mean(np.array(rises) > 0) >= 0.95


def test_checksums_of_the_embedded_lives_hold():
    for root in benchmarks.roots():
        for line in (root / "SHA256SUMS").read_text().splitlines():
            expected, path = line.split("  ")
            assert files.sha256(root / path) == expected, path
