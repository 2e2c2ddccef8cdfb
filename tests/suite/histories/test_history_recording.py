"""Recording: a run that is killed anywhere and resumed gives the same bytes as an uninterrupted one."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from understudy.suite import draws, games
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.histories import history_format
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.histories.history_format import Header, Segment
from understudy.suite.histories.journal import ROW, Journal, rows_of
from understudy.suite.teachers import dqn
from understudy.suite.teachers.train_teacher import TeacherTraining, train
from understudy.suite.testing.history_checks import (
    check_kills,
    check_segments,
    play_on,
    random_runs,
    same_moves,
)

GAME = games.load("darkroom/goal-40")
RULE = SegmentRule(every_moves=60)
MOVES = 140
CHECKPOINT_MOVES = 50
WRITING = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}
operations_left: int | None = None  # None: not counted


class ProcessKilled(BaseException):
    """Stands for a kill: no file operation happens after it."""


def count_file_operation(event: str, arguments: tuple[object, ...]) -> None:
    """Raise ProcessKilled at every writing file operation after the allowed ones."""
    global operations_left
    if operations_left is None:
        return
    opened = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wa+x")
    if opened or event in WRITING:
        operations_left -= 1
        if operations_left < 0:
            raise ProcessKilled


sys.addaudithook(count_file_operation)


def play_to_the_end_or(folder: Path, operations: int | None) -> bool:
    """Continue two runs until they end or the file operations are used up; return whether they ended."""
    global operations_left
    runs = random_runs(GAME, folder, 2)
    operations_left = operations
    try:
        for _ in play_on(runs, RULE, MOVES, CHECKPOINT_MOVES):
            pass
    except ProcessKilled:
        return False
    finally:
        operations_left = None
        for run in runs:  # bytes that were not synced may be anything
            moves = run.journal.folder / "moves.bin"
            if moves.exists():
                moves.write_bytes(moves.read_bytes() + b"\x01\x02\x03\x04torn")
    return True


def results(folder: Path) -> list[bytes]:
    return [run.path.read_bytes() for run in random_runs(GAME, folder, 2)]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert play_to_the_end_or(folder, None)
    return results(folder)


def test_killed_at_every_file_operation(uninterrupted, tmp_path):
    operations, ended = 0, False
    while not ended:
        folder = tmp_path / str(operations)
        ended = play_to_the_end_or(folder, operations)
        assert ended or play_to_the_end_or(folder, None)
        assert results(folder) == uninterrupted, f"killed after {operations} file operations"
        operations += 1
    assert operations > 50  # so some of the kills were in the middle of the work


def test_killed_again_and_again(uninterrupted, tmp_path):
    rng = np.random.default_rng(0)
    for chain in range(20):
        folder = tmp_path / str(chain)
        while not play_to_the_end_or(folder, int(rng.integers(0, 60))):
            pass
        assert results(folder) == uninterrupted


@pytest.mark.parametrize(("name", "moves", "lanes", "kills"), [("darkroom/goal-00", 500, 3, 40)])
def test_killed_at_random_moves(tmp_path, name, moves, lanes, kills):
    game = games.load(name)
    whole = random_runs(game, tmp_path / "whole", lanes)
    for _ in play_on(whole, SegmentRule(moves // 4), moves):
        pass
    check_kills(game, tmp_path / "killed", whole, SegmentRule(moves // 4), moves, kills)


def test_segments_start_where_the_rule_says(tmp_path):
    """Episodes of the dark room are 20 moves, so every start can be counted by hand."""
    rule = SegmentRule(every_moves=200, also_at=(250, 300))  # W - 50 and W
    (run,) = random_runs(GAME, tmp_path, 1)
    for _ in play_on([run], rule, 650):
        pass
    history = history_format.read(run.path)
    starts = [segment.first_move for segment in history.header.segments]
    assert starts == [0, 200, 260, 300, 400, 600]
    check_segments(GAME, history, rule)


def test_a_run_does_not_depend_on_other_lanes(tmp_path):
    for lanes in (1, 3):
        for _ in play_on(random_runs(GAME, tmp_path / str(lanes), lanes), RULE, MOVES):
            pass
    single, among_others = (tmp_path / folder / "lane-0.parquet" for folder in ("1", "3"))
    assert single.read_bytes() == among_others.read_bytes()


def test_resuming_with_another_emulator_is_refused(tmp_path):
    runs = random_runs(GAME, tmp_path, 1)
    for recorder in play_on(runs, RULE, MOVES, CHECKPOINT_MOVES):
        if recorder.move == 110:
            break
    others = [dataclasses.replace(run, seed=run.seed) for run in runs]
    journal = runs[0].journal
    *closed, last = journal.load(100).header.segments
    journal.truncate(100)
    journal.checkpoint([*closed, dataclasses.replace(last, seed=last.seed ^ 1)])
    with pytest.raises(CheckFailed, match=r"segment at move 60 shows other frames .* differs from the one"):
        next(play_on(others, RULE, MOVES))


def test_a_finished_run_can_be_continued(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for _ in play_on(random_runs(GAME, whole, 1), RULE, MOVES):
        pass
    for moves in (90, MOVES):
        for _ in play_on(random_runs(GAME, parts, 1), RULE, moves):
            pass
    one, other = (history_format.read(folder / "lane-0.parquet") for folder in (whole, parts))
    assert one.header == other.header
    assert same_moves(one, other)


@pytest.mark.parametrize("stop", [60, 120, 0])
def test_a_run_that_ends_where_a_segment_would_begin_opens_it_when_it_is_continued(tmp_path, stop):
    """Episodes of the dark room are 20 moves, so the moves 60 and 120 begin segments, if they are played."""
    whole, parts = (random_runs(GAME, tmp_path / folder, 2) for folder in ("whole", "parts"))
    for _ in play_on(whole, RULE, MOVES):
        pass
    for _ in play_on(parts, RULE, stop):
        pass
    for run in parts:
        segments = history_format.read(run.path).header.segments
        assert [(each.first_move, each.length) for each in segments] == [(k, 60) for k in range(0, stop, 60)]
    for _ in play_on(parts, RULE, MOVES):
        pass
    for one, other in zip(whole, parts, strict=True):
        assert other.path.read_bytes() == one.path.read_bytes()
        cuts = [(each.first_move, each.length) for each in history_format.read(one.path).header.segments]
        assert cuts == [(0, 60), (60, 60), (120, 20)]


def test_lanes_whose_segments_begin_at_different_moves_are_continued_from_any_move(tmp_path):
    """Runs of MinAtar's Breakout lose their ball at different moves; every stop gives the same bytes."""
    game, rule = games.load("minatar/breakout"), SegmentRule(every_moves=7, also_at=(30,))
    whole = random_runs(game, tmp_path / "whole", 3)
    for _ in play_on(whole, rule, 60):
        pass
    starts = [[each.first_move for each in history_format.read(run.path).header.segments] for run in whole]
    assert len({tuple(each) for each in starts}) == 3
    for stop in range(60):
        parts = random_runs(game, tmp_path / str(stop), 3)
        for _ in play_on(parts, rule, stop):
            pass
        for run, begun in zip(parts, starts, strict=True):
            found = [each.first_move for each in history_format.read(run.path).header.segments]
            assert found == [move for move in begun if move < stop]
        for _ in play_on(parts, rule, 60):
            pass
        for one, other in zip(whole, parts, strict=True):
            assert other.path.read_bytes() == one.path.read_bytes()


def test_a_journal_that_notes_an_empty_open_segment_is_resumed(tmp_path):
    """Journals were written so: with the segment that the next move begins, of length 0."""
    whole, parts = (random_runs(GAME, tmp_path / folder, 1) for folder in ("whole", "parts"))
    for _ in play_on(whole, RULE, MOVES):
        pass
    for stop in (0, 60, 120):
        for recorder in play_on(parts, RULE, MOVES, checkpoint_moves=60):
            if recorder.move == stop:
                break
        journal, seed = parts[0].journal, draws.environment_seed(parts[0].seed, stop // 60)
        journal.checkpoint([*journal.load(stop).header.segments, Segment(stop, 0, seed, 0)])
        assert [each.length for each in journal.load(stop).header.segments] == [60] * (stop // 60)
    for _ in play_on(parts, RULE, MOVES):
        pass
    assert parts[0].path.read_bytes() == whole[0].path.read_bytes()


# The journal


def rows(n: int) -> np.ndarray:
    found = np.zeros(n, ROW)
    found["action"] = np.arange(n)
    found["flags"] = np.arange(n) % 8
    return found


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    found = Journal(tmp_path / "run.journal")
    found.create(Header("darkroom/goal-40", {}, {}, {}, (), {}))
    return found


def test_a_journal_returns_to_either_of_its_checkpoints(journal):
    for moves in (10, 20, 30):
        journal.append(rows(10))
        journal.checkpoint([Segment(0, moves, 1, moves)])
    journal.append(rows(5))
    assert journal.checkpoints() == [20, 30]
    assert journal.load().num_moves == 30
    assert journal.load(20).header.segments == (Segment(0, 20, 1, 20),)
    with pytest.raises(InputError, match=r"expected a checkpoint at move 10, found \[20, 30\]"):
        journal.load(10)
    journal.truncate(20)
    assert journal.checkpoints() == [20]
    assert (journal.folder / "moves.bin").stat().st_size == 20 * ROW.itemsize


def test_rows_and_histories_are_the_same_moves(journal):
    journal.append(rows(10))
    journal.checkpoint([Segment(0, 10, 1, 2)])
    history = journal.load()
    assert history.terminated.tolist() == [bool(i % 8 & 1) for i in range(10)]
    assert history.truncated.tolist() == [bool(i % 8 & 2) for i in range(10)]
    assert history.explored.tolist() == [bool(i % 8 & 4) for i in range(10)]
    assert (rows_of(history) == rows(10)).all()


def test_journals_that_cannot_be_resumed(journal, tmp_path):
    with pytest.raises(InputError, match="no journal with a checkpoint"):
        journal.load()
    journal.append(rows(10))
    journal.checkpoint([Segment(0, 10, 1, 2)])
    with pytest.raises(InputError, match="a journal exists already"):
        journal.create(Header("darkroom/goal-40", {}, {}, {}, (), {}))
    (journal.folder / "moves.bin").write_bytes(b"short")
    with pytest.raises(InputError, match="0 moves, the checkpoint says 10"):
        journal.load()
    (journal.folder / "segments-10.json").write_text("{")
    with pytest.raises(InputError, match="not readable JSON"):
        journal.load()


# The teacher


def test_a_killed_teacher_training_resumes_to_the_same_bytes(tmp_path):
    """After three kills, network, optimiser and run equal those of an uninterrupted training."""
    settings = dataclasses.replace(
        dqn.SETTINGS["darkroom"], learning_starts=40, exploration_moves=150, memory_moves=100
    )
    training = TeacherTraining(("darkroom/goal-00", "darkroom/goal-44"), (0, 3), 200, 80, settings)
    moves = 300
    train(training, tmp_path / "whole", moves, checkpoint_moves=70)
    for stop in (0, 150, 299):

        def kill(progress, stop=stop):
            if progress.moves > stop:
                raise ProcessKilled

        with pytest.raises(ProcessKilled):
            train(training, tmp_path / "killed", moves, checkpoint_moves=70, report=kill)
    train(training, tmp_path / "killed", moves, checkpoint_moves=70)
    found = {
        folder: {
            path.relative_to(tmp_path / folder): path.read_bytes() for path in produced(tmp_path / folder)
        }
        for folder in ("whole", "killed")
    }
    assert len(found["whole"]) == 8  # of each run a history, a checkpoint, a network at W and training.json
    assert found["whole"] == found["killed"]


def produced(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
