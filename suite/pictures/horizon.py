"""Horizons: an imitator's own gain and its ruler's over the moves played, and where H50 comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from understudy.suite import verdicts
from understudy.suite.judging.horizon import GAIN_UNCLEAR, Horizon, Step
from understudy.suite.pictures.printing import GREY, LINES, legend_below
from understudy.suite.stats import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OWN: dict[str, Any] = {"color": LINES[0][0], "linestyle": "-", "marker": "o", "label": "own"}
GAIN: dict[str, Any] = {"color": GREY, "linestyle": "--", "marker": "s", "label": "G, the ruler's gain"}
PART: dict[str, Any] = {"color": LINES[1][0], "linestyle": (0, (6, 2, 1, 2)), "linewidth": 1.2}
FILLS: dict[str | None, dict[str, Any]] = {  # by why a step counts neither way
    None: {"fillstyle": "full"},
    verdicts.FEW_ENDS: {"fillstyle": "full", "markerfacecolor": "white"},
    GAIN_UNCLEAR: {"fillstyle": "left", "markerfacecoloralt": "white"},
}
DEMONSTRATED: dict[str, Any] = {"marker": "^", "color": LINES[2][0], "label": "demonstrated"}
REFUTED: dict[str, Any] = {"marker": "X", "color": LINES[1][0], "label": "refuted"}
BOTTOM = 0.04  # of the picture's height: where the last two stand
APART = 1.04  # own and G of one h are so far apart on the log axis that both intervals can be seen


def horizon(found: Horizon, title: str) -> Figure:
    """Return own and G at each h = N / 2^k over a log axis, with their intervals, and H50 in the title.

    Full markers count; hollow ones have few episode ends, half-filled ones a ruler's gain that isn't above 0.
    Triangles and crosses along the bottom say at which h the gain is demonstrated, and refuted.

    Args:
        found: of `judging.horizon.measure`, in points an episode over moves.
        title: what is written before H50.

    Raises ValueError where nothing was measured.
    """
    from matplotlib.figure import Figure

    if not found.steps:
        raise ValueError(f"expected steps to draw; found none: {found.reason}")
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    moves = np.array([step.moves for step in found.steps], dtype=np.float64)
    gains = [step.gain for step in found.steps]
    axes.axhline(0.0, color="black", linewidth=0.8)
    _intervals(axes, moves / APART, found.steps, [step.own for step in found.steps], OWN)
    _intervals(axes, moves * APART, found.steps, gains, GAIN)
    axes.plot(moves, [found.share * gain.estimate for gain in gains], label=f"{found.share:g} G", **PART)
    for reason in sorted({step.left_out for step in found.steps if step.left_out}):
        axes.plot([], [], "o", color=GREY, label=f"left out: {reason}", **FILLS[reason])
    _judgements(axes, found.steps)
    _finish(axes, f"{title}\nH50 {found.text} (demonstrated to / refuted from, in moves)", moves)
    legend_below(figure, axes.get_legend_handles_labels()[0])
    return figure


def _intervals(
    axes: Axes, x: np.ndarray, steps: Sequence[Step], intervals: Sequence[Interval], style: dict[str, Any]
) -> None:
    """Draw a line through the estimates, their bounds, and markers that say which steps count."""
    points = np.array([interval.estimate for interval in intervals])
    axes.plot(x, points, markersize=6, linewidth=1.3, zorder=2, **style)
    for at, interval in zip(x, intervals, strict=True):
        if interval.low is not None and interval.high is not None:
            axes.vlines(at, interval.low, interval.high, color=style["color"], linewidth=1.2, zorder=2)
    marks = {"color": style["color"], "marker": style["marker"], "linestyle": "none", "markersize": 6}
    for reason in {step.left_out for step in steps} - {None}:
        chosen = np.array([step.left_out == reason for step in steps])
        axes.plot(x[chosen], points[chosen], label=f"_{reason}", zorder=3, **marks, **FILLS[reason])


def _judgements(axes: Axes, steps: Sequence[Step]) -> None:
    """Mark along the bottom which steps are demonstrated, and which refuted."""
    for style, at in (
        (DEMONSTRATED, [step.moves for step in steps if step.demonstrated]),
        (REFUTED, [step.moves for step in steps if step.refuted]),
    ):
        place = axes.get_xaxis_transform()
        axes.plot(at, [BOTTOM] * len(at), linestyle="none", markersize=8, transform=place, **style)


def _finish(axes: Axes, title: str, moves: np.ndarray) -> None:
    from matplotlib.ticker import EngFormatter, FixedLocator, NullLocator

    axes.set_title(title, fontsize="medium", loc="left")
    axes.set_xlabel("h, moves of the life (skill over the moves from h/2 to h)")
    axes.set_ylabel("gain (points an episode)")
    axes.set_xscale("log", base=2)
    axes.set_xlim(moves[0] / 1.2, moves[-1] * 1.2)
    axes.xaxis.set_major_locator(FixedLocator(list(moves)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    low, high = axes.get_ylim()
    axes.set_ylim(low - 2.5 * BOTTOM * (high - low), high)  # a strip for the judgements
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
