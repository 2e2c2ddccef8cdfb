"""The loader and the dataset of windows, compared with the histories move by move; columns of a history."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from understudy.suite import games
from understudy.suite.errors import InputError
from understudy.suite.histories import columns, frame_store, history_format, read_ahead
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.histories.loader import Batch, WindowDataset, WindowLoader
from understudy.suite.histories.timesteps import timesteps_with_empty_memory
from understudy.suite.histories.windows import WatchedRuns
from understudy.suite.testing.history_checks import play_on, random_runs

LENGTHS, WATCHED, T = (90, 140, 9), 100, 10  # moves of the runs; W; moves of a window


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> WatchedRuns:
    folder, game = tmp_path_factory.mktemp("runs"), games.load("minatar/breakout")
    histories = []
    for seed, moves in enumerate(LENGTHS):
        (run,) = random_runs(game, folder / f"seed-{seed}", 1, seed)
        for _ in play_on([run], SegmentRule(40), moves):
            pass
        histories.append(history_format.read(Path(run.path)))
    found = WatchedRuns(histories, frame_store.open_stores(histories, processes=1, cache=folder), WATCHED)
    found.histories = histories  # for the oracle
    return found


def place(runs: WatchedRuns, batch: Batch, row: int) -> tuple[int, int]:
    """Return the run and first move of a window, found by its actions and flags."""
    actions, mask = batch.targets[row].numpy(), batch.mask[row].numpy()
    places = [
        (run, start)
        for run, history in enumerate(runs.histories)
        for start in range(min(WATCHED, history.num_moves) - T + 1)
        if (history.action[start : start + T] == actions).all()
        and (~history.explored[start : start + T] == mask).all()
    ]
    for run, start in places:
        store = runs._runs[run][1]
        expected = timesteps_with_empty_memory(runs.histories[run], store, start, start + T)
        if all(torch.equal(a[row], b[0]) for a, b in zip(batch.timesteps, expected, strict=True)):
            return run, start
    raise AssertionError("no such window was watched")


def same(one: Batch, other: Batch) -> bool:
    pairs = zip((*one.timesteps, *one[1:]), (*other.timesteps, *other[1:]), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_an_epoch_has_each_watched_move_once_at_most(runs):
    loader = WindowLoader(runs, T, batch_size=2, seed=1)
    assert isinstance(loader, DataLoader)
    orders = []
    for _ in range(2):
        batches = list(loader)
        assert len(batches) == len(loader) == 8  # 8 of 90 moves and 9 of 100 at least, two a batch
        found = [place(runs, batch, row) for batch in batches for row in range(2)]
        moves = [(run, start + t) for run, start in found for t in range(T)]
        assert len(moves) == len(set(moves))
        assert all(move < WATCHED for _, move in moves)
        assert {run for run, _ in found} == {0, 1}, "a run shorter than a window is not read"
        orders.append(found)
    assert orders[0] != orders[1], "epochs were alike"


def test_batches_depend_on_seed_and_epoch_alone(runs):
    expected = [list(WindowLoader(runs, T, 2, seed=5, num_workers=0))]
    for workers in (1, 2, 5):
        loader = WindowLoader(runs, T, 2, seed=5, num_workers=workers)
        assert loader.num_workers == workers
        assert all(map(same, loader, expected[0]))
        later = list(loader)
        loader.set_epoch(1)
        assert all(map(same, loader, later))
        assert not all(map(same, expected[0], later))
    other = WindowLoader(runs, T, 2, seed=6)
    assert not all(map(same, other, expected[0]))


def test_a_loop_may_leave_an_epoch(runs):
    threads = threading.active_count()
    for batch in WindowLoader(runs, T, 2):
        assert batch.mask.dtype == torch.bool
        break
    for _ in range(100):
        if threading.active_count() == threads:
            return
        time.sleep(0.05)
    raise AssertionError("its threads go on")


def test_targets_are_chosen_or_executed(runs):
    chosen = WindowDataset(runs, T)
    assert not all(bool(item.mask.all()) for item in (chosen[i] for i in range(len(chosen))))
    executed = WindowDataset(runs, T, targets="executed")
    assert all(bool(executed[i].mask.all()) for i in range(len(executed)))
    with pytest.raises(InputError, match="kind of training targets 'exectued'; did you mean 'executed'"):
        WindowDataset(runs, T, targets="exectued")


def test_item_i_is_window_i(runs):
    dataset = WindowDataset(runs, T)
    places = [(0, start) for start in range(0, 90, T)] + [(1, start) for start in range(0, 100, T)]
    assert len(dataset) == len(places)
    whole = dataset.__getitems__(range(len(dataset)))
    assert [place(runs, whole, row) for row in range(len(places))] == places
    for index in (0, 8, 9, -1):
        item = dataset[index]
        assert item.targets.shape == (T,)
        assert torch.equal(item.targets, whole.targets[index])
        assert torch.equal(item.timesteps.observation, whole.timesteps.observation[index])
    for index in (len(dataset), -len(dataset) - 1):
        with pytest.raises(IndexError):
            dataset[index]
    assert len(WindowDataset(runs, T, stride=1)) == (90 - T + 1) + (100 - T + 1)


def test_torchs_own_loader_reads_the_dataset(runs):
    dataset = WindowDataset(runs, T)
    plain = DataLoader(dataset, batch_size=4)
    fast = DataLoader(dataset, batch_size=4, collate_fn=WindowDataset.collated)
    for one, other in zip(fast, [dataset.__getitems__(range(4))], strict=False):
        assert same(one, other)
    assert len(plain) == len(fast) == 5


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"window_moves": 101}, "the longest watched run has 100; choose shorter windows"),
        ({"window_moves": 0}, "windows of 0 moves"),
        ({"window_moves": T, "batch_size": 30}, "the watched runs have 19 windows of 10 moves side by side"),
        ({"window_moves": T, "num_workers": -1}, "num_workers: expected 0 or more threads; found -1"),
    ],
)
def test_what_does_not_fit_is_refused(runs, settings, line):
    with pytest.raises(InputError, match=line):
        WindowLoader(runs, **settings)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_pinned_batches_need_a_device(runs):
    with pytest.raises(InputError, match="pinned batches need a CUDA device"):
        WindowLoader(runs, T, 2, pin_memory=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_pinned_batches_are_pinned(runs):
    batch = next(iter(WindowLoader(runs, T, 2, pin_memory=True)))
    assert batch.targets.is_pinned()
    assert batch.timesteps.observation.is_pinned()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_the_order_of_the_calls(workers):
    def call(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        if number == 20:
            raise ValueError("the twentieth")
        return number

    calls = (lambda number=number: call(number) for number in itertools.count())
    found = read_ahead.in_order(calls, workers, ahead=4)
    assert list(itertools.islice(found, 20)) == list(range(20))
    with pytest.raises(ValueError, match="the twentieth"):
        next(found)


def test_columns_are_read_only_copies_and_a_frame(runs):
    history = runs.histories[0]
    found = columns.arrays(history, 50)
    assert list(found) == ["action", "reward", "terminated", "truncated", "explored", "first"]
    assert not np.shares_memory(found["action"], history.action), "its base would have the later moves"
    assert (found["reward"] == history.reward[:50]).all()
    with pytest.raises(ValueError, match="read-only"):
        found["action"][0] = 1
    frame = columns.frame(history, 50)
    assert frame.index.name == "move"
    assert len(frame) == 50
    ends = 0
    for move in range(50):
        assert frame["episode"][move] == ends
        ends += int(history.terminated[move] or history.truncated[move])
    assert len(columns.frame(history)) == history.num_moves
