"""The one training loop: next-action prediction on windows of watched histories, for every architecture.

The target is the teacher's own choice: moves that exploration replaced are seen as history (the next token
holds what was executed) and are no target. Equal arguments give equal bytes on one machine and thread count,
and an interrupted run that is taken up again ends in the bytes of the uninterrupted one.
Source: Laskin et al., In-context reinforcement learning with algorithm distillation (ICLR 2023), equation 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.baselines import Architecture
from understudy.baselines.learning import resuming, settings
from understudy.suite import draws
from understudy.suite.errors import InputError
from understudy.suite.histories.windows import Windows
from understudy.suite.protocols import Game, Imitator, State, Timestep

ADAM_BETAS = (0.9, 0.95)  # Source: Brown et al., Language models are few-shot learners (2020), appendix B
FINAL_RATE = 0.1  # of the highest; Source: as above


@dataclass(frozen=True)
class TrainingSettings:
    """How an imitator is trained; printed in full into its submission."""

    steps: int = settings.bounded(1, 100_000_000, 2_000)
    batch_size: int = settings.bounded(1, 65_536, 8)  # windows a step
    window_moves: int = settings.bounded(1, 1_000_000, 512)  # at least 2 contexts, if there is one
    unscored_moves: int = settings.bounded(0, 1_000_000, 0)  # first moves of a window that are no targets
    learning_rate: float = settings.bounded(1e-8, 1.0, 1e-3)  # the highest
    warmup_steps: int = settings.bounded(0, 1_000_000, 50)
    weight_decay: float = settings.bounded(0.0, 10.0, 0.01)
    gradient_norm: float = settings.bounded(1e-6, 1e6, 1.0)  # larger gradients are scaled down to it
    seed: int = settings.bounded(0, 2**63, 0)

    def __post_init__(self) -> None:
        if self.unscored_moves >= self.window_moves:
            raise InputError(
                f"training: unscored_moves must be below window_moves; found {self.unscored_moves} and "
                f"{self.window_moves}"
            )


class Begun(NamedTuple):
    """Windows as an imitator reads them, and its state before them."""

    timesteps: Timestep  # [B, T, ...]
    state: State  # of B rows


class WindowSource(Protocol):
    """Watched histories, open for reading at any move."""

    def sample(self, batch_size: int, window_moves: int, rng: np.random.Generator) -> Windows:
        """Return windows [B, T], a function of `rng` and the histories alone."""


@dataclass(frozen=True)
class Progress:
    """Where a training stands after a step."""

    step: int  # steps done
    steps: int  # steps in all
    loss: float  # nats an action, of this step's windows before the update
    learning_rate: float
    moves: int  # moves of windows seen so far


def settings_from(values: Mapping[str, Any]) -> TrainingSettings:
    """Return checked settings; InputError names an unknown or unfit one."""
    return settings.checked(TrainingSettings, values, "training")


def train(
    architecture: Architecture,
    config: Mapping[str, Any],
    game: Game,
    source: WindowSource,
    training: TrainingSettings,
    *,
    resume_file: Path | None = None,
    save_every_steps: int = 200,
    progress: Callable[[Progress], None] | None = None,
) -> nn.Module:
    """Return a trained imitator, its parameters in evaluation mode.

    With a `resume_file` the run saves itself there every so many steps and at the end, and goes on from the
    file if there is one; InputError if that was made with other settings. `progress` is called each step.
    Raises InputError if a context doesn't fit the window twice, or if the loss stops being a number.
    """
    model = architecture.build(config, game, seed=training.seed)
    _check_window(model, training)
    optimiser = torch.optim.AdamW(
        _parameter_groups(model, training), lr=training.learning_rate, betas=ADAM_BETAS
    )
    identity = {
        "architecture": architecture.name,
        "config": dict(config),
        "game": game.name,
        "training": asdict(training),
    }
    step = resuming.load(resume_file, identity, model, optimiser) if resume_file else 0
    while step < training.steps:
        windows = source.sample(
            training.batch_size, training.window_moves, _draws_of_step(training.seed, step)
        )
        loss = _update(model, optimiser, windows, training, step)
        step += 1
        if resume_file and (step % save_every_steps == 0 or step == training.steps):
            resuming.save(resume_file, identity, model, optimiser, step)
        if progress:
            moves = step * training.batch_size * training.window_moves
            progress(Progress(step, training.steps, loss, learning_rate(training, step - 1), moves))
    return model.eval().requires_grad_(False)


def begin(imitator: Imitator, windows: Windows) -> Begun:
    """Return where an imitator stands before windows.

    A window is a life's first moves to it: its memory is empty. But an imitator with a method
    `state_at(moves)`, moves int64 [B], which returns the state of lives that have so many moves, begins
    with that of the window's first move, and `first_of_life` is true at move 0 of a life only.
    """
    state_at: Callable[[Tensor], State] | None = getattr(imitator, "state_at", None)
    if state_at is None:
        return Begun(windows.timesteps, imitator.initial_state(len(windows.actions)))
    first_of_life = windows.timesteps.first_of_life & (windows.starts == 0)[:, None]
    return Begun(windows.timesteps._replace(first_of_life=first_of_life), state_at(windows.starts))


def next_action_loss(logits: Tensor, windows: Windows, unscored_moves: int = 0) -> Tensor:
    """Return the mean cross-entropy, in nats, of the actions that were the teacher's own choice.

    `logits` [B, T, A]; illegal actions have no probability. Zero if no move of the windows is a target.
    """
    legal_logits = logits.masked_fill(~windows.timesteps.legal_actions, -math.inf)  # [B, T, A]
    nats = functional.cross_entropy(legal_logits.flatten(0, 1), windows.actions.flatten(), reduction="none")
    target = ~windows.explored  # [B, T]
    target = target & (torch.arange(target.shape[1]) >= unscored_moves)
    return torch.where(target.flatten(), nats, 0.0).sum() / target.sum().clamp(min=1)


def learning_rate(training: TrainingSettings, step: int) -> float:
    """Return the rate of step 0, 1, 2, ...: a linear rise, then half a cosine down to a tenth.

    Source: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts (ICLR 2017), eq. 5.
    """
    if step < training.warmup_steps:
        return training.learning_rate * (step + 1) / training.warmup_steps
    done = (step - training.warmup_steps) / max(1, training.steps - training.warmup_steps)
    height = FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return training.learning_rate * height


def _update(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    windows: Windows,
    training: TrainingSettings,
    step: int,
) -> float:
    """Make one gradient step and return the loss before it."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(training, step)
    imitator = cast(Imitator, model)
    logits, _ = imitator.unroll(*begin(imitator, windows))
    loss = next_action_loss(logits, windows, training.unscored_moves)
    if not bool(torch.isfinite(loss)):
        raise InputError(
            f"training: the loss of step {step} is {loss.item()}; a history holds an illegal action, or "
            f"learning_rate {training.learning_rate} is too high: lower it"
        )
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(model.parameters(), training.gradient_norm)
    optimiser.step()
    return loss.item()


def _check_window(model: nn.Module, training: TrainingSettings) -> None:
    context_moves = cast(int, model.context_moves)
    if context_moves > 1 and training.window_moves < 2 * context_moves:
        raise InputError(
            f"training: window_moves must be at least twice the model's context of {context_moves} moves; "
            f"found {training.window_moves}"
        )


def _parameter_groups(model: nn.Module, training: TrainingSettings) -> list[dict[str, Any]]:
    """Return matrices with weight decay, and vectors without."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": training.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]


def _draws_of_step(seed: int, step: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=draws.derive(seed, "windows", step)))
