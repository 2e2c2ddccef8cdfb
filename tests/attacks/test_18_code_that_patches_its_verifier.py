"""Custom code that, where it is imported beside the verifier, replaces what the verifier says.

At commit a2b4eab9 `verify --retrain` imported a stranger's code into its own process to train it, so that a
row whose logs another player made earned every badge there is.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from support import custom_players, rows, sound_submissions
from torch import nn

from understudy.leaderboard import scores
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


class Other(nn.Module):
    """The player of the logs, which are not the submission's."""

    reach_moves = 1

    def initial_state(self, batch_size):
        return {"age": torch.zeros(batch_size, dtype=torch.int64)}

    def step(self, timestep, state):
        logits = torch.zeros(len(timestep.first), 5)
        logits[:, 4] = 1.0
        return logits, {"age": state["age"] + 1}

    def unroll(self, timesteps, state):
        B, T = timesteps.first.shape
        logits = torch.zeros(B, T, 5)
        logits[..., 4] = 1.0
        return logits, {"age": state["age"] + T}


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


def played(submission, out):
    rows.score(rows.requested(str(submission), out, lanes=2), ["skill"], applied=interventions.RETRAINED)
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


@pytest.mark.parametrize("more", [[], ["--retrain"], ["--rerun"]], ids=" ".join)
def test_a_strangers_code_does_not_run_in_the_verifiers_process(more, submission, walkers, here, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(PlannedJob, "load", lambda *given: Other())
        row = played(submission, here / "forged")
    players = walkers / custom_players.PACKAGE / "players.py"
    players.write_text(players.read_text(encoding="utf-8") + HOSTILE, encoding="utf-8")
    more = [*more, str(here / "again")] if more == ["--rerun"] else more
    code, shown = verified(row, submission, walkers, *more)
    assert "earned here: replayed\n" in shown
    assert "its weights choose other moves" in shown
    assert code == 1


def test_an_honest_row_of_custom_code_says_that_nothing_was_trained(submission, walkers, here):
    code, shown = verified(played(submission, here / "honest"), submission, walkers, "--retrain")
    assert "custom code is not trained here: it would run in this process" in shown
    assert "retrained" not in shown.partition("earned here")[2]
    assert code == 0
