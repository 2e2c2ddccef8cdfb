"""A new architecture is one file: CONTRIBUTING's conforms, is trained, and its submission is sound."""

from __future__ import annotations

import re
import sys

import pytest
import torch
from support import ROOT
from torch import nn

from understudy import baselines, cli
from understudy.suite import games
from understudy.suite.errors import CheckFailed
from understudy.suite.testing import architecture_checks, imitator_checks

GAMES = ("darkroom/goal-40", "minatar/breakout", "atari/breakout")


def example() -> str:
    section = (ROOT / "CONTRIBUTING.md").read_text().partition("## An architecture")[2]
    (file,) = re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    return file


@pytest.fixture
def constant(tmp_path, monkeypatch):
    """The example, found as the architectures of the package are."""
    folder = tmp_path / "architectures"
    folder.mkdir()
    (folder / "constant.py").write_text(example())
    monkeypatch.setattr(baselines, "__path__", [*baselines.__path__, str(folder)])
    yield baselines.load("constant")
    del sys.modules["understudy.baselines.constant"]


@pytest.mark.parametrize("game", GAMES)
def test_the_example_passes_the_conformance_kit(constant, game):
    architecture_checks.check_architecture(constant, games.load(game))


def test_the_example_is_trained_and_its_submission_is_sound(here, constant, capsys):
    sizes = ("--updates", "3", "--set", "window_moves=32", "--set", "batch_size=2", "--set", "spread=0.5")
    command = ("train", constant.name, "--benchmark", "darkroom-v1", "--out", "mine", *sizes)
    assert cli.main(command) == 0, capsys.readouterr().err
    assert cli.main(["check", "mine"]) == 0, capsys.readouterr().err


class Faulty(nn.Module):
    """What the example builds, with members of other values."""

    def __init__(self, inner, **members):
        super().__init__()
        self.inner = inner
        self.reach_moves = inner.reach_moves
        for name, member in members.items():
            setattr(self, name, member)

    def initial_state(self, batch_size):
        return self.inner.initial_state(batch_size)

    def step(self, timestep, state):
        return self.inner.step(timestep, state)

    def unroll(self, timesteps, state):
        return self.inner.unroll(timesteps, state)


class Without(Faulty):
    def __init__(self, inner):
        super().__init__(inner)
        del self.reach_moves


class Detached(Faulty):
    def unroll(self, timesteps, state):
        logits, state = self.inner.unroll(timesteps, state)
        return logits.detach(), state


class Untrainable(Faulty):
    def __init__(self, inner):
        super().__init__(inner.requires_grad_(False))


class Unseeded(Faulty):
    def __init__(self, inner):
        super().__init__(inner)
        nn.init.normal_(inner.preference)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Without, "no attribute `reach_moves`"),
        (Detached, "unroll must pass gradients"),
        (Untrainable, "parameters to train; found none"),
        (Unseeded, "it drew from the global generator of torch"),
        (lambda inner: Faulty(inner, context_moves=0), "context_moves must be .* found 0"),
        (lambda inner: Faulty(inner, context_moves=2), "at most reach_moves; found 2 and 1"),
        (
            lambda inner: Faulty(inner, state_at=lambda moves: {"moves": moves}),
            "state_at must return states like initial_state",
        ),
        (
            lambda inner: Faulty(inner, state_at=lambda moves: {"age": moves + 1}),
            r"state_at\(0\) must be the initial state",
        ),
    ],
)
def test_kit_finds_what_training_would_stumble_over(constant, darkroom, monkeypatch, fault, message):
    build = type(constant).build
    monkeypatch.setattr(type(constant), "build", lambda *given, **named: fault(build(*given, **named)))
    with pytest.raises(CheckFailed, match=message):
        architecture_checks.check_architecture(constant, darkroom)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (lambda inner, game, **given: inner(game), "config must raise InputError for an unknown setting"),
        (lambda inner, game, **given: {"spread": "wide"}, "finite number; found spread = 'wide'"),
        (
            lambda inner, game, **given: inner(game, **given) | {"spread": 0.1 + len(given)},
            "come back as others",
        ),
    ],
)
def test_kit_finds_faults_of_config(constant, darkroom, monkeypatch, config, message):
    inner = constant.config
    monkeypatch.setattr(constant, "config", lambda game, **given: config(inner, game, **given), raising=False)
    with pytest.raises(CheckFailed, match=message):
        architecture_checks.check_architecture(constant, darkroom)


def test_kit_leaves_autograd_as_it_was(constant, darkroom):
    architecture_checks.check_architecture(constant, darkroom)
    assert torch.is_grad_enabled()
    assert imitator_checks.checked_reach(constant.build(constant.config(darkroom), darkroom)) == 1
