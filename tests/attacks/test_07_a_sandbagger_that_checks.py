"""A sandbagger that checks each reward against what it knows, and sulks when it is lied to.

Its gain vanishes under yoked rewards, so at commit 4a4ea00d nothing but the question where its weights come
from stood between it and a yes to Q2. No intervention on rewards can tell it from a learner. Permuted
actions leave it no gain, and a learner from reward all of its own; they are reported, not required
(docs/protocol.md).
"""

from __future__ import annotations

import numpy as np
import pytest
from support import darkroom_jobs

from understudy.baselines import controls
from understudy.baselines.controls import in_state_learner
from understudy.suite import benchmarks, games
from understudy.suite.harness import interventions

GOALS, MOVES = darkroom_jobs.GOALS, 3_000
EPISODES_A_HALF = MOVES // 2 / 20


def points(player, folder, intervention):
    """Return the points an episode of the first and the second half of the runs."""
    job = darkroom_jobs.job(
        kind="transfer",
        moves=MOVES,
        exploration=0.1,
        intervention=interventions.INTERVENTIONS.get(intervention),
    )
    runs = darkroom_jobs.play(player, folder / (intervention or "own"), job)
    reward = np.stack([run.reward for run in runs])  # [B, T]
    halves = reward[:, : MOVES // 2], reward[:, MOVES // 2 :]
    return [float(half.sum(axis=1).mean()) / EPISODES_A_HALF for half in halves]


@pytest.fixture
def sandbagger(assigned, own_data):
    runs = {run.name: run for run in benchmarks.teacher_runs(benchmarks.load("darkroom-v1"))}
    folders = [runs[f"goal-{goal:02d}/seed-0"].folder for goal in GOALS]
    game = games.load("darkroom/goal-00")
    control, _ = controls.load("checking-sandbagger")
    return control.build_control(assigned(game, folders, watched_moves=1_300, moves=MOVES))


def test_rewards_do_not_tell_it_from_a_learner_and_permuted_actions_do(sandbagger, tmp_path):
    before, after = points(sandbagger, tmp_path, None)
    assert after > before + 3
    for intervention in ("yoked", "flipped", "permuted"):
        before, after = points(sandbagger, tmp_path, intervention)
        assert after < before + 1


def test_a_learner_from_reward_gains_under_permuted_actions_too(tmp_path):
    game = games.load("darkroom/goal-00")
    rule = in_state_learner.RULES["cell"]
    learner = in_state_learner.InStateLearner(in_state_learner.CellFeatures(game), rule, game)
    for intervention in (None, "permuted"):
        before, after = points(learner, tmp_path, intervention)
        assert after > before + 3
