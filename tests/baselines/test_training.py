"""Training by next-action prediction: it learns, with reproducible bytes; losses worked out by hand."""

from __future__ import annotations

import itertools
import json
import math
import signal

import numpy as np
import pytest
import safetensors
import torch
from torch import nn

from understudy import baselines
from understudy.baselines.training import loop
from understudy.baselines.training.module_architecture import ModuleArchitecture
from understudy.baselines.training.settings import settings_from
from understudy.suite.errors import InputError
from understudy.suite.histories.windows import Windows
from understudy.suite.protocols import Timestep


class Echo:
    """Windows whose action is the cell `delay` moves before, modulo 5; a tenth are explored at random."""

    def __init__(self, game, delay):
        self.game, self.delay = game, delay

    def sample(self, batch_size, window_moves, rng):
        cells = rng.integers(0, 81, (batch_size, window_moves))
        chosen = np.roll(cells, self.delay, axis=1) % 5
        explored = (rng.random(cells.shape) < 0.1) | (np.arange(window_moves) < self.delay)
        actions = np.where(explored, rng.integers(0, 5, cells.shape), chosen)
        previous = np.roll(actions, 1, axis=1)
        previous[:, 0] = 0
        timesteps = Timestep(
            observation=torch.from_numpy(cells),
            legal_actions=torch.ones(*cells.shape, 5, dtype=torch.bool),
            previous_action=torch.from_numpy(previous),
            previous_reward=torch.zeros(cells.shape),
            first=torch.zeros(cells.shape, dtype=torch.bool),
            first_of_run=torch.zeros(cells.shape, dtype=torch.bool),
        )
        numbers = torch.zeros(batch_size, dtype=torch.int64)
        return Windows(timesteps, torch.from_numpy(actions), torch.from_numpy(explored), numbers, numbers)


def trained(name, game, source, updates, resume_file=None, **overrides):
    architecture = baselines.load(name)
    losses = []
    settings = {
        "updates": updates,
        "batch_size": 8,
        "window_moves": 24,
        "learning_rate": 1e-2,
        "warmup_updates": 5,
    }
    model = loop.train(
        architecture,
        architecture.config(game, **getattr(architecture, "small", {})),
        game,
        source,
        settings_from(settings | overrides),
        resume_file=resume_file,
        save_every_updates=7,
        progress=lambda progress: losses.append(progress.loss),
    )
    return model, losses


def test_bc_learns_from_the_present_observation_alone(darkroom):
    _, present = trained("bc", darkroom, Echo(darkroom, 0), updates=150)
    _, past = trained("bc", darkroom, Echo(darkroom, 2), updates=150)
    assert np.mean(present[-10:]) < 0.1
    assert np.mean(past[-10:]) > math.log(5) - 0.15  # the entropy of five equally likely actions


def test_transformer_learns_from_the_past(darkroom):
    _, past = trained("transformer", darkroom, Echo(darkroom, 2), updates=200)
    assert np.mean(past[-10:]) < 0.4


def test_training_is_a_function_of_its_arguments(darkroom):
    one, _ = trained("transformer", darkroom, Echo(darkroom, 1), updates=6)
    same, _ = trained("transformer", darkroom, Echo(darkroom, 1), updates=6)
    other, _ = trained("transformer", darkroom, Echo(darkroom, 1), updates=6, seed=1)
    weights, same_weights = one.state_dict(), same.state_dict()
    assert all(torch.equal(weights[name], same_weights[name]) for name in weights)
    assert not torch.equal(weights["decide.weight"], other.state_dict()["decide.weight"])
    assert not any(parameter.requires_grad for parameter in one.parameters())


class TrainingInterrupted(Exception):
    pass


class Breaks(Echo):
    """Sampling fails at the given call."""

    def __init__(self, game, delay, calls):
        super().__init__(game, delay)
        self.calls = calls

    def sample(self, batch_size, window_moves, rng):
        self.calls -= 1
        if self.calls < 0:
            raise TrainingInterrupted
        return super().sample(batch_size, window_moves, rng)


def test_interrupted_training_ends_in_the_same_bytes(darkroom, tmp_path):
    whole, _ = trained("transformer", darkroom, Echo(darkroom, 1), updates=20, resume_file=tmp_path / "whole")
    with pytest.raises(TrainingInterrupted):
        trained(
            "transformer",
            darkroom,
            Breaks(darkroom, 1, calls=11),
            updates=20,
            resume_file=tmp_path / "broken",
        )
    resumed, losses = trained(
        "transformer", darkroom, Echo(darkroom, 1), updates=20, resume_file=tmp_path / "broken"
    )
    assert len(losses) == 13  # from update 7 on
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "broken").read_bytes()
    expected, found = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    with pytest.raises(InputError, match="made with other settings"):
        trained("transformer", darkroom, Echo(darkroom, 1), updates=21, resume_file=tmp_path / "broken")
    (tmp_path / "broken").write_bytes((tmp_path / "whole").read_bytes()[:-1])
    with pytest.raises(InputError, match="not a whole training file"):
        trained("transformer", darkroom, Echo(darkroom, 1), updates=20, resume_file=tmp_path / "broken")


def raise_amid_update(monkeypatch, update, number):
    """Let the process get a signal amid an update, between the losses of the given call and its gradients."""
    calls = itertools.count(1)
    usual = loop.next_action_loss

    def loss(*arguments):
        if next(calls) == update:
            signal.raise_signal(number)
        return usual(*arguments)

    monkeypatch.setattr(loop, "next_action_loss", loss)


@pytest.fixture
def hears_sigterm():
    """As the command line: SIGTERM is handled like Ctrl-C."""
    usual = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, usual)


def updates_saved(path):
    with safetensors.safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["understudy"])["step"]


@pytest.mark.usefixtures("hears_ctrl_c", "hears_sigterm")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("update", [1, 11, 20])
def test_a_signal_saves_the_last_whole_update(darkroom, tmp_path, monkeypatch, number, update):
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    trained("bc", darkroom, Echo(darkroom, 1), updates=20, resume_file=whole)
    with monkeypatch.context() as patch:
        raise_amid_update(patch, update, number)
        with pytest.raises(KeyboardInterrupt):
            trained("bc", darkroom, Echo(darkroom, 1), updates=20, resume_file=stopped)
    assert updates_saved(stopped) == update
    _, losses = trained("bc", darkroom, Echo(darkroom, 1), updates=20, resume_file=stopped)
    assert len(losses) == 20 - update, "updates were made twice"
    assert stopped.read_bytes() == whole.read_bytes()


class Dropped(nn.Module):
    """Drops a part of its table while it is trained."""

    reach_moves = 1

    def __init__(self, game):
        super().__init__()
        self.table = nn.Parameter(torch.randn(game.num_actions, game.num_actions))
        self.dropout = nn.Dropout(0.5)

    def initial_state(self, batch_size):
        return {"age": self.table.new_zeros(batch_size)}

    def unroll(self, timesteps, state):
        return self.dropout(self.table)[timesteps.previous_action], state


def test_what_a_model_draws_depends_on_the_seed_and_the_update_alone(darkroom, tmp_path):
    """Dropout in a resumed training is that of an uninterrupted one, whatever the global generator holds."""
    architecture = ModuleArchitecture("dropped", Dropped)
    settings = settings_from({"updates": 6, "batch_size": 2, "window_moves": 8})

    def train(source, resume_file, seed_of_the_process):
        torch.manual_seed(seed_of_the_process)
        return loop.train(architecture, {}, darkroom, source, settings, resume_file=resume_file)

    whole = train(Echo(darkroom, 1), None, 0).table
    with pytest.raises(TrainingInterrupted):
        train(Breaks(darkroom, 1, calls=4), tmp_path / "broken", 1)
    assert torch.equal(train(Echo(darkroom, 1), tmp_path / "broken", 2).table, whole)
    after = torch.rand(3)
    torch.manual_seed(2)
    assert torch.equal(torch.rand(3), after), "the process's own generator was drawn from"


def test_progress_that_interrupts_saves_the_last_whole_update(darkroom, tmp_path):
    """As an engine's worker process does, which is told to stop by its parent."""

    def stop(progress):
        if progress.updates_done == 5:
            raise KeyboardInterrupt

    architecture = baselines.load("bc")
    config = architecture.config(darkroom, width=8)
    settings = settings_from({"updates": 9, "batch_size": 2, "window_moves": 8})
    with pytest.raises(KeyboardInterrupt):
        loop.train(
            architecture,
            config,
            darkroom,
            Echo(darkroom, 1),
            settings,
            resume_file=tmp_path / "stopped",
            progress=stop,
        )
    assert updates_saved(tmp_path / "stopped") == 5


def test_loss_by_hand(darkroom):
    logits = torch.log(torch.tensor([[[1.0, 1, 2, 4, 8], [1, 1, 2, 4, 8], [8, 4, 2, 1, 1]]]))
    windows = Echo(darkroom, 0).sample(1, 3, np.random.default_rng(0))
    legal = torch.tensor([[[True] * 5, [True, True, True, False, False], [True] * 5]])
    windows = windows._replace(
        timesteps=windows.timesteps._replace(legal_actions=legal),
        actions=torch.tensor([[4, 2, 3]]),
        explored=torch.tensor([[False, False, True]]),
    )
    found = loop.next_action_loss(logits, windows)
    assert found.item() == pytest.approx((math.log(16 / 8) + math.log(4 / 2)) / 2)
    assert loop.next_action_loss(logits, windows, 1).item() == pytest.approx(math.log(2))
    assert loop.next_action_loss(logits, windows, 2).item() == 0


def test_learning_rate_by_hand():
    settings = settings_from({"updates": 110, "warmup_updates": 10, "learning_rate": 2.0 / 2})
    assert [loop.learning_rate(settings, update) for update in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert loop.learning_rate(settings, 10) == pytest.approx(1.0)
    assert loop.learning_rate(settings, 60) == pytest.approx(0.55)  # half-way between 1 and a tenth
    assert loop.learning_rate(settings, 110) == pytest.approx(0.1)


def test_training_refuses(darkroom):
    with pytest.raises(InputError, match="at least twice the model's context of 6 moves; found 11"):
        trained("transformer", darkroom, Echo(darkroom, 1), updates=1, window_moves=11)
    with pytest.raises(InputError, match="did you mean 'updates'"):
        settings_from({"update": 3})
    with pytest.raises(InputError, match="unscored_moves must be below window_moves"):
        settings_from({"unscored_moves": 512})

    class Illegal(Echo):
        def sample(self, batch_size, window_moves, rng):
            windows = super().sample(batch_size, window_moves, rng)
            nothing_but_stay = torch.arange(5) < 1
            timesteps = windows.timesteps._replace(
                legal_actions=nothing_but_stay.expand_as(windows.timesteps.legal_actions)
            )
            return windows._replace(timesteps=timesteps)

    with pytest.raises(InputError, match="illegal action"):
        trained("bc", darkroom, Illegal(darkroom, 0), updates=1)
