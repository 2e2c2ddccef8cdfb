"""The leak test: what is compared, what is refused, and what a suspicion costs."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from understudy import cli
from understudy.leaderboard import leaks, rows, scores
from understudy.submissions import leaks as measured
from understudy.submissions.entrants import resolve
from understudy.submissions.requests import Request
from understudy.submissions.scorer import Scorer
from understudy.suite import benchmarks, records
from understudy.suite.errors import InputError
from understudy.suite.teachers import dqn, teach

BENCHMARK = benchmarks.load("darkroom-v1")
GAMES = ("darkroom/goal-00", "darkroom/goal-40")


@pytest.fixture(scope="module")
def held_back(tmp_path_factory):
    """Two lives of watched games that nobody has published."""
    folder = tmp_path_factory.mktemp("held-back")
    lesson = teach.Lesson(GAMES, (7, 7), BENCHMARK.watched_moves, 10_000, dqn.SETTINGS["darkroom"])
    teach.teach(lesson, folder / "darkroom-v1", BENCHMARK.watched_moves + 70)
    return folder


@pytest.fixture
def few_published(tmp_path):
    """A data folder with two published lives."""
    source = benchmarks.roots()[0]
    for game in GAMES:
        variant = game.partition("/")[2]
        shutil.copytree(source / "darkroom-v1" / variant, tmp_path / "data" / "darkroom-v1" / variant)
    return tmp_path / "data"


def request(out):
    return Request("markov", "darkroom-v1", "quick", out)


def test_the_difference_is_that_of_mean_losses_on_the_teachers_own_choices(held_back, tmp_path, monkeypatch):
    losses = {"published": 0.5, "hidden": 0.75}
    asked = []

    def loss(self, player, life):
        asked.append(life.folder)
        return losses["hidden" if str(life.folder).startswith(str(held_back)) else "published"]

    monkeypatch.setattr(Scorer, "loss_after_w", loss)
    found = measured.measure(request(tmp_path), held_back)
    assert found["difference_nats"] == pytest.approx(0.25)
    assert len(asked) == len(set(asked)) == 65 + 2
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


def test_a_suspicion_is_an_error_and_stands_in_the_table(held_back, tmp_path, monkeypatch, capsys):
    arguments = ["leaks", "markov", "--benchmark", "darkroom-v1", "--out", str(tmp_path), "--budget", "quick"]
    for hidden, code in ((0.515, 0), (0.53, 1)):

        def loss(self, player, life, hidden=hidden):
            return hidden if str(life.folder).startswith(str(held_back)) else 0.5

        monkeypatch.setattr(Scorer, "loss_after_w", loss)
        assert cli.main([*arguments, "--held-back", str(held_back)]) == code
    assert "leak suspected: 0.5300 nats on 2 held-back lives, 0.5000 on published" in capsys.readouterr().err
    row = tmp_path / "darkroom-v1" / "quick" / "markov"
    sha256 = resolve("markov", "darkroom-v1").sha256
    assert leaks.measured(row, sha256) == pytest.approx(0.03)
    assert leaks.measured(row, "0" * 64) is None  # of another submission
    (row / records.LEAKS).write_text("[]")
    with pytest.raises(InputError, match="expected an object with the number difference_nats"):
        leaks.measured(row, sha256)


def test_what_is_not_held_back_is_refused(few_published, held_back, tmp_path):
    with pytest.raises(InputError, match="begins as goal-00/seed-0, which is published"):
        measured.measure(request(tmp_path), few_published)
    shutil.rmtree(few_published / "darkroom-v1" / "goal-40")
    with pytest.raises(InputError, match="expected at least 2 held-back lives of darkroom-v1; found 1"):
        measured.measure(request(tmp_path), few_published)
    with pytest.raises(InputError, match="a control has watched nothing that could leak"):
        measured.measure(Request("random", "darkroom-v1", "quick", tmp_path), held_back)


def test_a_suspected_leak_is_shown(tmp_path):
    from understudy.leaderboard.stored import RowFolder

    folder = RowFolder(tmp_path, "darkroom-v1", "quick", "markov")
    row = {"name": "markov", "control": False, "track": "frozen", "priming_moves": 0}
    shown = rows._row(scores.ScoredRow(folder, row, (), leak_nats=0.03))
    assert "LEAK SUSPECTED, not citable" in shown.note
    assert "LEAK" not in rows._row(scores.ScoredRow(folder, row, (), leak_nats=0.01)).note
