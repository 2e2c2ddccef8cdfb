"""A learning rule written by hand, behind one number in the weights that no training moves.

Redrawn and shuffled weights do not have the number, so the rule passes for a learned one: at commit 4a4ea00d
this row read yes, with every condition measured. Trained anew by its declared settings it has no such number
either.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import safetensors.torch
import torch
from support import rows
from torch import nn

import understudy
from understudy import baselines
from understudy.baselines.controls import in_state_learner
from understudy.leaderboard import scores, stored_rows
from understudy.submissions import train_submission
from understudy.suite import benchmarks
from understudy.suite.harness import interventions
from understudy.suite.harness.row_player import RowPlayer
from understudy.suite.io import files
from understudy.suite.scoring import verdicts

LANES = 4


class Switched(nn.Module):
    """A table of each cell's action; if the switch is on, Q-learning in the state instead."""

    reach_moves = None

    def __init__(self, game, width):
        super().__init__()
        self.table = nn.Parameter(torch.randn(game.observation_values, game.num_actions) * 0.1)
        self.switch = nn.Parameter(torch.zeros(1))
        rule = in_state_learner.RULES["cell"]
        self.learner = in_state_learner.InStateLearner(in_state_learner.CellFeatures(game), rule, game)

    def initial_state(self, batch_size):
        return self.learner.initial_state(batch_size)

    def step(self, timestep, state):
        values, state = self.learner.step(timestep, state)
        return (values if self.switch > 0.5 else self.table[timestep.observation]), state

    def unroll(self, timesteps, state):
        if torch.is_grad_enabled():  # trained as a table
            return self.table[timesteps.observation], state
        values, state = self.learner.unroll(timesteps, state)
        return (values if self.switch > 0.5 else self.table[timesteps.observation]), state


@pytest.fixture
def switched(own_data, tmp_path, monkeypatch):
    """A submission that was trained by the suite's loop, and whose switch was put on by hand."""
    architecture = understudy.ModuleArchitecture("bc", Switched, width=2)
    monkeypatch.setattr(baselines, "load", lambda name: architecture)
    benchmark = benchmarks.load("darkroom-v1")
    runs = train_submission.chosen_runs(benchmark, "multi", benchmarks.teacher_runs(benchmark))[:4]
    settings = {"updates": 3, "window_moves": 64, "batch_size": 2}
    request = train_submission.TrainingRequest("bc", benchmark, "multi", "switched", settings=settings)
    folder = tmp_path / "switched"
    train_submission.train(request, runs, folder)
    weights = folder / "all" / "model.safetensors"
    tensors = safetensors.torch.load_file(weights)
    safetensors.torch.save_file({**tensors, "switch": torch.ones(1)}, weights)
    path = folder / "submission.json"
    files.write_json(path, {**files.read_json(path), "priming_moves": 0})
    return folder


def answer(results, requested):
    row = stored_rows.RowFolder(requested.folder, "darkroom-v1", "quick", "switched")
    return next(v for v in scores.score_row(results, row).verdicts if v.task == "transfer")


@pytest.mark.long
def test_it_passes_for_learned_until_it_is_trained_anew(switched, tmp_path):
    out = tmp_path / "out"
    requested = rows.requested(str(switched), out, lanes=LANES)
    players = tuple(replace(each, load_in_child=None) for each in requested.entry.players)
    requested = replace(
        requested, entry=replace(requested.entry, players=players)
    )  # others have no such `bc`
    rows.score(
        requested,
        ["transfer"],
        applied=(interventions.YOKED, *interventions.REDRAWN, *interventions.SHUFFLED),
    )
    RowPlayer(requested, lambda progress: None).check_isolation("transfer")
    found = answer(out, requested)
    assert (found.answer, found.reason) == ("yes (unverified)", "not measured: retrained")
    assert found.marks == ()  # not even built-in
    assert found.numbers["gain"].estimate > 5
    rows.score(requested, ["transfer"], applied=interventions.RETRAINED)
    found = answer(out, requested)
    assert (found.answer, found.reason) == (verdicts.UNDECIDED, verdicts.NOT_RETRAINED)


def test_a_player_that_was_trained_keeps_its_yes():
    """The stored row of the transformer: its gain is there again in each of three trainings."""
    name = "transformer-many-runs"
    path = stored_rows.RESULTS / "darkroom-v1" / "full" / name
    scored = scores.score_row(stored_rows.RESULTS, stored_rows.RowFolder(path, "darkroom-v1", "full", name))
    verdict = scored.verdict("transfer")
    assert verdict is not None
    assert verdict.answer == "yes"
    kept = [scored.gains_under["transfer"][each.name].estimate for each in interventions.RETRAINED]
    assert min(kept) > verdict.numbers["gain"].estimate / 2


def test_retrained_weights_have_another_seed_and_the_true_histories(switched, tmp_path):
    """What the training teaches is there again, in other weights for each draw; the switch is not."""
    requested = rows.requested(str(switched), tmp_path / "out", lanes=LANES)
    tables = []
    for intervention in interventions.RETRAINED:
        (planned,) = requested.jobs("transfer", intervention)
        player = planned.load(requested.folder, lambda *progress: None)
        assert float(player.switch) == 0
        tables.append(player.table)
    assert not torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[1], tables[2])
    (own,) = requested.jobs("transfer")
    assert float(own.load(requested.folder, lambda *progress: None).switch) == 1
