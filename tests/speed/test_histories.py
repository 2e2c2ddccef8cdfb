"""Histories' speed and size beside their peers; each test prints ratios of one run and asserts no time."""

from __future__ import annotations

import gzip
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from understudy import baselines
from understudy.baselines.learning import training
from understudy.suite import games
from understudy.suite.histories import format as history_format
from understudy.suite.histories import frames, replay, segments
from understudy.suite.histories.format import Header, History, Segment
from understudy.suite.histories.frames import FrameStore
from understudy.suite.histories.record import SegmentRule
from understudy.suite.histories.segments import Place, Tick
from understudy.suite.histories.windows import WatchedLives, Windows
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


def step_only(one_lane: bool, histories: Sequence[History], wave: Sequence[Place], tick: Tick) -> list[None]:
    """Play a wave's actions through the bare emulator, all lanes in lock-step or one after another."""
    for places in [[place] for place in wave] if one_lane else [wave]:
        lives = [histories[life] for life, _ in places]
        lanes = [history.header.segments[index] for history, (_, index) in zip(lives, places, strict=True)]
        env = games.make([games.load(history.header.game) for history in lives])
        env.reset(seed=np.array([segment.seed for segment in lanes]))
        for move in range(max(segment.length for segment in lanes)):
            rows = [min(segment.first_move + move, segment.length - 1) for segment in lanes]
            env.step(np.array([h.action[row] for h, row in zip(lives, rows, strict=True)], np.int64))
        env.close()
        tick(sum(segment.length for segment in lanes))
    return [None] * len(wave)


@pytest.mark.parametrize(
    ("name", "moves", "lives"),
    [("atari/breakout", 6_000, 2), ("minatar/breakout", 50_000, 8), ("darkroom/goal-40", 50_000, 16)],
)
def test_replay_against_the_bare_emulator_on_all_cores(name, moves, lives, tmp_path, capsys):
    """All start their processes anew; the peers are one environment a life, and lanes in lock-step."""
    recorded = random_lives(games.load(name), tmp_path, lives)
    for _ in play_on(recorded, SegmentRule(moves), moves):
        pass
    histories = [history_format.read(life.path) for life in recorded]
    places = [(life, 0) for life in range(lives)]
    cores = segments.available_cores()
    seconds: list[list[float]] = [[] for _ in range(4)]
    for round_ in range(3):
        cache = tmp_path / f"cache-{round_}"
        for work, taken in zip(
            (
                lambda: segments.over_segments(partial(step_only, True), histories, places, cores),
                lambda: segments.over_segments(partial(step_only, False), histories, places, cores),
                lambda: replay.verify_lives(histories, cores),
                lambda cache=cache: frames.frames_of_lives(histories, processes=cores, cache=cache),
            ),
            seconds,
            strict=True,
        ):
            begin = time.perf_counter()
            work()
            taken.append(time.perf_counter() - begin)
    alone, lockstep, verified, built = (moves * lives / statistics.median(taken) for taken in seconds)
    with capsys.disabled():
        print(
            f"\n{name} on {cores} cores, moves/s: bare emulator {alone:,.0f} one lane at a time, "
            f"{lockstep:,.0f} in lock-step; replay {verified:,.0f}, {verified / alone:.2f} and "
            f"{verified / lockstep:.2f} of it; "
            f"frame store built {built:,.0f}, {built / alone:.2f} and {built / lockstep:.2f}"
        )


def test_random_windows_against_a_gzip_shard(store, tmp_path, capsys):
    """The peer is one gzip file of all frames, as the DQN Replay data set has; its own shards are longer."""
    times = 5  # the life is repeated, for a longer shard
    n = store.num_moves * times
    path = tmp_path / "observation.gz"
    with gzip.open(path, "wb", compresslevel=6) as file:
        np.save(file, np.concatenate([store[0 : store.num_moves]] * times))
    drawn = np.random.default_rng(0).integers(0, n - WINDOW_MOVES, 20)
    starts = [start for start in drawn.tolist() if start % store.num_moves < store.num_moves - WINDOW_MOVES]

    def from_shard() -> None:
        for start in starts:
            with gzip.open(path) as file:
                file.seek(128 + start * 84 * 84)  # after the header of np.save; gzip reads up to there
                frames_ = np.frombuffer(file.read(WINDOW_MOVES * 84 * 84), np.uint8).reshape(-1, 84, 84)
            here = start % store.num_moves
            assert (frames_ == store[here : here + WINDOW_MOVES]).all()

    def from_store() -> None:
        for start in starts:
            here = start % store.num_moves
            store[here : here + WINDOW_MOVES]

    ours, peer = compare(from_store, from_shard)
    with capsys.disabled():
        print(
            f"\nframe store against a gzip shard of {n:,} frames (a shard of the data set has 1,000,000): "
            f"{peer / ours:,.0f} times as fast; {path.stat().st_size / n:.1f} bytes a frame"
        )


def test_a_training_batch_against_the_training_step(store, capsys):
    """32 windows of 256 Atari moves: read from the store, and used by a transformer of 2 layers."""
    torch.set_num_threads(segments.available_cores())
    source = WatchedLives([store.history], [store], store.num_moves)
    rng = np.random.default_rng(0)
    architecture = baselines.load("transformer")
    game = store.game
    model = architecture.build(
        architecture.config(game) | {"layers": 2, "context_moves": 64, "width": 64}, game
    )

    def consume(windows: Windows) -> None:
        logits, _ = model.unroll(windows.timesteps, model.initial_state(len(windows.actions)))
        training.next_action_loss(logits, windows).backward()

    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        windows = source.sample(32, 256, rng)
        middle = time.perf_counter()
        consume(windows)
        seconds[0].append(middle - begin)
        seconds[1].append(time.perf_counter() - middle)
    ready, used = (statistics.median(each) for each in seconds)
    with capsys.disabled():
        print(
            f"\na batch of 32 x 256 Atari moves is ready in {ready:.3f} s, used by a transformer of 2 layers "
            f"in {used:.2f} s: {used / ready:.0f} times as long"
        )


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_sixteen_lives_of_a_million_moves_fit_in_memory(tmp_path, capsys):
    """One segment's frames stand for all 320: what counts is what is held, not what is shown."""
    code = """
import sys
from pathlib import Path
import numpy as np
from understudy.suite.histories import frames
from understudy.suite.histories.format import Header, History, Segment
from understudy.suite.histories.windows import WatchedLives

file, length = Path(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(0)
n = 1_000_000 // length * length
cuts = range(0, n, length)
histories, stores = [], []
for life in range(16):
    folder = file.parent / f"life-{life}"
    folder.mkdir()
    for index in range(len(cuts)):
        (folder / f"segment-{index:05d}.b2frame").write_bytes(file.read_bytes())
    ended = rng.random(n) < 0.005
    history = History(
        Header("atari/breakout", {}, {}, {}, tuple(Segment(cut, length, 1, 2) for cut in cuts), {}),
        action=rng.choice([0, 1, 3, 4], n).astype(np.uint8), reward=np.zeros(n, np.float32), terminated=ended,
        truncated=np.zeros(n, bool), explored=np.zeros(n, bool),
    )
    histories.append(history)
    stores.append(frames.FrameStore(history, folder))
source = WatchedLives(histories, stores, n)
for _ in range(60):
    source.sample(32, 256, rng)
print(*(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))  # KiB
"""
    history = recorded("atari/breakout", 4000, tmp_path)
    built = frames.frames(history, processes=1, cache=tmp_path)
    file = built.folder / "segment-00000.b2frame"
    length = str(history.header.segments[0].length)
    done = subprocess.run([sys.executable, "-c", code, str(file), length], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with capsys.disabled():
        print(
            f"\n16 lives of 1M Atari moves, batches of 32 x 256: {int(done.stdout) / 2**20:.2f} GiB at most"
        )


def million_moves() -> History:
    n = 1_000_000
    rng = np.random.default_rng(0)
    return History(
        Header("atari/breakout", {}, {}, {}, (Segment(0, n, 1, 2),), {}),
        action=rng.choice([0, 1, 3, 4], n).astype(np.uint8),
        reward=np.where(rng.random(n) < 0.05, rng.choice([1, 4, 7], n), 0).astype(np.float32),
        terminated=rng.random(n) < 0.005,
        truncated=np.zeros(n, bool),
        explored=rng.random(n) < 0.01,
    )


def test_a_million_moves_written_and_read(tmp_path, capsys):
    history = million_moves()
    path = tmp_path / "history.parquet"
    write, read = compare(
        lambda: history_format.write(path, history) and None, lambda: history_format.read(path) and None
    )
    with capsys.disabled():
        print(f"\n1M moves: {path.stat().st_size:,} bytes, written in {write:.2f} s, read in {read:.2f} s")


def test_a_life_opened_and_its_episode_returns_read(tmp_path, capsys):
    """The peer reads the same file's columns with pandas and checks nothing."""
    path = tmp_path / "history.parquet"
    history_format.write(path, million_moves())

    def returns(reward: np.ndarray, ended: np.ndarray) -> np.ndarray:
        return np.diff(np.cumsum(reward, dtype=np.float64)[np.flatnonzero(ended)], prepend=0.0)

    def opened() -> np.ndarray:
        history = history_format.read(path)
        return returns(history.reward, history.ended)

    def by_pandas() -> np.ndarray:
        table = pd.read_parquet(path)
        return returns(table["reward"].to_numpy(), (table["terminated"] | table["truncated"]).to_numpy())

    assert (opened() == by_pandas()).all()
    ours, peer = compare(lambda: opened().sum() and None, lambda: by_pandas().sum() and None)
    with capsys.disabled():
        print(
            f"\n1M moves opened, both checksums checked, {len(opened()):,} episode returns read: "
            f"{1000 * ours:.0f} ms; pandas without checks: {1000 * peer:.0f} ms"
        )
