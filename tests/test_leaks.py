"""The leak test: what is compared, what is refused, and what a suspicion costs."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from understudy import cli
from understudy.leaderboard import leaks, rows, scores
from understudy.leaderboard.stored import RowFolder
from understudy.submissions import leaks as measured
from understudy.submissions.entrants import resolve
from understudy.submissions.requests import Request
from understudy.submissions.scorer import Scorer
from understudy.suite import benchmarks, records
from understudy.suite.benchmarks import teacher_data
from understudy.suite.errors import InputError
from understudy.suite.histories import format as history_format
from understudy.suite.histories.format import History

BENCHMARK = benchmarks.load("darkroom-v1")
W = BENCHMARK.watched_moves
HIDDEN = ("goal-00/seed-0", "goal-40/seed-0", "goal-01/seed-0")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two data folders: the embedded lives, three of them up to W only; and these three as they go on."""
    published, held_back = tmp_path_factory.mktemp("published"), tmp_path_factory.mktemp("held-back")
    source = benchmarks.roots()[0] / BENCHMARK.name
    shutil.copytree(source, published / BENCHMARK.name)
    for name in HIDDEN:
        shutil.copytree(source / name, held_back / BENCHMARK.name / name)
        cut(published / BENCHMARK.name / name / "history.parquet", W)
    return published, held_back


def cut(path, moves):
    """Write a life's first moves in the place of all; the last segment's checksum is no longer its own."""
    history = history_format.read(path)
    begun = [segment for segment in history.header.segments if segment.first_move < moves]
    begun[-1] = replace(begun[-1], length=moves - begun[-1].first_move)
    columns = (getattr(history, name)[:moves] for name in history_format.COLUMNS)
    path.unlink()
    history_format.write(path, History(replace(history.header, segments=tuple(begun)), *columns))


@pytest.fixture
def published(data, monkeypatch):
    monkeypatch.setenv(teacher_data.ENVIRONMENT_VARIABLE, str(data[0]))
    return data[0]


@pytest.fixture
def held_back(data):
    return data[1]


def request(out):
    return Request("markov", "darkroom-v1", "quick", out)


@pytest.mark.usefixtures("published")
def test_the_difference_is_that_of_mean_losses_with_its_welch_interval(held_back, tmp_path, monkeypatch):
    losses = {}

    def loss(self, player, life):
        losses[life.folder] = float(np.random.default_rng(len(losses)).normal())
        return losses[life.folder]

    monkeypatch.setattr(Scorer, "loss_after_w", loss)
    found = measured.measure(request(tmp_path), held_back)
    hidden = [value for folder, value in losses.items() if str(folder).startswith(str(held_back))]
    known = [value for folder, value in losses.items() if not str(folder).startswith(str(held_back))]
    assert (len(hidden), len(known)) == (3, 62)
    oracle = scipy.stats.ttest_ind(hidden, known, equal_var=False)
    assert found["difference_nats"] == pytest.approx(np.mean(hidden) - np.mean(known))
    low, high = oracle.confidence_interval(0.95)
    assert (found["low"], found["high"]) == (pytest.approx(low), pytest.approx(high))
    assert found["held_back"] == {
        life.name: benchmarks.read(life).content_sha256
        for life in benchmarks.teacher_lives(BENCHMARK, [held_back])
    }


def test_a_loss_is_the_mean_over_what_the_teacher_chose_itself(tmp_path):
    scorer = Scorer(request(tmp_path), lambda progress: None)
    life = scorer.lives["goal-40/seed-0"]
    predictions = scorer._predictions(scorer._planned("start", 0), life)
    history = benchmarks.read(life)
    w = BENCHMARK.watched_moves
    kept = ~history.explored[w : w + 65]
    expected = np.mean([nats for nats, own in zip(predictions["loss_nats"], kept, strict=True) if own])
    assert scorer.loss_after_w(0, life) == pytest.approx(expected)


@pytest.mark.usefixtures("published")
def test_a_suspicion_is_an_error_and_stands_in_the_table(held_back, tmp_path, monkeypatch, capsys):
    """A difference that is small, or that chance explains, accuses nobody."""
    arguments = ["leaks", "markov", "--benchmark", "darkroom-v1", "--out", str(tmp_path), "--budget", "quick"]
    for difference, spread, code in ((0.015, 0.001, 0), (0.03, 0.1, 0), (0.03, 0.001, 1)):

        def loss(self, player, life, difference=difference, spread=spread):
            if life.name in HIDDEN:
                return 0.5 + difference + spread * (HIDDEN.index(life.name) - 1)
            return 0.5

        monkeypatch.setattr(Scorer, "loss_after_w", loss)
        assert cli.main([*arguments, "--held-back", str(held_back)]) == code
    said = capsys.readouterr().err
    assert "leak suspected: 0.5300 nats on 3 continuations held back, 0.5000 on 62 published: +0.0300" in said
    row = tmp_path / "darkroom-v1" / "quick" / "markov"
    sha256 = resolve("markov", "darkroom-v1").sha256
    assert leaks.measured(row, sha256).suspected
    assert leaks.measured(row, "0" * 64) is None  # of another submission
    (row / records.LEAKS).write_text("[]")
    with pytest.raises(InputError, match="expected an object with the number difference_nats"):
        leaks.measured(row, sha256)


def test_what_is_not_held_back_is_refused(held_back, data, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"goal-00/seed-0 is published up to move 14,300, beyond W = 1,300"):
        measured.measure(request(tmp_path), held_back)
    monkeypatch.setenv(teacher_data.ENVIRONMENT_VARIABLE, str(data[0]))
    other = shutil.copytree(held_back, tmp_path / "other")
    path = other / BENCHMARK.name / HIDDEN[0] / "history.parquet"
    history = history_format.read(path)
    history = replace(history, explored=~history.explored)
    path.unlink()
    history_format.write(path, history)
    with pytest.raises(InputError, match="it doesn't begin as the published goal-00/seed-0"):
        measured.measure(request(tmp_path), other)
    for name in HIDDEN[:2]:
        shutil.rmtree(other / BENCHMARK.name / name)
    with pytest.raises(InputError, match=r"watched 1 lives with a held-back continuation of .* 2 or more"):
        measured.measure(request(tmp_path), other)
    with pytest.raises(InputError, match="a control has watched nothing that could leak"):
        measured.measure(Request("random", "darkroom-v1", "quick", tmp_path), held_back)


def test_a_suspected_leak_is_shown(tmp_path):
    folder = RowFolder(tmp_path, "darkroom-v1", "quick", "markov")
    row = {"name": "markov", "control": False, "track": "frozen", "priming_moves": 0}
    shown = rows._row(scores.ScoredRow(folder, row, (), leak=leaks.Leak(0.03, 0.01, 0.05)))
    assert "LEAK SUSPECTED, not citable" in shown.note
    assert "LEAK" not in rows._row(scores.ScoredRow(folder, row, (), leak=leaks.Leak(0.03, -0.01, 0.07))).note


def test_how_many_settings_were_tried_stands_beside_the_row(tmp_path):
    folder = RowFolder(tmp_path, "darkroom-v1", "quick", "markov")
    row = {"name": "markov", "control": False, "track": "frozen", "priming_moves": 0, "search_trials": 1200}
    assert "the best of 1,200 settings" in rows._row(scores.ScoredRow(folder, row, ())).note
    assert "settings" not in rows._row(scores.ScoredRow(folder, {**row, "search_trials": None}, ())).note
