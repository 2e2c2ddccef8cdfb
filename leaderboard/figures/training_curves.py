"""Training curves: loss, and validation loss where there is one, over the updates of each checkpoint."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.leaderboard.figures.printing import GREY, LINES
from understudy.suite import escaping
from understudy.suite.errors import InputError
from understudy.suite.io import bounded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LINES = 6  # checkpoints drawn distinctly; the others are thin and grey


def of_log(path: Path) -> Figure:
    """Return the figure of a `training.csv`; InputError if there is none, or if it is no log."""
    try:
        text = bounded.text(path)
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: expected the log of a training, found none; write it again: understudy train"
        ) from error
    lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    curves: dict[str, list[tuple[int, float, float | None]]] = {}
    try:
        for line in lines:
            point = int(line["update"]), float(line["loss"]), _number(line["validation_loss"])
            curves.setdefault(str(line["checkpoint"]), []).append(point)
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: line {lines.line_num}: expected the log of a training ({error!s:.200}); write it "
            "again: understudy train"
        ) from error
    return training_curve(curves)


def training_curve(curves: dict[str, list[tuple[int, float, float | None]]]) -> Figure:
    """Return the losses, in nats an action, of each checkpoint's (update, loss, validation loss)."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    handles = []
    for index, (checkpoint, points) in enumerate(curves.items()):
        colour, width = (LINES[index][0], 1.5) if index < MOST_LINES else (GREY, 0.5)
        updates = [update for update, _, _ in points]
        axes.plot(updates, [loss for _, loss, _ in points], color=colour, linewidth=width)
        validated = [(update, loss) for update, _, loss in points if loss is not None]
        if validated:
            axes.plot(*zip(*validated, strict=True), color=colour, linewidth=width, linestyle="--")
        if index < MOST_LINES:
            handles.append(Line2D([], [], color=colour, label=escaping.mathtext(checkpoint)))
    if any(loss is not None for points in curves.values() for _, _, loss in points):
        handles.append(Line2D([], [], color=GREY, label="training"))
        handles.append(Line2D([], [], color=GREY, linestyle="--", label="validation"))
    axes.set_xlabel("updates")
    axes.set_ylabel("loss, nats an action")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(handles=handles, fontsize="small", frameon=False)
    return figure


def _number(cell: str) -> float | None:
    return float(cell) if cell else None
