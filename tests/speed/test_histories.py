"""Histories' speed and size beside their peers: frame stores, replay, training batches, files of moves."""

from __future__ import annotations

import gzip
import time

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from speed import bare_emulator, peak_memory
from speed.ratios import add_figure, describe

from understudy import baselines
from understudy.baselines.training import loop
from understudy.suite import games
from understudy.suite.histories import frame_store, history_format, replay, segments
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.histories.history_format import Header, History, Segment
from understudy.suite.histories.windows import WatchedRuns
from understudy.suite.testing.history_checks import play_on, random_runs

STORED_MOVES = 4000
WINDOW_MOVES = 64
SHARD_REPEATS = 5  # of the run's frames, for a longer shard
MILLION = 1_000_000
REPLAYED = {  # moves of a run, runs
    "atari/breakout": (1_000, 2),
    "minatar/breakout": (10_000, 8),
    "darkroom/goal-40": (10_000, 16),
}

five_turns = pytest.mark.parametrize("turn", range(5), scope="module")
three_turns = pytest.mark.parametrize("turn", range(3), scope="module")
cpu_time = pytest.mark.benchmark(timer=time.process_time)  # other programs' load isn't ours


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The frames of a run of random moves on Atari, in two segments."""
    folder = tmp_path_factory.mktemp("atari")
    (run,) = random_runs(games.load("atari/breakout"), folder, 1)
    for _ in play_on([run], SegmentRule(STORED_MOVES // 2), STORED_MOVES):
        pass
    return frame_store.open_store(history_format.read(run.path), processes=1, cache=folder)


# Random windows: a store against HDF5 and against a gzip shard


def read_windows(source, starts):
    """Return windows [N, WINDOW_MOVES, 84, 84] of whatever is sliced as a store is."""
    return [source[start : start + WINDOW_MOVES] for start in starts]


def window_starts(count):
    return np.random.default_rng(0).integers(0, STORED_MOVES - WINDOW_MOVES, count).tolist()


def describe_windows(benchmark, group, label, starts, *, frame_bytes, is_peer=False):
    group = f"random windows of {WINDOW_MOVES} Atari frames, {group}"
    amount = len(starts) * WINDOW_MOVES
    describe(benchmark, group, label, amount=amount, unit="frames", is_peer=is_peer)
    add_figure(benchmark, "size on disk", frame_bytes, "bytes/frame")


@five_turns
@cpu_time
@pytest.mark.parametrize(("group", "count"), [("one run", 60), ("a shard", 20)])
def test_windows_of_a_store(store, group, count, turn, benchmark):
    starts = window_starts(count)
    size_bytes = sum(file.stat().st_size for file in store.folder.iterdir())
    frame_bytes = size_bytes / store.num_moves
    describe_windows(benchmark, group, "frame store", starts, frame_bytes=frame_bytes)
    benchmark.pedantic(read_windows, (store, starts))


@pytest.fixture(scope="module")
def hdf5_file(store, tmp_path_factory):
    """HDF5 with gzip in chunks of one window, as data sets of this field are kept."""
    path = tmp_path_factory.mktemp("hdf5") / "frames.h5"
    with h5py.File(path, "w") as file:
        data = store[0 : store.num_moves]
        file.create_dataset("frames", data=data, chunks=(WINDOW_MOVES, 84, 84), compression="gzip")
    return path


@five_turns
@cpu_time
def test_windows_of_hdf5(store, hdf5_file, turn, benchmark):
    starts = window_starts(60)
    frame_bytes = hdf5_file.stat().st_size / store.num_moves
    describe_windows(benchmark, "one run", "HDF5 with gzip", starts, frame_bytes=frame_bytes, is_peer=True)
    with h5py.File(hdf5_file, "r") as file:
        found = benchmark.pedantic(read_windows, (file["frames"], starts))
    assert np.array_equal(found, read_windows(store, starts))


@pytest.fixture(scope="module")
def gzip_shard(store, tmp_path_factory):
    """One gzip file of all frames, as the DQN Replay data set has; its own shards are longer, 1M frames."""
    path = tmp_path_factory.mktemp("shard") / "observation.gz"
    with gzip.open(path, "wb", compresslevel=6) as file:
        np.save(file, np.concatenate([store[0 : store.num_moves]] * SHARD_REPEATS))
    return path


@five_turns
@cpu_time
def test_windows_of_a_gzip_shard(store, gzip_shard, turn, benchmark):
    starts = window_starts(20)
    repeats = np.random.default_rng(1).integers(0, SHARD_REPEATS, len(starts)).tolist()
    shard_moves = SHARD_REPEATS * STORED_MOVES
    frame_bytes = gzip_shard.stat().st_size / shard_moves
    label = f"gzip, {shard_moves:,} frames"
    describe_windows(benchmark, "a shard", label, starts, frame_bytes=frame_bytes, is_peer=True)

    def read():
        found = []
        for start, repeat in zip(starts, repeats, strict=True):
            with gzip.open(gzip_shard) as file:
                file.seek(128 + (start + repeat * STORED_MOVES) * 84 * 84)  # after the header of np.save
                found.append(np.frombuffer(file.read(WINDOW_MOVES * 84 * 84), np.uint8))
        return found

    found = benchmark.pedantic(read)
    assert np.array_equal(np.reshape(found, (-1, WINDOW_MOVES, 84, 84)), read_windows(store, starts))


# Replay and the building of frame stores: against the bare emulator


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Histories of random moves, of one segment each, by game."""
    found = {}
    for name, (moves, runs) in REPLAYED.items():
        recorded = random_runs(games.load(name), tmp_path_factory.mktemp("replayed"), runs)
        for _ in play_on(recorded, SegmentRule(moves), moves):
            pass
        found[name] = [history_format.read(run.path) for run in recorded]
    return found


def describe_replay(benchmark, name, label, *, is_peer=False):
    moves, runs = REPLAYED[name]
    group = f"{runs} runs of {name} replayed, one process"
    describe(benchmark, group, label, amount=moves * runs, unit="moves", is_peer=is_peer)


@three_turns
@cpu_time
@pytest.mark.parametrize("name", REPLAYED)
def test_replay(recorded, name, turn, benchmark):
    describe_replay(benchmark, name, "replay, all compared")
    benchmark.pedantic(replay.verify_runs, (recorded[name],), {"processes": 1})


@three_turns
@cpu_time
@pytest.mark.parametrize("name", REPLAYED)
def test_frame_store_built(recorded, name, turn, benchmark, tmp_path):
    describe_replay(benchmark, name, "frame store built")
    benchmark.pedantic(frame_store.open_stores, (recorded[name],), {"processes": 1, "cache": tmp_path})


@three_turns
@cpu_time
@pytest.mark.parametrize("name", REPLAYED)
@pytest.mark.parametrize(
    ("label", "play"),
    [
        ("bare emulator, one after another", bare_emulator.one_after_another),
        ("bare emulator, lock-step", bare_emulator.in_lock_step),
    ],
)
def test_bare_emulator(recorded, name, label, play, turn, benchmark):
    describe_replay(benchmark, name, label, is_peer=True)
    benchmark.pedantic(play, (recorded[name],))


# A training batch of 32 windows of 256 moves: ready against used

BATCH = "training batch of 32 x 256 Atari moves"


@three_turns
def test_batch_sampled(store, turn, benchmark):
    source = WatchedRuns([store.history], [store], store.num_moves)
    describe(benchmark, BATCH, "sampled from a frame store", amount=32 * 256, unit="moves")
    benchmark.pedantic(source.sample, (32, 256, np.random.default_rng(turn)))


@three_turns
def test_batch_used(store, turn, benchmark):
    torch.set_num_threads(segments.available_cores())
    source = WatchedRuns([store.history], [store], store.num_moves)
    architecture, game = baselines.load("transformer"), store.game
    small = {"layers": 2, "context_moves": 64, "width": 64}
    model = architecture.build(architecture.config(game) | small, game)

    def use(windows):
        logits, _ = model.unroll(windows.timesteps, model.initial_state(len(windows.actions)))
        loop.next_action_loss(logits, windows).backward()

    label = "gradients of a transformer of 2 layers"
    describe(benchmark, BATCH, label, amount=32 * 256, unit="moves", is_peer=True)
    benchmark.pedantic(use, (source.sample(32, 256, np.random.default_rng(turn)),))


@pytest.mark.skipif(not peak_memory.STATUS.exists(), reason="the peak is read from /proc")
def test_memory_of_batches_of_sixteen_long_runs(store, tmp_path, benchmark):
    arguments = (
        peak_memory.batches_of_long_runs,
        frame_store.segment_file(store.folder, 0),
        store.history.header.segments[0].length,
        tmp_path,
    )
    describe(benchmark, "16 runs of 1M Atari moves", "batches of 32 x 256")
    peak_gib = benchmark.pedantic(peak_memory.in_new_process, arguments)
    add_figure(benchmark, "peak memory", peak_gib, "GiB")


# The file of a run of 1M moves


@pytest.fixture(scope="module")
def million_moves():
    rng = np.random.default_rng(0)
    return History(
        Header("atari/breakout", {}, {}, {}, (Segment(0, MILLION, 1, 2),), {}),
        action=rng.choice([0, 1, 3, 4], MILLION).astype(np.uint8),
        reward=np.where(rng.random(MILLION) < 0.05, rng.choice([1, 4, 7], MILLION), 0).astype(np.float32),
        terminated=rng.random(MILLION) < 0.005,
        truncated=np.zeros(MILLION, bool),
        explored=rng.random(MILLION) < 0.01,
    )


@pytest.fixture(scope="module")
def million_moves_file(million_moves, tmp_path_factory):
    path = tmp_path_factory.mktemp("million") / "history.parquet"
    history_format.write(path, million_moves)
    return path


@five_turns
@cpu_time
def test_run_written(million_moves, turn, benchmark, tmp_path):
    path = tmp_path / "history.parquet"
    describe(benchmark, "run of 1M moves written", "history", amount=MILLION, unit="moves")
    benchmark.pedantic(history_format.write, (path, million_moves))
    add_figure(benchmark, "size on disk", path.stat().st_size, "bytes")


def returns(reward: np.ndarray, ended: np.ndarray) -> np.ndarray:
    """Return the return of each episode that ended."""
    return np.diff(np.cumsum(reward, dtype=np.float64)[np.flatnonzero(ended)], prepend=0.0)


RETURNS = "episode returns read from a run of 1M moves"


@five_turns
@cpu_time
def test_run_opened_and_its_returns_read(million_moves, million_moves_file, turn, benchmark):
    def read():
        history = history_format.read(million_moves_file)
        return returns(history.reward, history.ended)

    describe(benchmark, RETURNS, "history, checksums checked", amount=MILLION, unit="moves")
    found = benchmark.pedantic(read)
    assert np.array_equal(found, returns(million_moves.reward, million_moves.terminated))


@five_turns
@cpu_time
def test_returns_read_by_pandas(million_moves, million_moves_file, turn, benchmark):
    """It reads the same file's columns and checks nothing."""

    def read():
        table = pd.read_parquet(million_moves_file)
        return returns(table["reward"].to_numpy(), (table["terminated"] | table["truncated"]).to_numpy())

    describe(benchmark, RETURNS, "pandas, no checks", amount=MILLION, unit="moves", is_peer=True)
    found = benchmark.pedantic(read)
    assert np.array_equal(found, returns(million_moves.reward, million_moves.terminated))
