"""Reports of a training: losses at regular updates, and the best weights where an early stop is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from understudy.baselines.training.settings import TrainingSettings


@dataclass(frozen=True)
class TrainingReport:
    """One line of the log of a training; equal trainings have equal reports."""

    update: int  # updates made
    moves: int  # of all windows so far
    loss: float  # nats an action, mean over the updates since the report before
    learning_rate: float  # of the last update
    validation_loss: float | None  # nats an action, on the held-out runs after the update; None without


class TrainingLog:
    """The reports of a training so far, and what an early stop needs to know."""

    def __init__(self, settings: TrainingSettings) -> None:
        self.reports: list[TrainingReport] = []
        self.best_weights: dict[str, Tensor] = {}  # kept where `patience` is set
        self._settings = settings
        self._losses = 0.0  # sum since the last report
        self._updates = 0  # since the last report
        self._best = 0  # index of the best report

    def add(self, loss: float) -> None:
        """Note the loss of one update."""
        self._losses += loss
        self._updates += 1

    def is_due(self, update: int) -> bool:
        """Return whether a report is due after so many updates: every `report_every`, and after the last."""
        return update % self._settings.report_every == 0 or update == self._settings.updates

    def report(
        self, update: int, learning_rate: float, validation_loss: float | None, model: nn.Module
    ) -> TrainingReport:
        """Add and return a report; keep the weights of `model` if they are the best so far."""
        moves = update * self._settings.batch_size * self._settings.window_moves
        loss = self._losses / max(1, self._updates)
        self.reports.append(TrainingReport(update, moves, loss, learning_rate, validation_loss))
        self._losses, self._updates = 0.0, 0
        if self._settings.patience and self._rank() == len(self.reports) - 1:
            self.best_weights = {name: each.detach().clone() for name, each in model.state_dict().items()}
        return self.reports[-1]

    @property
    def is_stopped(self) -> bool:
        """Whether the last `patience` reports have not lowered the validation loss."""
        patience = self._settings.patience
        return bool(patience and self.reports and len(self.reports) - 1 - self._best >= patience)

    def values(self) -> dict[str, Any]:
        """Return all but the weights as JSON values."""
        reports = [list(asdict(each).values()) for each in self.reports]
        return {"reports": reports, "losses": self._losses, "updates": self._updates}

    def restore(self, values: Mapping[str, Any], best_weights: Mapping[str, Tensor]) -> None:
        """Go on from values that `values` returned, and the best weights."""
        self.reports = [TrainingReport(*each) for each in values["reports"]]
        self._losses, self._updates = values["losses"], values["updates"]
        self._rank()
        self.best_weights = dict(best_weights)

    def _rank(self) -> int:
        """Find the first report with the lowest validation loss, and return its index; 0 without one."""
        losses = [math.inf if r.validation_loss is None else r.validation_loss for r in self.reports]
        self._best = losses.index(min(losses)) if losses else 0
        return self._best
