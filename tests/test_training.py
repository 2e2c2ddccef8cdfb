"""Training by next-action prediction: it learns what there is, to the same bytes; losses by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from understudy import baselines
from understudy.baselines.learning import training
from understudy.suite.errors import InputError
from understudy.suite.histories.windows import Windows
from understudy.suite.protocols import Timestep
from understudy.suite.testing.imitators import SMALL


class Echo:
    """Windows whose action is the cell seen `delay` moves before, modulo 5; a tenth is explored noise."""

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
            first_of_life=torch.zeros(cells.shape, dtype=torch.bool),
        )
        numbers = torch.zeros(batch_size, dtype=torch.int64)
        return Windows(timesteps, torch.from_numpy(actions), torch.from_numpy(explored), numbers, numbers)


def trained(name, game, source, steps, resume_file=None, **overrides):
    architecture = baselines.load(name)
    losses = []
    settings = {"steps": steps, "batch_size": 8, "window_moves": 24, "learning_rate": 1e-2, "warmup_steps": 5}
    model = training.train(
        architecture,
        architecture.config(game, **SMALL.get(name, {"width": 32})),
        game,
        source,
        training.settings_from(settings | overrides),
        resume_file=resume_file,
        save_every_steps=7,
        progress=lambda progress: losses.append(progress.loss),
    )
    return model, losses


def test_markov_learns_from_the_present_and_only_from_it(darkroom):
    _, present = trained("markov", darkroom, Echo(darkroom, 0), steps=150)
    _, past = trained("markov", darkroom, Echo(darkroom, 2), steps=150)
    assert np.mean(present[-10:]) < 0.1
    assert np.mean(past[-10:]) > math.log(5) - 0.15  # nothing to be had: the entropy of five equal actions


def test_transformer_learns_from_the_past(darkroom):
    _, past = trained("transformer", darkroom, Echo(darkroom, 2), steps=200)
    assert np.mean(past[-10:]) < 0.4


def test_training_is_a_function_of_its_arguments(darkroom):
    one, _ = trained("transformer", darkroom, Echo(darkroom, 1), steps=6)
    same, _ = trained("transformer", darkroom, Echo(darkroom, 1), steps=6)
    other, _ = trained("transformer", darkroom, Echo(darkroom, 1), steps=6, seed=1)
    weights, same_weights = one.state_dict(), same.state_dict()
    assert all(torch.equal(weights[name], same_weights[name]) for name in weights)
    assert not torch.equal(weights["decide.weight"], other.state_dict()["decide.weight"])
    assert not any(parameter.requires_grad for parameter in one.parameters())


class Interrupted(Exception):
    pass


class Breaks(Echo):
    """Sampling fails at the given call."""

    def __init__(self, game, delay, calls):
        super().__init__(game, delay)
        self.calls = calls

    def sample(self, batch_size, window_moves, rng):
        self.calls -= 1
        if self.calls < 0:
            raise Interrupted
        return super().sample(batch_size, window_moves, rng)


def test_interrupted_training_ends_in_the_same_bytes(darkroom, tmp_path):
    whole, _ = trained("transformer", darkroom, Echo(darkroom, 1), steps=20, resume_file=tmp_path / "whole")
    with pytest.raises(Interrupted):
        trained(
            "transformer", darkroom, Breaks(darkroom, 1, calls=11), steps=20, resume_file=tmp_path / "broken"
        )
    resumed, losses = trained(
        "transformer", darkroom, Echo(darkroom, 1), steps=20, resume_file=tmp_path / "broken"
    )
    assert len(losses) == 13  # from step 7 on
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "broken").read_bytes()
    expected, found = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    with pytest.raises(InputError, match="made with other settings"):
        trained("transformer", darkroom, Echo(darkroom, 1), steps=21, resume_file=tmp_path / "broken")
    (tmp_path / "broken").write_bytes((tmp_path / "whole").read_bytes()[:-1])
    with pytest.raises(InputError, match="not a whole training file"):
        trained("transformer", darkroom, Echo(darkroom, 1), steps=20, resume_file=tmp_path / "broken")


def test_loss_by_hand(darkroom):
    logits = torch.log(torch.tensor([[[1.0, 1, 2, 4, 8], [1, 1, 2, 4, 8], [8, 4, 2, 1, 1]]]))
    windows = Echo(darkroom, 0).sample(1, 3, np.random.default_rng(0))
    legal = torch.tensor([[[True] * 5, [True, True, True, False, False], [True] * 5]])
    windows = windows._replace(
        timesteps=windows.timesteps._replace(legal_actions=legal),
        actions=torch.tensor([[4, 2, 3]]),
        explored=torch.tensor([[False, False, True]]),
    )
    found = training.next_action_loss(logits, windows)
    assert found.item() == pytest.approx((math.log(16 / 8) + math.log(4 / 2)) / 2)
    assert training.next_action_loss(logits, windows, 1).item() == pytest.approx(math.log(2))
    assert training.next_action_loss(logits, windows, 2).item() == 0


def test_learning_rate_by_hand():
    settings = training.settings_from({"steps": 110, "warmup_steps": 10, "learning_rate": 2.0 / 2})
    assert [training.learning_rate(settings, step) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert training.learning_rate(settings, 10) == pytest.approx(1.0)
    assert training.learning_rate(settings, 60) == pytest.approx(0.55)  # half-way between 1 and a tenth
    assert training.learning_rate(settings, 110) == pytest.approx(0.1)


def test_training_refuses(darkroom):
    with pytest.raises(InputError, match="at least twice the model's context of 6 moves; found 11"):
        trained("transformer", darkroom, Echo(darkroom, 1), steps=1, window_moves=11)
    with pytest.raises(InputError, match="did you mean 'steps'"):
        training.settings_from({"step": 3})
    with pytest.raises(InputError, match="unscored_moves must be below window_moves"):
        training.settings_from({"unscored_moves": 512})

    class Illegal(Echo):
        def sample(self, batch_size, window_moves, rng):
            windows = super().sample(batch_size, window_moves, rng)
            nothing_but_stay = torch.arange(5) < 1
            timesteps = windows.timesteps._replace(
                legal_actions=nothing_but_stay.expand_as(windows.timesteps.legal_actions)
            )
            return windows._replace(timesteps=timesteps)

    with pytest.raises(InputError, match="illegal action"):
        trained("markov", darkroom, Illegal(darkroom, 0), steps=1)
