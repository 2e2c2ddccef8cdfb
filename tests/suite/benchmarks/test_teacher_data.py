"""The stored runs of teachers: whole, unchanged, of rising skill, and each with its own network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support import ROOT
from support.trainings import TWO_RUNS

from understudy.suite import benchmarks
from understudy.suite.benchmarks import teacher_data
from understudy.suite.errors import InputError
from understudy.suite.histories import history_format
from understudy.suite.io import file_names, files
from understudy.suite.teachers import dqn, train_teacher


@pytest.mark.parametrize("name", benchmarks.names())
def test_embedded_runs_are_whole_and_their_skill_rises(name):
    benchmark = benchmarks.load(name)
    rises = []
    for run in benchmarks.teacher_runs(benchmark):
        history = history_format.read(run.history_path)
        fifth = history.num_moves // 5
        early, late = (
            history.reward[part].sum() / max(1, history.ended[part].sum())
            for part in (slice(0, fifth), slice(-fifth, None))
        )
        rises.append(late - early)
        assert history.header.game == run.game
        assert history.header.run["watched_moves"] == benchmark.watched_moves
    assert rises
    assert np.mean(rises) > 0
    assert np.mean(np.array(rises) > 0) >= 0.95


def test_the_many_runs_are_more_runs_of_watched_goals_and_are_read_where_asked_for():
    """Every 500th is read: all of them differ, for an archive refuses two with the same moves."""
    benchmark = benchmarks.load("darkroom-v1")
    usual = benchmarks.teacher_runs(benchmark)
    runs = benchmarks.teacher_runs(benchmark, more=[ROOT / "data" / "many-runs"])
    added = [run for run in runs if run not in usual]
    assert len(added) == 96 * len(benchmark.watched_games) == len(runs) - len(usual)
    assert {run.game for run in added} == set(benchmark.watched_games)
    assert {run.seed for run in added} == set(range(4, 100))
    for run in added[::500]:
        history = benchmarks.read(run)
        assert history.num_moves == benchmark.watched_moves
        episodes = history.reward.reshape(65, 20).sum(1)
        assert history.first.reshape(65, 20)[:, 0].all()
        assert episodes[-10:].mean() > episodes[:10].mean() + 1


def test_checksums_of_the_embedded_runs_hold():
    for root in benchmarks.roots():
        for line in (root / "SHA256SUMS").read_text().splitlines():
            expected, path = line.split("  ")
            assert files.sha256(root / path) == expected, path


@pytest.mark.parametrize("name", benchmarks.names())
def test_teachers_explore_at_the_benchmarks_rate_before_w(name):
    benchmark = benchmarks.load(name)
    settings = dqn.SETTINGS[benchmark.family]
    assert settings.exploration(benchmark.watched_moves - 5_000 if name != "darkroom-v1" else 1_100) == (
        benchmark.exploration
    )
    assert settings.learning_starts + settings.exploration_moves < benchmark.watched_moves


def test_the_network_at_w_of_another_run_is_refused(tmp_path):
    out = tmp_path / "darkroom-v1"
    paths = train_teacher.train(TWO_RUNS, out, 210)
    rule = {"watched_moves": TWO_RUNS.watched_moves, "segment_moves": TWO_RUNS.segment_moves}
    runs = teacher_data.teacher_runs(replace(benchmarks.load("darkroom-v1"), **rule), [tmp_path])
    assert [teacher_data.read(run).num_moves for run in runs] == [210, 210]
    names = [path.with_name(file_names.NETWORK_AT_W) for path in paths]
    names[0].write_bytes(names[1].read_bytes())
    teacher_data._read.cache_clear()
    with pytest.raises(InputError, match=r"these weights are of another run: .* found darkroom/goal-41"):
        teacher_data.read(runs[0])
