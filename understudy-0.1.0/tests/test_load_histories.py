"""`load_histories`: the watched part of the teacher runs, in every view, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import understudy
from understudy.suite import benchmarks
from understudy.suite.errors import InputError

W = 1_300


@pytest.fixture(scope="module")
def histories():
    return understudy.load_histories("darkroom-v1").select(["goal-00/seed-0", "goal-01/seed-0"])


def log(name):
    (run,) = [run for run in benchmarks.teacher_runs(benchmarks.load("darkroom-v1")) if run.name == name]
    return benchmarks.read(run)


def test_every_view_ends_at_w(histories):
    assert log("goal-00/seed-0").num_moves > W, "else nothing is left out"
    assert histories.watched_moves == W
    assert {len(column) for columns in histories.numpy().values() for column in columns.values()} == {W}
    assert histories.to_pandas().groupby("run").size().tolist() == [W, W]
    assert len(histories) == 2 * (W // 256)
    for window in (histories[len(histories) - 1], histories[-1]):
        expected = log("goal-01/seed-0").action[4 * 256 : 5 * 256]
        assert np.array_equal(window.targets.numpy(), expected)
    with pytest.raises(IndexError):
        histories[len(histories)]
    bases = [column.base for column in histories.numpy()["goal-00/seed-0"].values()]
    assert all(base is None or len(base) == W for base in bases), "later moves are behind the view"
    last = max(batch.timesteps.first.shape[1] for batch in histories.loader(window_moves=W, batch_size=1))
    assert last == W
    with pytest.raises(InputError, match="the longest watched run has 1300"):
        histories.loader(window_moves=W + 1)


def test_new_games_and_moves_are_those_of_the_log(histories):
    every = understudy.load_histories("darkroom-v1")
    watched = benchmarks.load("darkroom-v1").watched_games
    assert {f"darkroom/{name.partition('/')[0]}" for name in every.names} == set(watched)
    frame = histories.to_pandas().loc["goal-01/seed-0"]
    assert np.array_equal(frame["action"].to_numpy(), log("goal-01/seed-0").action[:W])
    assert np.array_equal(histories.numpy()["goal-01/seed-0"]["reward"], log("goal-01/seed-0").reward[:W])


def test_a_loader_gives_the_same_batches_whatever_reads_them(histories):
    batches = [
        [batch.targets for batch in histories.loader(window_moves=100, batch_size=3, seed=5, num_workers=n)]
        for n in (0, 1, 3)
    ]
    assert len(batches[0]) == len(histories.loader(window_moves=100, batch_size=3))
    for others in batches[1:]:
        assert all(torch.equal(one, other) for one, other in zip(batches[0], others, strict=True))


def test_histories_that_were_read_go_to_worker_processes(histories):
    expected = histories[1]
    again = pickle.loads(pickle.dumps(histories))
    assert again.names == histories.names
    assert torch.equal(again[1].targets, expected.targets)
    for context in ("fork", "spawn"):
        loader = DataLoader(
            histories, batch_size=None, num_workers=1, multiprocessing_context=context, timeout=120
        )
        assert [
            torch.equal(each.targets, histories[i].targets) for i, each in zip(range(2), loader, strict=False)
        ] == [True, True]


def test_a_folder_is_a_source_and_nothing_else_is(tmp_path, monkeypatch, data):
    monkeypatch.chdir(data.parent)
    by_path, by_name = (understudy.load_histories(source) for source in (data, data.name))
    assert by_path.names == by_name.names
    for source, said in (
        ("darkrom-v1", "did you mean 'darkroom-v1'"),
        (tmp_path / "none", "found no such folder"),
        (data / "darkroom-v1", "give the folder above"),
        ("hf://datasets/a/b", "hf://datasets/a/b"),
    ):
        with pytest.raises(InputError, match=said) as raised:
            understudy.load_histories(source)
        assert "\n" not in str(raised.value)


def test_runs_are_chosen_by_name(histories):
    assert histories.select("goal-00/seed-0").names == ("goal-00/seed-0",)
    with pytest.raises(InputError, match="unknown run 'goal-99/seed-0'"):
        histories.select(["goal-99/seed-0"])
    with pytest.raises(InputError, match="at least one run"):
        histories.select([])
