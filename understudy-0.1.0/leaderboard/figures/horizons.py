"""Horizons: the gains of an imitator and of its reference over the moves played, and H50."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from understudy.leaderboard.figures.printing import GREY, LINES, legend_below
from understudy.suite import escaping
from understudy.suite.scoring import verdicts
from understudy.suite.scoring.horizon import GAIN_UNCLEAR, Horizon, HorizonWindow
from understudy.suite.scoring.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

IMITATOR: dict[str, Any] = {"color": LINES[0][0], "linestyle": "-", "marker": "o", "label": "gain"}
TEACHER: dict[str, Any] = {"color": GREY, "linestyle": "--", "marker": "s", "label": "teacher's gain"}
PART: dict[str, Any] = {"color": LINES[1][0], "linestyle": (0, (6, 2, 1, 2)), "linewidth": 1.2}
FILLS: dict[str | None, dict[str, Any]] = {  # by the reason why a window counts neither way
    None: {"fillstyle": "full"},
    verdicts.FEW_ENDS: {"fillstyle": "full", "markerfacecolor": "white"},
    GAIN_UNCLEAR: {"fillstyle": "left", "markerfacecoloralt": "white"},
}
DEMONSTRATED: dict[str, Any] = {"marker": "^", "color": LINES[2][0], "label": "demonstrated"}
REFUTED: dict[str, Any] = {"marker": "X", "color": LINES[1][0], "label": "refuted"}
BOTTOM = 0.04  # height of the last two, as a share of the figure's
APART = 1.04  # ratio of the moves at which both gains of one h are drawn, so that their intervals can be seen


def horizon(found: Horizon, title: str) -> Figure:
    """Return the imitator's and the teacher's gain at each h = N / 2^k over a log axis, and H50 in the title.

    Full markers count; hollow ones have few episode ends, half-filled ones no teacher's gain above 0.
    Triangles and crosses along the bottom mark the h at which the gain is demonstrated and refuted.

    Args:
        found: of `scoring.horizon.measure`, in points an episode over moves.
        title: written before H50.

    Raises ValueError where nothing was measured.
    """
    from matplotlib.figure import Figure

    if not found.windows:
        raise ValueError(f"expected windows to draw; found none: {found.reason}")
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    moves = np.array([window.moves for window in found.windows], dtype=np.float64)
    gains = [window.teacher_gain for window in found.windows]
    axes.axhline(0.0, color="black", linewidth=0.8)
    _intervals(axes, moves / APART, found.windows, [window.gain for window in found.windows], IMITATOR)
    _intervals(axes, moves * APART, found.windows, gains, TEACHER)
    axes.plot(
        moves,
        [found.share * gain.estimate for gain in gains],
        label=f"{found.share:g} x teacher's gain",
        **PART,
    )
    for reason in sorted({window.left_out for window in found.windows if window.left_out}):
        axes.plot([], [], "o", color=GREY, label=f"left out: {reason}", **FILLS[reason])
    _outcomes(axes, found.windows)
    _finish(
        axes,
        f"{escaping.mathtext(title)}\nH50 {found.text} (demonstrated to / refuted from, in moves)",
        moves,
    )
    legend_below(figure, axes.get_legend_handles_labels()[0])
    return figure


def _intervals(
    axes: Axes,
    x: np.ndarray,
    windows: Sequence[HorizonWindow],
    intervals: Sequence[Interval],
    style: dict[str, Any],
) -> None:
    """Draw a line through the estimates, their bounds, and markers that show which windows count."""
    points = np.array([interval.estimate for interval in intervals])
    axes.plot(x, points, markersize=6, linewidth=1.3, zorder=2, **style)
    for at, interval in zip(x, intervals, strict=True):
        if interval.low is not None and interval.high is not None:
            axes.vlines(at, interval.low, interval.high, color=style["color"], linewidth=1.2, zorder=2)
    marks = {"color": style["color"], "marker": style["marker"], "linestyle": "none", "markersize": 6}
    for reason in {window.left_out for window in windows} - {None}:
        chosen = np.array([window.left_out == reason for window in windows])
        axes.plot(x[chosen], points[chosen], label=f"_{reason}", zorder=3, **marks, **FILLS[reason])


def _outcomes(axes: Axes, windows: Sequence[HorizonWindow]) -> None:
    """Mark along the bottom which windows are demonstrated, and which refuted."""
    for style, at in (
        (DEMONSTRATED, [window.moves for window in windows if window.demonstrated]),
        (REFUTED, [window.moves for window in windows if window.refuted]),
    ):
        place = axes.get_xaxis_transform()
        axes.plot(at, [BOTTOM] * len(at), linestyle="none", markersize=8, transform=place, **style)


def _finish(axes: Axes, title: str, moves: np.ndarray) -> None:
    from matplotlib.ticker import EngFormatter, FixedLocator, NullLocator

    axes.set_title(title, fontsize="medium", loc="left")
    axes.set_xlabel("h, moves of the run (skill over the moves from h/2 to h)")
    axes.set_ylabel("gain (points an episode)")
    axes.set_xscale("log", base=2)
    axes.set_xlim(moves[0] / 1.2, moves[-1] * 1.2)
    axes.xaxis.set_major_locator(FixedLocator(list(moves)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    low, high = axes.get_ylim()
    axes.set_ylim(low - 2.5 * BOTTOM * (high - low), high)  # room for the outcomes
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
