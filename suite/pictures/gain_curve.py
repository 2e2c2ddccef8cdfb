"""Gain curves: a player's skill over the moves of its lives, inside the band of its ruler."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from understudy.suite.judging.contrasts import METHOD
from understudy.suite.judging.curves import Curve, Curves
from understudy.suite.pictures.printing import GREY, LINES, legend_below
from understudy.suite.stats import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLAYER: dict[str, Any] = {"color": LINES[0][0], "linestyle": "-", "marker": "o", "zorder": 4}
RULER: dict[str, Any] = {"color": GREY, "linestyle": "--", "marker": "s", "zorder": 3}
LEVEL: dict[str, Any] = {"color": LINES[1][0], "linestyle": (0, (6, 2, 1, 2)), "linewidth": 1.2, "zorder": 2}
END_WINDOW: dict[str, Any] = {"color": LINES[4][0], "alpha": 0.2, "linewidth": 0, "zorder": 0}


def gain_curve(curves: Curves, title: str, player: str = "player", ruler: str = "ruler") -> Figure:
    """Return a player's skill in the blocks of its lives, beside its ruler's, with their intervals.

    A hollow point rests on a life with few episode ends. At move 0 stand both starts, at the right the end
    window; the dash-dotted line is the ruler's start + the share of its gain that a yes has to pass. A ruler
    that is known by published figures only has no line, but a mark in the end window.

    Args:
        curves: of `judging.curves.measure`, in points an episode over moves.
        title: above the picture.
        player: its name in the legend.
        ruler: the ruler's name in the legend.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    moves, end_begin = curves.edges[-1], curves.edges[-1] - curves.end_moves
    middles = np.add(curves.edges[:-1], curves.edges[1:]) / 2
    units = "teacher lives" if curves.claim == METHOD else "lives"
    shown = [*_line(axes, curves.imitator, middles, player, f"{curves.imitator.units} {units}", PLAYER)]
    shown.append(_mark(axes, 0.0, curves.imitator.start, f"{player}'s start", PLAYER))
    if curves.ruler is not None:
        shown += _line(axes, curves.ruler, middles, ruler, f"{curves.ruler.units} lives", RULER)
        shown.append(_mark(axes, 0.0, curves.ruler.start, f"{ruler}'s start", RULER))
        if not curves.ruler.blocks:
            shown.append(_mark(axes, (end_begin + moves) / 2, curves.ruler.end, f"{ruler}'s end", RULER))
    if curves.level is not None:
        shown.append(axes.axhline(curves.level, label=f"{ruler}'s start + {curves.share:g} G", **LEVEL))
    shown.append(axes.axvspan(end_begin, moves, label="end window", **END_WINDOW))
    _finish(axes, title, moves)
    legend_below(figure, shown)
    return figure


def _line(
    axes: Axes, curve: Curve, middles: np.ndarray, name: str, units: str, style: dict[str, Any]
) -> Iterator[Any]:
    """Draw a line through the blocks over the band of their intervals; yield what the legend names."""
    if not curve.blocks:
        return
    points, few = np.array([block.estimate for block in curve.blocks]), np.array(curve.few_ends)
    yield from axes.plot(middles, points, label=f"{name}, {units}", markersize=3.5, linewidth=1.5, **style)
    if few.any():
        hollow = {**style, "linestyle": "none", "markerfacecolor": "white", "zorder": style["zorder"] + 0.5}
        yield from axes.plot(middles[few], points[few], label=f"{name}: few ends", markersize=3.5, **hollow)
    bounds = [_bounds(block) for block in curve.blocks]
    if None not in bounds:
        low, high = np.array(bounds, dtype=np.float64).T
        axes.fill_between(middles, low, high, color=style["color"], alpha=0.2, linewidth=0, zorder=1)


def _mark(axes: Axes, move: float, interval: Interval, label: str, style: dict[str, Any]) -> Any:
    """Draw a mark with its interval: the player's small and full, so that two at one place can be seen."""
    of_player, bounds = style is PLAYER, _bounds(interval)
    return axes.errorbar(
        [move],
        [interval.estimate],
        yerr=None if bounds is None else np.abs(np.array(bounds)[:, None] - interval.estimate),
        fmt="D",
        color=style["color"],
        markerfacecolor=style["color"] if of_player else "white",
        markersize=5 if of_player else 8,
        capsize=5 if of_player else 8,
        label=label,
        zorder=style["zorder"] + 2,
        clip_on=False,
    )


def _bounds(interval: Interval) -> tuple[float, float] | None:
    if interval.low is None or interval.high is None:
        return None
    return interval.low, interval.high


def _finish(axes: Axes, title: str, moves: int) -> None:
    from matplotlib.ticker import EngFormatter

    axes.set_title(title, fontsize="medium", loc="left")
    axes.set_xlabel("move of the life")
    axes.set_ylabel("skill (points an episode)")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlim(-0.02 * moves, moves)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
