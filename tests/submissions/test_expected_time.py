"""The expected time of play: arithmetic by hand, a player of known speed, the same bytes after a trial."""

from __future__ import annotations

import dataclasses
import time

import pytest
from support import rows
from torch import nn

from understudy import cli
from understudy.submissions import expected_time, scoring
from understudy.suite.harness import rollout, row_files
from understudy.suite.io import file_names, files

STEP_SECONDS = 0.02


class Sleepy(nn.Module):
    """Takes a known time for a move; the emulator of darkroom takes far less."""

    def initial_state(self, batch_size):
        import torch

        return {"age": torch.zeros(batch_size)}

    def step(self, timestep, state):
        import torch

        time.sleep(STEP_SECONDS)
        return torch.zeros(timestep.legal_actions.shape), state


def of_plan(row, tasks, engine="serial"):
    planned = scoring.plan([row], tasks, engine)
    return expected_time.seconds(planned.items, engine, planned.slow_to_make)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "not known, a player takes long to make"),
        (0.0, "none, all runs are stored already"),
        (0.3, "about 5 s on this machine"),
        (12.6, "about 15 s on this machine"),
        (54.9, "about 55 s on this machine"),
        (55.0, "about 1 min on this machine"),
        (170.0, "about 3 min on this machine"),
        (5_900.0, "about 98 min on this machine"),
        (9_000.0, "about 2 h on this machine"),
        (400_000.0, "about 5 days on this machine"),
    ],
)
def test_a_time_is_rounded_for_a_person(seconds, text):
    assert expected_time.text(seconds) == text


def test_jobs_side_by_side_take_the_longest_or_their_share_of_the_cores(monkeypatch):
    monkeypatch.setattr(expected_time, "available_cores", lambda: 2)
    assert expected_time.total_seconds([5.0, 3.0, 2.0], "serial") == 10.0
    assert expected_time.total_seconds([5.0, 3.0, 4.0], "process") == 6.0
    assert expected_time.total_seconds([9.0, 1.0], "process") == 9.0
    assert expected_time.total_seconds([7.0], "process") == 7.0
    assert expected_time.total_seconds([], "process") == 0.0


def test_every_move_left_counts_once(tmp_path, monkeypatch):
    """4,000 start moves over 16 lanes are 250 in lock-step, of random and of the frozen teacher."""
    monkeypatch.setattr(expected_time, "seconds_a_move", lambda planned, row: 0.1)
    row = rows.requested("random", tmp_path)
    assert of_plan(row, ["skill"]) == pytest.approx(0.1 * (250 + 250))
    assert of_plan(row, ["improvement"]) == pytest.approx(0.1 * (250 + 10_000 + 250))
    start = row.folder / row.jobs("start")[0].path
    files.write_json(start / rollout.PROGRESS, {"moves": 100})
    assert of_plan(row, ["skill"]) == pytest.approx(0.1 * (150 + 250))


def test_finished_runs_take_no_time_unless_they_are_played_again(results, monkeypatch):
    monkeypatch.setattr(expected_time, "seconds_a_move", lambda planned, row: 0.1)
    assert of_plan(rows.requested("random", results), ["skill"]) == 0.0
    assert of_plan(rows.requested("random", results, restart=True), ["skill"]) == pytest.approx(25.0)


def test_a_player_that_takes_long_to_make_is_not_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "SLOW_TO_MAKE_SECONDS", -1.0)
    assert of_plan(rows.requested("random", tmp_path), ["skill"]) is None


def test_a_trial_measures_the_players_speed_and_leaves_nothing(tmp_path):
    row = rows.requested("random", tmp_path)
    planned = row.jobs("start")[0]
    sleepy = dataclasses.replace(planned.player, load=lambda request: Sleepy())
    began = time.monotonic()
    measured = expected_time.seconds_a_move(dataclasses.replace(planned, player=sleepy), row)
    assert time.monotonic() - began < 30
    assert STEP_SECONDS <= measured < 10 * STEP_SECONDS
    assert not list(tmp_path.iterdir())


def logs(folder):
    """Return the bytes of every log below a results folder, packed or not."""
    return {
        (row.name, str(path.inner)): path.read_bytes()
        for row in (folder / "darkroom-v1" / "quick").iterdir()
        for path in row_files.find(row, f"*/*/lane-*/{file_names.HISTORY}")
    }


def test_the_command_says_how_long_first_and_a_trial_changes_no_byte(results, tmp_path, capsys):
    command = ["score", "random", "--benchmark", "darkroom-v1", "--task", "skill", "--out", str(tmp_path)]
    assert cli.main(command) == 0
    assert capsys.readouterr().err.startswith("expected time: about 5 s on this machine\n")
    played = logs(tmp_path)
    assert len(played) == 2 * 16  # of random and of the frozen teacher
    assert played.items() <= logs(results).items()
    assert cli.main(command) == 0
    assert capsys.readouterr().err == "expected time: none, all runs are stored already\n"


def test_the_command_says_first_what_its_budget_cannot_answer(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(scoring, "play", lambda *given: pytest.skip("played"))  # everything is said before
    command = ["score", "random", "--benchmark", "minatar-v1", "--out", str(tmp_path)]
    with pytest.raises(pytest.skip.Exception):
        cli.main(command)
    lines = capsys.readouterr().err.splitlines()
    assert [line[:2] for line in lines] == ["Q1", "Q2", "Q3", "ex"]
    assert all(line.endswith("the smallest budget that can: tenth") for line in lines[:3])
    assert not list(tmp_path.iterdir())
