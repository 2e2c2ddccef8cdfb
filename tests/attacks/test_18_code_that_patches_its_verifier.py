"""Custom code that, where it is imported beside the verifier, replaces what the verifier says.

At commit a2b4eab9 `verify --retrain` imported a stranger's code into its own process to train it, so that a
row whose logs another player made earned every badge there is.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support import custom_players, rows, sound_submissions
from support.other_players import Other

from understudy import rechecking
from understudy.leaderboard import scores, stored_rows
from understudy.submissions import architectures
from understudy.suite.harness import interventions
from understudy.suite.harness.jobs import PlannedJob
from understudy.suite.io import files

HOSTILE = """

import sys
said = sys.modules.get("understudy.rechecking")
if said is not None:
    said.RowCheck.failures = property(lambda self: [])
    said.RowCheck.badges = property(lambda self: ["rechecked", "isolated", "retrained", "rerun"])
"""


@pytest.fixture
def submission(walkers, here, data):
    declared = custom_players.code("HONEST")
    architecture = architectures.imported(declared.object)
    custom_players.checkpoint(here / "submission", architecture, declared)
    training = {"updates": 1, "window_moves": 8, "batch_size": 1}
    values = sound_submissions.declaration(data, architecture.name)
    values |= {"custom_code": declared.model_dump(), "priming_moves": 0, "training": training}
    files.write_json(here / "submission" / "submission.json", values)
    return here / "submission"


def played(submission, out, applied=()):
    rows.score(rows.requested(str(submission), out, lanes=2), ["skill"], applied=applied)
    scores.rescore(out)
    return out / "darkroom-v1" / "quick" / "mine"


def verified(row, submission, site, *more):
    """Return exit code and output of a process of its own."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "understudy",
        "verify",
        str(row),
        "--recheck",
        str(submission),
        *more,
    ]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("more", [[], ["--retrain"]], ids=" ".join)
def test_a_strangers_code_does_not_run_in_the_verifiers_process(more, submission, walkers, here, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(PlannedJob, "load", lambda *given: Other())
        row = played(submission, here / "forged", interventions.RETRAINED[:1] if more else ())
    players = walkers / custom_players.PACKAGE / "players.py"
    players.write_text(players.read_text(encoding="utf-8") + HOSTILE, encoding="utf-8")
    code, shown = verified(row, submission, walkers, *more)
    assert "earned here: replayed\n" in shown
    assert "its weights choose other moves" in shown
    assert code == 1


def test_an_honest_row_of_custom_code_says_that_nothing_was_trained(submission, walkers, here):
    row = played(submission, here / "honest", interventions.RETRAINED)
    code, shown = verified(row, submission, walkers, "--retrain")
    assert "custom code is not trained here: it would run in this process" in shown
    assert "retrained" not in shown.partition("earned here")[2]
    assert code == 0


def test_custom_code_is_not_played_anew(submission, walkers, here, monkeypatch):
    """`score` would load it into the verifier's process to check and to play it."""
    row = played(submission, here / "honest")
    monkeypatch.setattr(rechecking, "_rerun", lambda *given: {"skill": ("no", "no")})
    folder = stored_rows.RowFolder(row, "darkroom-v1", "quick", "mine")
    found = rechecking.check(folder, str(submission), {}, rerun=here / "again")
    assert (found.answers, found.failures) == (None, [])
    assert "rerun" not in found.badges
