"""The leak test: what is compared, what is refused, and what a suspicion costs."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from support import embedded_runs, rows

from understudy import cli
from understudy.leaderboard import cells, leak_notes
from understudy.submissions import leak_test
from understudy.suite import benchmarks
from understudy.suite.benchmarks import data_folders
from understudy.suite.errors import InputError
from understudy.suite.harness import records
from understudy.suite.harness.row_player import RowPlayer
from understudy.suite.histories import history_format
from understudy.suite.histories.history_format import History

BENCHMARK = benchmarks.load("darkroom-v1")
W = BENCHMARK.watched_moves
HIDDEN = ("goal-00/seed-0", "goal-40/seed-0", "goal-01/seed-0")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two data folders: the embedded runs, three of them up to W only; and these three as they go on."""
    published, held_back = tmp_path_factory.mktemp("published"), tmp_path_factory.mktemp("held-back")
    embedded_runs.unpack(published)
    embedded_runs.unpack(held_back, *HIDDEN)
    for name in HIDDEN:
        cut(published / BENCHMARK.name / name / "history.parquet", W)
    return published, held_back


def cut(path, moves):
    """Replace a run by its first moves; the checksum of the last segment no longer holds."""
    history = history_format.read(path)
    begun = [segment for segment in history.header.segments if segment.first_move < moves]
    begun[-1] = replace(begun[-1], length=moves - begun[-1].first_move)
    columns = (getattr(history, name)[:moves] for name in history_format.COLUMNS)
    path.unlink()
    history_format.write(path, History(replace(history.header, segments=tuple(begun)), *columns))


@pytest.fixture
def published(data, monkeypatch):
    monkeypatch.setenv(data_folders.ENVIRONMENT_VARIABLE, str(data[0]))
    return data[0]


@pytest.fixture
def held_back(data):
    return data[1]


@pytest.mark.usefixtures("published")
def test_the_difference_is_that_of_mean_losses_with_its_welch_interval(held_back, tmp_path, monkeypatch):
    losses = {}

    def loss(self, player, run):
        losses[run.folder] = float(np.random.default_rng(len(losses)).normal())
        return losses[run.folder]

    monkeypatch.setattr(RowPlayer, "loss_after_w", loss)
    found = leak_test.measure(rows.requested("bc", tmp_path), held_back)
    hidden = [value for folder, value in losses.items() if str(folder).startswith(str(held_back))]
    known = [value for folder, value in losses.items() if not str(folder).startswith(str(held_back))]
    assert (len(hidden), len(known)) == (3, 62)
    oracle = scipy.stats.ttest_ind(hidden, known, equal_var=False)
    assert found["difference_nats"] == pytest.approx(np.mean(hidden) - np.mean(known))
    low, high = oracle.confidence_interval(0.95)
    assert (found["low"], found["high"]) == (pytest.approx(low), pytest.approx(high))
    assert found["held_back"] == {
        run.name: benchmarks.read(run).content_sha256
        for run in benchmarks.teacher_runs(BENCHMARK, [held_back])
    }


@pytest.mark.usefixtures("published")
def test_a_teacher_that_was_not_watched_is_left_out_and_an_absent_one_is_named(
    held_back, tmp_path, monkeypatch
):
    monkeypatch.setattr(RowPlayer, "loss_after_w", lambda self, player, run: 1.0)
    stranger = "goal-00/seed-1"  # held back, too
    folder = shutil.copytree(held_back, tmp_path / "more")
    embedded_runs.unpack(folder, stranger)
    row = rows.requested("bc", tmp_path / "out")
    (player,) = row.entry.players
    assert stranger not in player.teachers
    player = replace(player, teachers=(*player.teachers, stranger))
    row = replace(row, entry=replace(row.entry, players=(player,)))
    assert leak_test.measure(row, folder)["held_back"].keys() == set(HIDDEN)
    row = replace(row, runs=tuple(run for run in row.runs if run.name != "goal-03/seed-0"))
    with pytest.raises(
        InputError,
        match=r"^the watched run goal-03/seed-0 is not on this machine; fetch it: "
        r"understudy histories pull --benchmark darkroom-v1$",
    ):
        leak_test.measure(row, folder)


def test_a_loss_is_the_mean_over_what_the_teacher_chose_itself(tmp_path):
    row = rows.requested("bc", tmp_path)
    player = RowPlayer(row, lambda progress: None)
    run = row.runs_by_name["goal-40/seed-0"]
    (predictions,) = player._predictions(row.jobs("start")[0], [run], in_child=False)
    history = benchmarks.read(run)
    w = BENCHMARK.watched_moves
    kept = ~history.explored[w : w + 65]
    expected = np.mean([nats for nats, chosen in zip(predictions["loss_nats"], kept, strict=True) if chosen])
    assert player.loss_after_w(0, run) == pytest.approx(expected)


@pytest.mark.usefixtures("published")
def test_a_suspicion_is_an_error_and_is_stored(held_back, tmp_path, monkeypatch, capsys):
    """A difference that is small, or that chance explains, is none."""
    arguments = ["leaks", "bc", "--benchmark", "darkroom-v1", "--out", str(tmp_path), "--budget", "quick"]
    for difference, spread, code in ((0.015, 0.001, 0), (0.03, 0.1, 0), (0.03, 0.001, 1)):

        def loss(self, player, run, difference=difference, spread=spread):
            if run.name in HIDDEN:
                return 0.5 + difference + spread * (HIDDEN.index(run.name) - 1)
            return 0.5

        monkeypatch.setattr(RowPlayer, "loss_after_w", loss)
        assert cli.main([*arguments, "--held-back", str(held_back)]) == code
    message = capsys.readouterr().err
    assert (
        "leak suspected: 0.5300 nats on 3 continuations held back, 0.5000 on 62 published: +0.0300" in message
    )
    row = tmp_path / "darkroom-v1" / "quick" / "bc"
    identity = rows.entry("bc").identity
    assert leak_notes.measured(row, identity).suspected
    assert leak_notes.measured(row, "0" * 64) is None  # of another submission
    (row / records.LEAKS).write_text("[]")
    with pytest.raises(InputError, match=r"leaks\.json: expected an object, found \[\]; test again"):
        leak_notes.measured(row, identity)


def test_what_is_not_held_back_is_refused(held_back, data, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"goal-00/seed-0 is published up to move 14,300, beyond W = 1,300"):
        leak_test.measure(rows.requested("bc", tmp_path), held_back)
    monkeypatch.setenv(data_folders.ENVIRONMENT_VARIABLE, str(data[0]))
    other = shutil.copytree(held_back, tmp_path / "other")
    path = other / BENCHMARK.name / HIDDEN[0] / "history.parquet"
    history = history_format.read(path)
    history = replace(history, explored=~history.explored)
    path.unlink()
    history_format.write(path, history)
    with pytest.raises(InputError, match="it does not begin as the published goal-00/seed-0"):
        leak_test.measure(rows.requested("bc", tmp_path), other)
    for name in HIDDEN[:2]:
        shutil.rmtree(other / BENCHMARK.name / name)
    with pytest.raises(InputError, match=r"watched 1 runs with a held-back continuation of .* 2 or more"):
        leak_test.measure(rows.requested("bc", tmp_path), other)
    with pytest.raises(InputError, match="a control has watched nothing that could leak"):
        leak_test.measure(rows.requested("random", tmp_path), held_back)


def notes(scored):
    return cells.frame([scored]).iloc[0]["notes"]


def test_a_suspected_leak_is_shown(tmp_path):
    suspected = rows.scored(tmp_path, leak=leak_notes.Leak(0.03, 0.01, 0.05))
    assert "leak suspected, not citable: not ranked" in notes(suspected)
    by_chance = rows.scored(tmp_path, leak=leak_notes.Leak(0.03, -0.01, 0.07))
    assert "leak" not in notes(by_chance)


def test_the_number_of_settings_tried_is_shown(tmp_path):
    assert "the best of 1,200 settings" in notes(rows.scored(tmp_path, row={"search_trials": 1200}))
    assert "settings" not in notes(rows.scored(tmp_path, row={"search_trials": None}))
