"""An axis: the normalised gain in games over what a training was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from understudy.leaderboard.axes import Measured, Quantity, position
from understudy.leaderboard.figures.printing import GREY, LINES, legend_below
from understudy.suite import escaping

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF_NO, OF_YES = 0.1, 0.5  # shares of the teacher's gain: docs/protocol.md


def axis_figure(points: Sequence[Measured], quantity: Quantity, title: str) -> Figure:
    """Return the gains at some points, with 95 % intervals, over a log axis.

    Lines mark the teacher's gain, and the shares of it that a yes and a no need.

    Raises ValueError where there is no point.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if not points:
        raise ValueError("expected a point to draw; found none")
    ordered = sorted(points, key=lambda each: position(quantity, each))
    x = [position(quantity, each) for each in ordered]
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    colour, dashes, marker = LINES[0]
    axes.plot(
        x,
        [each.gain["estimate"] for each in ordered],
        color=colour,
        linestyle=dashes,
        marker=marker,
        label="gain",
    )
    for at, each in zip(x, ordered, strict=True):
        axes.vlines(at, each.gain["low"], each.gain["high"], color=colour, linewidth=1.2)
    for height, pattern, name in (
        (1.0, "--", "teacher's gain"),
        (OF_YES, ":", "a yes is above"),
        (OF_NO, "-.", "a no is below"),
    ):
        axes.axhline(height, color=GREY, linestyle=pattern, linewidth=1.0, label=name)
    axes.set_title(escaping.mathtext(title), fontsize="medium", loc="left")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(x))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,.3g}" if value < 1e3 else f"{value:,.0f}")
    )
    axes.set_xlabel(quantity)
    axes.set_ylabel("normalised gain")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    legend_below(figure, axes.get_legend_handles_labels()[0])
    return figure
