"""Performance profiles: the share of a player's units above each normalised score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from understudy.leaderboard.figures.printing import GREY, LINES, legend_below
from understudy.suite import escaping
from understudy.suite.scoring.aggregates import Band

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Profiles = Mapping[str, Band]  # by player, curves [T] in [0, 1]
LANDMARKS = {0.0: "reference's start", 1.0: "reference's end"}


def profiles(panels: Mapping[str, Profiles], thresholds: NDArray[np.float64]) -> Figure:
    """Return one panel per question, with each player's step curve and the band of its resamples.

    Args:
        panels: by heading, each player's `aggregates.performance_profile` with its bootstrap interval.
        thresholds: float [T], increasing: normalised scores at which they were computed.

    Raises ValueError if there is nothing to draw or a curve is not [T].
    """
    from matplotlib.figure import Figure

    players = list(dict.fromkeys(name for one in panels.values() for name in one))
    if not players:
        raise ValueError("expected at least one player to draw")
    for heading, one in panels.items():
        for name, band in one.items():
            if band.estimate.shape != thresholds.shape:
                raise ValueError(
                    f"{heading}, {name}: expected a curve {list(thresholds.shape)}; "
                    f"found {list(band.estimate.shape)}"
                )
    figure = Figure(figsize=(3.6 + 3.2 * len(panels), 4.2), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    shown: dict[str, Any] = {}
    for axes, (heading, one) in zip(grid, panels.items(), strict=True):
        for name, band in one.items():
            shown.setdefault(name, _draw(axes, thresholds, name, band, players.index(name)))
        _finish(axes, heading, thresholds)
    grid[0].set_ylabel("share of units above it")
    legend_below(figure, [shown[name] for name in players])
    return figure


def _draw(axes: Axes, thresholds: NDArray[np.float64], name: str, band: Band, place: int) -> Any:
    """Draw one player's curve in its band; after six players colours repeat, with thinner lines."""
    colour, dashes, marker = LINES[place % len(LINES)]
    (line,) = axes.step(
        thresholds,
        band.estimate,
        where="post",
        linestyle=dashes,
        color=colour,
        marker=marker,
        markevery=(place % 5, max(1, len(thresholds) // 8)),
        markersize=4,
        linewidth=1.6 if place < len(LINES) else 0.8,
        label=escaping.mathtext(name),
    )
    axes.fill_between(thresholds, band.low, band.high, step="post", color=colour, alpha=0.15, linewidth=0)
    return line


def _finish(axes: Axes, heading: str, thresholds: NDArray[np.float64]) -> None:
    axes.set_title(escaping.mathtext(heading), fontsize="medium", loc="left")
    axes.set_xlabel("normalised score at the end: (end - teacher's start) / teacher's gain")
    axes.set_xlim(thresholds[0], thresholds[-1])
    axes.set_ylim(-0.02, 1.02)
    for score, text in LANDMARKS.items():
        if thresholds[0] < score < thresholds[-1]:
            axes.axvline(score, color=GREY, linewidth=1, linestyle=(0, (2, 2)), zorder=0)
            axes.text(score, 1.03, text, ha="center", va="bottom", fontsize="x-small", color=GREY)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
