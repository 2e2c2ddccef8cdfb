"""How well a trained checkpoint predicts the moves that it was trained on, as `train` reports it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from understudy.baselines.training import loop
from understudy.baselines.training.reports import TrainingReport
from understudy.baselines.training.settings import TrainingSettings
from understudy.suite import draws, stored_names
from understudy.suite.histories.windows import WatchedRuns, Windows
from understudy.suite.protocols import Imitator

FIT_WINDOWS = 16  # from which loss and agreement are taken


@dataclass(frozen=True)
class Fit:
    """How well a checkpoint, and the best constant player, predict moves that it was trained on."""

    checkpoint: str
    loss: float  # nats an action
    agreement: float  # share of the targets that are the most likely action
    constant_agreement: float  # the same of the best constant player
    targets: int  # moves that these are taken from
    kept: TrainingReport | None  # the report whose weights the checkpoint has


def measure(
    module: nn.Module,
    checkpoint: str,
    source: WatchedRuns,
    training: TrainingSettings,
    kept: TrainingReport | None,
) -> Fit | None:
    """Return how well a module predicts windows drawn from what it watched; None if no move is a target."""
    key = draws.derive(training.seed, stored_names.TRAINING_FIT_STREAM)
    rng = np.random.Generator(np.random.Philox(key=key))
    imitator = cast(Imitator, module)
    nats, actions, chosen = [], [], []
    for _ in range(FIT_WINDOWS):
        windows = source.sample(1, training.window_moves, rng)
        with torch.no_grad():
            logits, _ = imitator.unroll(*loop.unroll_inputs(imitator, windows))  # [1, T, A]
        target = windows.target_mask(training.targets)  # [1, T]
        nats.append(_nats(logits, windows)[target])
        actions.append(windows.actions[target])
        legal = logits.masked_fill(~windows.timesteps.legal_actions, -torch.inf)
        chosen.append(legal.argmax(-1)[target])
    truth = torch.cat(actions)
    if not truth.numel():
        return None
    return Fit(
        checkpoint,
        loss=float(torch.cat(nats).mean()),
        agreement=float((torch.cat(chosen) == truth).float().mean()),
        constant_agreement=float(truth.bincount().max() / len(truth)),
        targets=len(truth),
        kept=kept,
    )


def _nats(logits: Tensor, windows: Windows) -> Tensor:
    """Return the cross-entropy [B, T] of the executed actions among the legal ones."""
    legal = logits.masked_fill(~windows.timesteps.legal_actions, -torch.inf)
    return -legal.log_softmax(-1).gather(-1, windows.actions[..., None])[..., 0]
