"""Teaching: lives that a kill does not change, that can be carried on, and that replay."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from understudy.suite import files, games
from understudy.suite.errors import InputError
from understudy.suite.histories import format as history_format
from understudy.suite.histories import segments
from understudy.suite.teachers import checkpoints, dqn, network, relearn, standing, teach
from understudy.suite.testing.histories import segment_frames
from understudy.suite.testing.lessons import GAMES, LESSON, ONE, Killed, files_of, kill_at


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


def test_lives_begun_before_devices_and_precisions_were_told_were_begun_on_a_cpu_in_float32(tmp_path):
    for path in teach.teach(LESSON, tmp_path, 180):
        progress = files.read_json(path.with_name(standing.PROGRESS))
        del progress["stages"][0]["device"], progress["stages"][0]["precision"]
        files.write_json(path.with_name(standing.PROGRESS), progress)
    (path, _) = teach.teach(LESSON, tmp_path, 240)
    assert len(history_format.read(path).header.player["stages"]) == 1


def test_carried_on_with_other_threads_is_a_stage_of_its_own(tmp_path):
    teach.teach(LESSON, tmp_path, 180)
    (path, _) = teach.teach(replace(LESSON, threads=2), tmp_path, 240)
    stages = history_format.read(path).header.player["stages"]
    assert [(stage["from_move"], stage["threads"]) for stage in stages] == [(0, 1), (180, 2)]


def test_atari_is_taught_and_relearnt_in_bfloat16(tmp_path):
    """Killed, it ends at the same bytes; carried on in float32 it is not learnt again as one life."""
    settings = replace(dqn.SETTINGS["atari"], learning_starts=8, exploration_moves=10, memory_moves=60)
    lesson = teach.Lesson(("atari/breakout",), (0,), 40, 90, settings, precision="bfloat16")
    with pytest.raises(Killed):
        teach.teach(lesson, tmp_path / "killed", 60, checkpoint_moves=25, report=kill_at(39))
    teach.teach(lesson, tmp_path / "killed", 60)
    (path,) = teach.teach(lesson, tmp_path / "whole", 60)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")
    ((_, (learned,)),) = relearn.checkpoints([history_format.read(path)], [40])
    for name, tensor in load_file(path.with_name(checkpoints.NETWORK_AT_W)).items():
        assert torch.equal(learned[f"network.{name}"], tensor)
    (other,) = teach.teach(replace(lesson, precision="float32"), tmp_path / "float32", 60)
    in_float32 = load_file(other.with_name(checkpoints.NETWORK_AT_W))
    assert not torch.equal(learned["network.conv0.weight"], in_float32["conv0.weight"])
    (path,) = teach.teach(replace(lesson, precision="float32"), tmp_path / "whole", 70)
    history = history_format.read(path)
    assert [stage["precision"] for stage in history.header.player["stages"]] == ["bfloat16", "float32"]
    next(relearn.checkpoints([history], [60]))
    with pytest.raises(InputError, match="learned in bfloat16 and float32"):
        next(relearn.checkpoints([history], [65]))


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
