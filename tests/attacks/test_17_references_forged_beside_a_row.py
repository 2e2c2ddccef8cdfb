"""The references' starts, written by hand beside a row: teachers as weak as the player that is to match them.

At commit a2b4eab9 `verify ROW --recheck` replayed the row alone and scored it with whatever starts lay
beside it: Q1 went from no to yes, and the row earned its badges.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from support import rows
from support.forged_rows import put

from understudy import cli
from understudy.leaderboard import scores, stored_rows, verification
from understudy.leaderboard.stored_rows import RowFolder
from understudy.suite.histories import history_format
from understudy.suite.io import file_names

PLACE = "darkroom-v1/full"
MINE = "transformer-50k"


@pytest.fixture
def results(tmp_path):
    """Return a results folder with a stored row and the references' starts."""
    for name in (MINE, "frozen-teacher", "random"):
        rows.copy(stored_rows.RESULTS / PLACE / name, tmp_path / PLACE / name)
    return tmp_path


def answer(results):
    scored = scores.score_row(results, RowFolder(results / PLACE / MINE, "darkroom-v1", "full", MINE))
    verdict = scored.verdict("skill")
    assert verdict is not None
    return verdict.answer


def forge(results):
    """Give the frozen teacher's logs the rewards of the row's starts with the same teacher."""
    rewards = {}
    for run in (results / PLACE / MINE / "start" / "all").glob("lane-*"):
        history = history_format.read(run / file_names.HISTORY)
        rewards[history.header.run["lane"]["unit"]] = history.reward
    for run in (results / PLACE / "frozen-teacher" / "start" / "control").glob("lane-*"):
        history = history_format.read(run / file_names.HISTORY)
        put(run, replace(history, reward=rewards[history.header.run["lane"]["unit"]].copy()))
    scores.rescore(results)


def test_forged_starts_beside_a_row_are_found_when_the_row_is_verified(results, capsys):
    assert answer(results) == "no"
    (honest,) = verification.verify(results / PLACE / MINE, processes=1)
    assert honest.failures == ()
    assert not any("starts of" in line for line in honest.reported)
    forge(results)
    assert answer(results) == "yes"  # what the attack is for
    (found,) = verification.verify(results / PLACE / MINE, processes=1)
    assert any("frozen-teacher/start/control/lane-" in line and "reward" in line for line in found.failures)
    assert (found.runs, found.moves) == (honest.runs, honest.moves)  # of the row alone
    assert "starts of frozen-teacher other than this package's" in found.reported
    assert cli.main(["verify", str(results / PLACE / MINE), "--recheck", MINE]) == 1
    assert "earned here" not in capsys.readouterr().out
