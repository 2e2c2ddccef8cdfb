"""The training loop of every architecture: next-action prediction on windows of watched histories.

The targets are the actions that the teacher chose itself. A move whose action exploration replaced is part of
the input, with the action that was executed, but is not a target. Equal arguments give equal bytes on one
machine with one number of threads, and a resumed training ends in the bytes of an uninterrupted one.
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
from understudy.baselines.training import resuming
from understudy.suite import draws, validation
from understudy.suite.errors import InputError
from understudy.suite.histories.windows import Windows
from understudy.suite.io import interrupts
from understudy.suite.protocols import Game, Imitator, State, Timestep

ADAM_BETAS = (0.9, 0.95)  # Source: Brown et al., Language models are few-shot learners (2020), appendix B
FINAL_RATE = 0.1  # as a share of the highest; Source: as above


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of one training; stored in full in the submission."""

    updates: int = validation.bounded(1, 100_000_000, 2_000)
    batch_size: int = validation.bounded(1, 65_536, 8)  # windows per update
    window_moves: int = validation.bounded(1, 1_000_000, 512)  # at least twice the context, if there is one
    unscored_moves: int = validation.bounded(
        0, 1_000_000, 0
    )  # moves at a window's start that are not targets
    learning_rate: float = validation.bounded(1e-8, 1.0, 1e-3)  # the highest
    warmup_updates: int = validation.bounded(0, 1_000_000, 50)  # over which the learning rate rises linearly
    weight_decay: float = validation.bounded(0.0, 10.0, 0.01)
    gradient_norm: float = validation.bounded(1e-6, 1e6, 1.0)  # larger gradients are scaled down to it
    seed: int = validation.bounded(0, 2**63, 0)  # of the parameters and of the windows' order

    def __post_init__(self) -> None:
        if self.unscored_moves >= self.window_moves:
            raise InputError(
                f"training: unscored_moves must be below window_moves; found {self.unscored_moves} and "
                f"{self.window_moves}"
            )


class UnrollInputs(NamedTuple):
    """The arguments of an imitator's `unroll`."""

    timesteps: Timestep  # [B, T, ...]
    state: State  # of B rows, before the first move


class WindowSource(Protocol):
    """Watched histories from which windows can be drawn."""

    def sample(self, batch_size: int, window_moves: int, rng: np.random.Generator) -> Windows:
        """Return windows [B, T]; they depend on `rng` and the histories alone."""


@dataclass(frozen=True)
class ImitatorProgress:
    """Progress of a training after an update."""

    updates_done: int
    updates: int  # in all
    loss: float  # nats an action, on the update's windows before the update
    learning_rate: float
    moves: int  # moves of all windows so far


def settings_from(values: Mapping[str, Any]) -> TrainingSettings:
    """Return checked settings by the names of their fields; InputError for an unknown or unfit one."""
    return validation.checked(TrainingSettings, values, "training", "setting")


def train(
    architecture: Architecture,
    config: Mapping[str, Any],
    game: Game,
    source: WindowSource,
    training: TrainingSettings,
    *,
    resume_file: Path | None = None,
    save_every_updates: int = 200,
    progress: Callable[[ImitatorProgress], None] | None = None,
) -> nn.Module:
    """Return a trained imitator in evaluation mode, without gradients.

    Ctrl-C and SIGTERM count after the update that is being made, and `resume_file` holds it then.

    Args:
        architecture: builds the imitator.
        config: its settings, as `architecture.config` returns them.
        game: the game whose observations and actions it has.
        source: the watched histories.
        training: settings of the training.
        resume_file: where the training is saved, and resumed from if the file exists.
        save_every_updates: updates between saves; the last update is saved too.
        progress: called after each update.

    Raises:
        InputError: `resume_file` was made with other settings, a window is shorter than two contexts, or the
            loss stops being finite.
        KeyboardInterrupt: interrupted, by a signal or by `progress`.
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
    done = resuming.load(resume_file, identity, model, optimiser) if resume_file else 0

    def save() -> None:
        if resume_file:
            resuming.save(resume_file, identity, model, optimiser, done)

    with interrupts.deferred_interrupts() as interrupted:  # amid an update the optimiser has moved in part
        while done < training.updates:
            windows = source.sample(
                training.batch_size, training.window_moves, _draws_of_update(training.seed, done)
            )
            loss = _update(model, optimiser, windows, training, done)
            done += 1
            if done % save_every_updates == 0 or done == training.updates:
                save()
            try:
                interrupts.raise_if_interrupted(interrupted)
                if progress:
                    progress(_progress(training, done, loss))
            except KeyboardInterrupt:
                save()
                raise
    return model.eval().requires_grad_(False)


def unroll_inputs(imitator: Imitator, windows: Windows) -> UnrollInputs:
    """Return the timesteps and the state with which an imitator unrolls windows [B, T].

    By default each window is treated as the beginning of a run, with an empty memory. An imitator whose
    state depends only on the number of moves may define `state_at(moves)`, int64 [B] -> State; it then starts
    from the state at the window's first move, and `first_of_run` is true at move 0 of a run only.
    """
    state_at: Callable[[Tensor], State] | None = getattr(imitator, "state_at", None)
    if state_at is None:
        return UnrollInputs(windows.timesteps, imitator.initial_state(len(windows.actions)))
    first_of_run = windows.timesteps.first_of_run & (windows.starts == 0)[:, None]
    return UnrollInputs(windows.timesteps._replace(first_of_run=first_of_run), state_at(windows.starts))


def next_action_loss(logits: Tensor, windows: Windows, unscored_moves: int = 0) -> Tensor:
    """Return the mean cross-entropy, in nats, of the actions that the teacher chose itself.

    `logits` are [B, T, A]; illegal actions get no probability. The first `unscored_moves` moves of each
    window are not targets. Zero if no move is a target.
    """
    legal_logits = logits.masked_fill(~windows.timesteps.legal_actions, -math.inf)  # [B, T, A]
    nats = functional.cross_entropy(legal_logits.flatten(0, 1), windows.actions.flatten(), reduction="none")
    target = ~windows.explored  # [B, T]
    target = target & (torch.arange(target.shape[1]) >= unscored_moves)
    return torch.where(target.flatten(), nats, 0.0).sum() / target.sum().clamp(min=1)


def learning_rate(training: TrainingSettings, update: int) -> float:
    """Return the learning rate of update 0, 1, 2, ...: a linear rise, then half a cosine down to a tenth.

    Source: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts (ICLR 2017), eq. 5.
    """
    if update < training.warmup_updates:
        return training.learning_rate * (update + 1) / training.warmup_updates
    done = (update - training.warmup_updates) / max(1, training.updates - training.warmup_updates)
    height = FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return training.learning_rate * height


def _update(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    windows: Windows,
    training: TrainingSettings,
    update: int,
) -> float:
    """Make one update and return the loss before it."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(training, update)
    imitator = cast(Imitator, model)
    logits, _ = imitator.unroll(*unroll_inputs(imitator, windows))
    loss = next_action_loss(logits, windows, training.unscored_moves)
    if not bool(torch.isfinite(loss)):
        raise InputError(
            f"training: the loss of update {update} is {loss.item()}; a history holds an illegal action, or "
            f"learning_rate {training.learning_rate} is too high: lower it"
        )
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(model.parameters(), training.gradient_norm)
    optimiser.step()
    return loss.item()


def _progress(training: TrainingSettings, done: int, loss: float) -> ImitatorProgress:
    """Return the progress after `done` updates, the last of which had this loss."""
    moves = done * training.batch_size * training.window_moves
    return ImitatorProgress(done, training.updates, loss, learning_rate(training, done - 1), moves)


def _check_window(model: nn.Module, training: TrainingSettings) -> None:
    context_moves: int | None = getattr(model, "context_moves", None)
    if context_moves is not None and training.window_moves < 2 * context_moves:
        raise InputError(
            f"training: window_moves must be at least twice the model's context of {context_moves} moves; "
            f"found {training.window_moves}"
        )


def _parameter_groups(model: nn.Module, training: TrainingSettings) -> list[dict[str, Any]]:
    """Return the optimiser's groups: matrices with weight decay, vectors without."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": training.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]


def _draws_of_update(seed: int, update: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=draws.derive(seed, "windows", update)))
