"""Histories' speed and size beside their peers; each test prints ratios of one run and asserts no time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from understudy.suite import games
from understudy.suite.histories import format as history_format
from understudy.suite.histories import frames, replay
from understudy.suite.histories.format import Header, History, Segment
from understudy.suite.histories.frames import FrameStore
from understudy.suite.histories.record import SegmentRule
from understudy.suite.testing.histories import play_on, random_lives

WINDOW_MOVES = 64
ROUNDS = 5


def recorded(name: str, moves: int, folder: Path) -> History:
    (life,) = random_lives(games.load(name), folder, 1)
    for _ in play_on([life], SegmentRule(max(moves // 2, 1)), moves):
        pass
    return history_format.read(life.path)


def compare(ours: Callable[[], None], peer: Callable[[], None]) -> tuple[float, float]:
    """Return median seconds of processor time of each, in turn, so that both meet the same machine."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for work, taken in zip((ours, peer), seconds, strict=True):
            begin = time.process_time()
            work()
            taken.append(time.process_time() - begin)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FrameStore:
    folder = tmp_path_factory.mktemp("atari")
    return frames.frames(recorded("atari/breakout", 4000, folder), processes=1, cache=folder)


def test_random_windows_against_hdf5(store, tmp_path, capsys):
    """The peer is HDF5 with gzip in chunks of one window, as data sets of this field are kept."""
    n = store.num_moves
    path = tmp_path / "frames.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", data=store[0:n], chunks=(WINDOW_MOVES, 84, 84), compression="gzip")
    size = sum(file.stat().st_size for file in store.folder.iterdir()) / n
    starts = np.random.default_rng(0).integers(0, n - WINDOW_MOVES, 60).tolist()
    with h5py.File(path, "r") as file:
        data = file["frames"]
        for start in starts[:5]:
            assert (store[start : start + WINDOW_MOVES] == data[start : start + WINDOW_MOVES]).all()
        ours, peer = compare(
            lambda: [store[start : start + WINDOW_MOVES] for start in starts] and None,
            lambda: [data[start : start + WINDOW_MOVES] for start in starts] and None,
        )
    moves = len(starts) * WINDOW_MOVES
    with capsys.disabled():
        print(
            f"\nframe store: {moves / ours:,.0f} frames/s, {size:.1f} bytes a frame; HDF5 with gzip: "
            f"{moves / peer:,.0f} frames/s, {path.stat().st_size / n:.1f} bytes; "
            f"{peer / ours:.1f} times as fast"
        )


@pytest.mark.parametrize(
    ("name", "moves"), [("atari/breakout", 1500), ("minatar/breakout", 3000), ("darkroom/goal-40", 5000)]
)
def test_replay_against_the_bare_emulator(name, moves, tmp_path, capsys):
    history = recorded(name, moves, tmp_path)
    game = games.load(name)

    def bare() -> None:
        for segment in history.header.segments:
            env = games.make([game])
            env.reset(seed=np.array([segment.seed]))
            for move in range(segment.first_move, segment.first_move + segment.length):
                env.step(history.action[move : move + 1].astype(np.int64))
            env.close()

    ours, peer = compare(lambda: replay.verify(history, processes=1), bare)
    with capsys.disabled():
        print(
            f"\nreplay of {name}: {moves / ours:,.0f} moves/s, bare emulator {moves / peer:,.0f}; "
            f"{peer / ours:.2f} of its speed"
        )


def test_a_million_moves_written_and_read(tmp_path, capsys):
    n = 1_000_000
    rng = np.random.default_rng(0)
    history = History(
        Header("atari/breakout", {}, {}, {}, (Segment(0, n, 1, 2),), {}),
        action=rng.choice([0, 1, 3, 4], n).astype(np.uint8),
        reward=np.where(rng.random(n) < 0.05, rng.choice([1, 4, 7], n), 0).astype(np.float32),
        terminated=rng.random(n) < 0.005,
        truncated=np.zeros(n, bool),
        explored=rng.random(n) < 0.01,
    )
    path = tmp_path / "history.parquet"
    write, read = compare(
        lambda: history_format.write(path, history) and None, lambda: history_format.read(path) and None
    )
    with capsys.disabled():
        print(f"\n1M moves: {path.stat().st_size:,} bytes, written in {write:.2f} s, read in {read:.2f} s")
