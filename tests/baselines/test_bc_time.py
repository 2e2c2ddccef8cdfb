"""Behaviour cloning with time: its number of moves is right, in training windows and at W."""

import json

import numpy as np
import pytest
import torch
from support import rows

from understudy import baselines
from understudy.baselines import bc_time
from understudy.baselines.training import loop
from understudy.baselines.training.settings import settings_from
from understudy.suite import games
from understudy.suite.histories.windows import Windows
from understudy.suite.protocols import Timestep
from understudy.suite.testing import imitator_checks

DARKROOM = games.load("darkroom/goal-40")


def bc_time_model(game, **overrides):
    architecture = baselines.load("bc-time")
    return architecture.build(architecture.config(game, **overrides), game)


def test_age_buckets_by_hand():
    assert bc_time_model(DARKROOM).first_ages.tolist() == [
        2, 3, 4, 6, 9, 15, 23, 36, 56, 88, 138, 216, 339, 531, 830,
    ]  # fmt: skip  # 1300^(k / 16): 1.57, 2.45, 3.84, 6.00, 9.40, 14.7, 23.0, 36.1, ...
    model = bc_time_model(DARKROOM, ages=4, watched_moves=625)  # buckets from 0, 5, 25 and 125 moves
    assert model.first_ages.tolist() == [5, 25, 125]
    with torch.no_grad():
        model.age_vectors.weight.copy_(torch.arange(4.0)[:, None].expand(4, 64))
        found = model._age_vector(torch.tensor([0, 4, 5, 24, 25, 124, 125, 624, 625, 10_000_000]))[:, 0]
    assert found.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 3, 3]


def test_after_priming_the_age_is_w():
    model = bc_time_model(DARKROOM)
    timesteps = imitator_checks.random_timesteps(DARKROOM, 2, 1300, seed=0)
    state = model.initial_state(2)
    for start in range(0, 1300, 256):
        _, state = model.unroll(Timestep(*(f[:, start : start + 256] for f in timesteps)), state)
    assert state["age"].tolist() == [1300, 1300]


class Ages:
    """Windows of a run of 100 moves whose action is 1 before move 50 and 3 after it, whatever is seen."""

    def sample(self, batch_size, window_moves, rng):
        starts = rng.integers(0, 101 - window_moves, batch_size)
        moves = starts[:, None] + np.arange(window_moves)
        actions = torch.from_numpy(np.where(moves < 50, 1, 3))
        timesteps = imitator_checks.random_timesteps(
            DARKROOM, batch_size, window_moves, seed=int(starts.sum())
        )
        explored = torch.zeros_like(actions, dtype=torch.bool)
        runs = torch.zeros(batch_size, dtype=torch.int64)
        return Windows(timesteps, actions, explored, runs, torch.from_numpy(starts))


def losses(architecture_name, source, **overrides):
    architecture = baselines.load(architecture_name)
    seen = []
    loop.train(
        architecture,
        architecture.config(DARKROOM, width=16, **overrides),
        DARKROOM,
        source,
        settings_from(
            {"updates": 150, "batch_size": 8, "window_moves": 20, "learning_rate": 0.02, "warmup_updates": 5}
        ),
        progress=lambda at: seen.append(at.loss),
    )
    return np.array(seen)


def test_the_age_is_right_in_windows_from_the_middle_of_a_run():
    # Up to W = 100 the second of 2 buckets begins at move 10, the twelfth of 13 at 100^(11/13), move 49.
    assert losses("bc-time", Ages(), ages=13, watched_moves=100)[-20:].mean() < 0.1
    assert losses("bc-time", Ages(), ages=2, watched_moves=100)[-20:].mean() > 0.3
    assert losses("bc", Ages())[-20:].mean() > 0.5  # two equally likely actions are worth 0.69 nats


def test_windows_start_with_the_age_of_their_first_move():
    model = bc_time_model(DARKROOM)
    windows = Ages().sample(3, 20, np.random.default_rng(0))
    windows = windows._replace(starts=torch.tensor([0, 7, 80]))
    inputs = loop.unroll_inputs(model, windows)
    assert inputs.state["age"].tolist() == [0, 7, 80]
    assert inputs.timesteps.first_of_run[:, 0].tolist() == [True, False, False]
    assert windows.timesteps.first_of_run[:, 0].all()
    with torch.no_grad():
        model.age_vectors.weight.normal_(generator=torch.Generator().manual_seed(0))
        _, state = model.unroll(*inputs)
    assert state["age"].tolist() == [20, 27, 100]
    bc = baselines.load("bc")
    memoryless = loop.unroll_inputs(bc.build(bc.config(DARKROOM), DARKROOM), windows)
    assert memoryless.timesteps is windows.timesteps
    assert memoryless.state["age"].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("benchmark_name", "watched_moves"), [("darkroom-v1", 1300), ("minatar-v1", 250_000)]
)
def test_the_entries_are_primed_with_all_watched_moves(benchmark_name, watched_moves):
    """So that their age is W when a continuation begins."""
    entry = rows.entry("bc-time", benchmark_name)
    assert entry.priming_moves == watched_moves
    config = json.loads((entry.folder / entry.players[0].checkpoint / "config.json").read_text())
    assert config["parameters"]["watched_moves"] == watched_moves
    family = {"darkroom-v1": "cell", "minatar-v1": "planes"}[benchmark_name]
    assert bc_time.DEFAULTS[family].watched_moves == watched_moves
