"""The stored lives of teachers: whole, unchanged, of rising skill, and each with its own network."""

from __future__ import annotations

import numpy as np
import pytest

from understudy.suite import benchmarks, files
from understudy.suite.benchmarks import teacher_data
from understudy.suite.errors import InputError
from understudy.suite.histories import format as history_format
from understudy.suite.teachers import checkpoints, dqn, teach
from understudy.suite.testing.lessons import LESSON


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


@pytest.mark.parametrize("name", benchmarks.names())
def test_teachers_explore_at_the_benchmarks_rate_before_w(name):
    benchmark = benchmarks.load(name)
    settings = dqn.SETTINGS[benchmark.family]
    assert settings.exploration(benchmark.watched_moves - 5_000 if name != "darkroom-v1" else 1_100) == (
        benchmark.exploration
    )
    assert settings.learning_starts + settings.exploration_moves < benchmark.watched_moves


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
