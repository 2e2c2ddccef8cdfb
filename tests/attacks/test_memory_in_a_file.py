"""Attack: a player keeps what it learned in a file, which it finds again after it was loaded afresh.

Resource limits allow small files. On commit 32d4ebc7 such a row earned `rechecked`, and neither the output of
`verify --recheck` nor its record said by what the player was confined.
"""

from __future__ import annotations

import json
import sys

import pytest
from support import custom_players, learned_runs, rows, sound_submissions

from understudy import cli, rechecking
from understudy.leaderboard import scores
from understudy.leaderboard.stored_rows import RowFolder
from understudy.submissions import architectures, scoring
from understudy.suite.harness import confinement
from understudy.suite.io import files

RELOADED_AT = (50, 200, 300)


@pytest.fixture
def installed(here, monkeypatch):
    """The package of `support.walkers`, whose memory is this folder."""
    custom_players.install(here / "site", MEMORY=str(here))
    monkeypatch.syspath_prepend(str(here / "site"))
    yield here
    for name in [name for name in sys.modules if name.partition(".")[0] == custom_players.PACKAGE]:
        del sys.modules[name]


@pytest.fixture
def limited(installed, monkeypatch):
    """The same without bubblewrap."""
    monkeypatch.setattr(confinement, "_works", lambda: False)
    return installed


def scored(data, out, object_name):
    """Play a row of a stranger's submission, and return the submission and the row."""
    declared = custom_players.code(object_name)
    architecture = architectures.imported(declared.object)
    custom_players.checkpoint(out / object_name, architecture, declared)
    values = sound_submissions.declaration(data, architecture.name)
    values |= {"custom_code": declared.model_dump(), "priming_moves": 0}
    files.write_json(out / object_name / "submission.json", values)
    row = rows.requested(str(out / object_name), out / "results", lanes=2)
    rows.score(row, ["skill"])
    scores.rescore(out / "results")
    return str(out / object_name), RowFolder(row.folder, "darkroom-v1", "quick", "mine")


def test_limits_do_not_see_a_memory_in_a_file(limited):
    """What docs/player-process.md says of them; in bubblewrap the file is not there."""
    source = custom_players.stranger(limited / "submission", "FILE")
    played = learned_runs.play(source, limited / "runs")
    assert played.is_frozen
    assert played.late_points > 200
    assert learned_runs.rechecked(source, played, RELOADED_AT).holds


def test_bubblewrap_sees_it(installed):
    if not confinement._works():
        pytest.skip("bubblewrap is not installed, or may make no namespaces here")
    source = custom_players.stranger(installed / "submission", "FILE")
    played = learned_runs.play(source, installed / "runs")
    assert not learned_runs.rechecked(source, played, RELOADED_AT).holds


def test_a_memory_in_a_file_earns_no_badge(limited, data, monkeypatch, capsys):
    monkeypatch.setattr(scoring, "_accept", lambda row: None)  # it could know that it is only checked
    submission, row = scored(data, limited, "FILE")
    found = rechecking.check(row, submission, {"skill": "yes"})  # of a yes all moves are rechecked
    assert found.failures == []
    assert found.badges == []
    assert {each["player_process"] for each in found.as_json()["checks"]} == {"resource limits"}

    record = str(limited / "found.json")
    assert cli.main(["verify", str(row.path), "--recheck", submission, "--record", record]) in (0, 1)
    shown = capsys.readouterr().out
    assert "; player process: resource limits" in shown
    assert "earned here: replayed\n" in shown
    assert "install bubblewrap, and recheck again" in shown
    assert json.loads((limited / "found.json").read_text())["custom_code"] is True


def test_honest_custom_code_earns_its_badge_in_bubblewrap(installed, data, monkeypatch, capsys):
    submission, row = scored(data, installed, "HONEST")
    if not confinement._works():  # then as if it were there

        def named(arguments, folders, on_gpu=False):
            return [sys.executable, *arguments], confinement.BUBBLEWRAP

        monkeypatch.setattr(confinement, "command", named)
    assert cli.main(["verify", str(row.path), "--recheck", submission]) == 0
    shown = capsys.readouterr().out
    assert "; player process: bubblewrap" in shown
    assert "earned here: replayed, rechecked\n" in shown
    assert "install bubblewrap" not in shown


def test_code_of_this_package_earns_its_badge_under_limits(limited, make_submission, here, capsys):
    submission = make_submission()
    row = rows.requested(str(submission), here / "results", lanes=2)
    rows.score(row, ["skill"])
    scores.rescore(here / "results")
    assert cli.main(["verify", str(row.folder), "--recheck", str(submission)]) == 0
    shown = capsys.readouterr().out
    assert "; player process: resource limits" in shown
    assert "earned here: replayed, rechecked\n" in shown
