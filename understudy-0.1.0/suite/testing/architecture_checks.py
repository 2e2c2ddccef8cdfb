"""Conformance checks of an architecture: all that training, priming and submissions read of it.

from understudy.suite.testing.architecture_checks import check_architecture

check_architecture(baselines.load("transformer"), games.load("darkroom/goal-40"), layers=2, context_moves=6)
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn

from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.protocols import Game, Imitator, State
from understudy.suite.testing import imitator_checks

if TYPE_CHECKING:
    from collections.abc import Callable

UNKNOWN = "no_such_setting"


class Architecture(Protocol):
    """What is checked; `baselines.Architecture` describes it."""

    name: str

    def config(self, game: Game, **overrides: Any) -> dict[str, Any]:
        """Return all settings."""

    def build(self, config: Mapping[str, Any], game: Game, seed: int = 0) -> nn.Module:
        """Return an untrained imitator."""


def check_architecture(architecture: Architecture, game: Game, **overrides: Any) -> None:
    """Run all checks of an architecture and of the imitator it builds; raise CheckFailed with what is wrong.

    `overrides` are settings that make it small, so that the checks are quick. Of an architecture that says
    by `reads(game)` that the game is none for it, only the refusal is checked.
    """
    reads: Callable[[Game], bool] | None = getattr(architecture, "reads", None)
    if reads is not None and not reads(game):
        check_refusal(architecture, game)
        return
    config = architecture.config(game, **overrides)
    check_config(architecture, config, game)
    check_seed(architecture, config, game)
    module = architecture.build(config, game)
    check_context(module)
    check_gradients(module, game)
    check_state_at(module)
    imitator_checks.check_imitator(cast(Imitator, module.eval()), game)


def check_refusal(architecture: Architecture, game: Game) -> None:
    """Check that `config` and `build` raise InputError for a game that the architecture does not read."""
    for what, ask in (
        ("config", lambda: architecture.config(game)),
        ("build", lambda: architecture.build({}, game)),
    ):
        try:
            ask()
        except InputError:
            continue
        _fail(f"{what} must raise InputError for {game.name}, which it does not read; it raised none")


def check_config(architecture: Architecture, config: Mapping[str, Any], game: Game) -> None:
    """Check that settings are finite numbers, given back as they are, and that unknown ones are refused."""
    for name, value in config.items():
        if type(value) not in (int, float) or not math.isfinite(value):
            _fail(f"config: every setting must be a finite number; found {name} = {value!r}")
    stored = json.loads(json.dumps(config))
    if architecture.config(game, **stored) != config:
        _fail("config: settings that it returned, given as overrides, come back as others")
    for what, ask in (
        ("config", lambda: architecture.config(game, **{UNKNOWN: 1})),
        ("build", lambda: architecture.build({**config, UNKNOWN: 1}, game)),
    ):
        try:
            ask()
        except InputError:
            continue
        _fail(f"{what} must raise InputError for an unknown setting; it took {UNKNOWN!r}")


def check_seed(architecture: Architecture, config: Mapping[str, Any], game: Game) -> None:
    """Check that the seed alone determines the parameters, and no global generator is drawn from."""
    module = architecture.build(config, game, seed=1)
    if not isinstance(module, nn.Module):
        _fail(f"build must return a torch.nn.Module; found {type(module).__name__}")
    with imitator_checks.unchanged_around(cast(Imitator, module)):
        again = architecture.build(config, game, seed=1).state_dict()
    weights = module.state_dict()
    if weights.keys() != again.keys() or any(not torch.equal(each, again[n]) for n, each in weights.items()):
        _fail("build: two imitators of one seed have different parameters")


def check_context(module: nn.Module) -> None:
    """Check that `context_moves`, where there is one, is a number of moves within the reach."""
    reach = imitator_checks.checked_reach(cast(Imitator, module))
    context = getattr(module, "context_moves", None)
    if context is not None and (type(context) is not int or context < 1):
        _fail(f"context_moves must be absent, None or a whole number from 1 on; found {context!r}")
    if context is not None and reach is not None and context > reach:
        _fail(f"context_moves must be at most reach_moves; found {context} and {reach}")


def check_gradients(module: nn.Module, game: Game) -> None:
    """Check that it has parameters, and that the logits of `unroll` pass gradients to them."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not parameters:
        _fail("build must return a module with parameters to train; found none")
    timesteps = imitator_checks.random_timesteps(game, lanes=2, moves=8, seed=0)
    imitator = cast(Imitator, module.train())
    with torch.enable_grad():
        logits, _ = imitator.unroll(timesteps, imitator.initial_state(2))
    if not logits.requires_grad:
        _fail("unroll must pass gradients to the parameters, for training; its logits have none")
    found = torch.autograd.grad(logits.square().sum() + logits.sum(), parameters, allow_unused=True)
    if all(gradient is None for gradient in found):
        _fail("unroll must pass gradients to the parameters, for training; none has one")


def check_state_at(module: nn.Module) -> None:
    """Check that `state_at`, where there is one, gives states like the initial one, at move 0 the same."""
    state_at: Callable[[Tensor], State] | None = getattr(module, "state_at", None)
    if state_at is None:
        return
    initial = cast(Imitator, module).initial_state(2)
    at_0, later = (state_at(torch.full((2,), moves)) for moves in (0, 1000))
    for state in (at_0, later):
        if _layout(state) != _layout(initial):
            _fail(
                f"state_at must return states like initial_state: {_layout(initial)}; found {_layout(state)}"
            )
    if any(not torch.equal(tensor, at_0[name]) for name, tensor in initial.items()):
        _fail("state_at(0) must be the initial state; found another")


def _layout(state: State) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (str(tensor.dtype), tuple(tensor.shape)) for name, tensor in state.items()}


def _fail(message: str) -> None:
    raise CheckFailed(f"architecture: {message}")
