"""Imported runs: their frames read back, replay is refused, a failed import leaves nothing behind."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest

from understudy import cli
from understudy.suite import games
from understudy.suite.errors import InputError, MachineError
from understudy.suite.histories import frame_cache, frame_store, history_format, imported, replay
from understudy.suite.histories.imported import MoveBlock

GAME = games.load("minatar/breakout")
MOVES = 1500


@pytest.fixture
def whole() -> MoveBlock:
    """A made-up run: sparse planes, an episode ends with every 70th move."""
    rng = np.random.default_rng(1)
    return MoveBlock(
        rng.random((MOVES, 10, 10, 10)) < 0.05,
        rng.integers(0, 6, MOVES).astype(np.uint8),
        rng.integers(0, 3, MOVES).astype(np.float32),
        np.arange(MOVES) % 70 == 69,
        np.arange(MOVES) % 701 == 700,
    )


def parts(whole: MoveBlock, sizes: tuple[int, ...]) -> Iterator[MoveBlock]:
    """Yield the run in blocks of these sizes, repeated as often as needed."""
    start, turn = 0, 0
    while start < MOVES:
        stop = min(MOVES, start + sizes[turn % len(sizes)])
        yield MoveBlock(*(column[start:stop].copy() for column in whole))
        start, turn = stop, turn + 1


def test_a_cache_that_cannot_be_made_is_one_line_that_says_what_to_set(whole, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=r"the frame store can't be used .*; set UNDERSTUDY_CACHE"):
        imported.record(tmp_path / "history.parquet", GAME, [whole], {}, [], tmp_path / "file" / "cache")
    cache = tmp_path / os.fsdecode(b"caf\xe9")
    with pytest.raises(InputError, match=r"a folder whose name is UTF-8, .*; set UNDERSTUDY_CACHE"):
        imported.record(tmp_path / "history.parquet", GAME, [whole], {}, [], cache)
    assert not (tmp_path / "history.parquet").exists()


@pytest.mark.parametrize("sizes", [(1500,), (1, 255, 256, 7), (300,), (256,)])
def test_frames_and_columns_read_back(whole, sizes, tmp_path, monkeypatch):
    monkeypatch.setattr(imported, "SEGMENT_MOVES", 600)
    path = tmp_path / "history.parquet"
    reports: list[int] = []
    source = {"importer": "made-up", "files": ["a"]}
    blocks = parts(whole, sizes)
    imported.record(path, GAME, blocks, source, ["no seeds"], tmp_path / "cache", reports.append)
    history = history_format.read(path)
    assert [(s.first_move, s.length, s.seed) for s in history.header.segments] == [
        (0, 600, None),
        (600, 600, None),
        (1200, 300, None),
    ]
    assert reports[-1] == MOVES
    for name in ("action", "reward", "terminated", "truncated"):
        assert (getattr(history, name) == getattr(whole, name)).all()
    assert not history.explored.any()
    assert history.header.run["lacks"] == ["no seeds"]
    store = frame_store.open_store(history, cache=tmp_path / "cache")
    assert (store[0:MOVES] == whole.frames).all()
    assert (store.observations(590, 1210) == whole.frames[590:1210]).all()


def test_block_sizes_do_not_change_the_content(whole, tmp_path):
    content = [
        imported.record(
            tmp_path / f"{n}.parquet", GAME, parts(whole, (n,)), {"importer": "x"}, [], tmp_path / "cache"
        ).content_sha256
        for n in (100, 999)
    ]
    assert content[0] == content[1]


def test_it_cannot_be_replayed(whole, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "history.parquet"
    history = imported.record(path, GAME, [whole], {"importer": "made-up"}, [])
    with pytest.raises(InputError, match="imported from made-up has no seeds, so it can't be replayed"):
        replay.verify(history)
    assert cli.main(["histories", "verify", str(path)]) == 2
    shown = capsys.readouterr().out
    assert "imported from made-up has no seeds" in shown
    assert "its segments follow no rule" in shown
    assert cli.main(["histories", "info", str(path)]) == 0
    assert "(imported: they follow no rule)" in capsys.readouterr().out


def test_missing_or_damaged_frames_must_be_imported_again(whole, tmp_path):
    cache = tmp_path / "cache"
    history = imported.record(tmp_path / "h.parquet", GAME, [whole], {"importer": "made-up"}, [], cache)
    folder = frame_cache.store_folder(cache, history)
    (folder / "segment-00000.b2frame").write_bytes(b"")
    with pytest.raises(InputError, match="import it again"):
        frame_store.open_store(history, cache=cache)
    with pytest.raises(InputError, match="import it again"):
        frame_store.open_store(history, cache=tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def test_moves_that_do_not_fit_are_refused_and_nothing_is_left(whole, tmp_path):
    def record(blocks: list[MoveBlock]) -> None:
        imported.record(tmp_path / "h.parquet", GAME, blocks, {"importer": "x"}, [], tmp_path / "cache")

    cases = {
        r"from move 1500 on: expected frames bool \[1500, 10, 10, 10\] .*, found uint8": whole._replace(
            frames=whole.frames.view(np.uint8)
        ),
        r"move 1503: action 9 is none of minatar/breakout's \(0, 1, 2, 3, 4, 5\)": whole._replace(
            action=np.where(np.arange(MOVES) == 3, 9, whole.action).astype(np.uint8)
        ),
        "move 1505: expected a finite reward, found nan": whole._replace(
            reward=np.where(np.arange(MOVES) == 5, np.nan, whole.reward).astype(np.float32)
        ),
    }
    for message, second in cases.items():
        with pytest.raises(InputError, match=message):
            record([whole, second])
    with pytest.raises(InputError, match="no moves of minatar/breakout found"):
        record([])
    assert not (tmp_path / "h.parquet").exists()
    assert not list((tmp_path / "cache" / "frames").iterdir())
    record([whole])
    with pytest.raises(InputError, match="exists already"):
        record([whole])


def test_two_processes_may_import_the_same_run(whole, tmp_path, monkeypatch):
    """The second finishes first, so that the first finds its store there."""
    first, second = tmp_path / "first", tmp_path / "second"
    finish, calls = imported._RunWriter.finish, []

    def overtaken(writer, source, lacks):
        history = finish(writer, source, lacks)
        calls.append(1)
        if len(calls) == 1:
            record(second / "history.parquet", whole)
        return history

    def record(path, block):
        return imported.record(path, GAME, [block], {"importer": "made-up"}, [], tmp_path / "cache")

    monkeypatch.setattr(imported._RunWriter, "finish", overtaken)
    history = record(first / "history.parquet", whole)
    assert (first / "history.parquet").read_bytes() == (second / "history.parquet").read_bytes()
    (store,) = (tmp_path / "cache" / "frames").iterdir()
    assert store == frame_cache.store_folder(tmp_path / "cache", history)
