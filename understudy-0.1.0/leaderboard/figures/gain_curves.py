"""Gain curves: a player's skill over the moves of its runs, inside the band of its reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from understudy.leaderboard.figures.printing import GREY, LINES, legend_below
from understudy.suite import escaping
from understudy.suite.scoring.contrasts import METHOD
from understudy.suite.scoring.curves import Curves, SkillCurve
from understudy.suite.scoring.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLAYER: dict[str, Any] = {"color": LINES[0][0], "linestyle": "-", "marker": "o", "zorder": 4}
REFERENCE: dict[str, Any] = {"color": GREY, "linestyle": "--", "marker": "s", "zorder": 3}
YES: dict[str, Any] = {"color": LINES[1][0], "linestyle": (0, (6, 2, 1, 2)), "linewidth": 1.2, "zorder": 2}
END_WINDOW: dict[str, Any] = {"color": LINES[4][0], "alpha": 0.2, "linewidth": 0, "zorder": 0}


def gain_curve(curves: Curves, title: str, player: str = "player", reference: str = "reference") -> Figure:
    """Return a player's skill in the blocks of its runs, beside its reference's, with their intervals.

    A hollow point marks a block in which some run has few episode ends. Both starts are drawn at move 0, the
    end window at the right. The dash-dotted line is the reference's start + the share of its gain above which
    a yes begins. A published reference has no line, only a mark in the end window.

    Args:
        curves: of `scoring.curves.measure`, in points an episode over moves.
        title: of the figure.
        player: its name in the legend.
        reference: the reference's name in the legend.
    """
    from matplotlib.figure import Figure

    title, player, reference = map(escaping.mathtext, (title, player, reference))
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    moves, end_begin = curves.edges[-1], curves.edges[-1] - curves.end_moves
    middles = np.add(curves.edges[:-1], curves.edges[1:]) / 2
    units = "teacher runs" if curves.claim == METHOD else "runs"
    shown = [*_line(axes, curves.imitator, middles, player, f"{curves.imitator.units} {units}", PLAYER)]
    shown.append(_mark(axes, 0.0, curves.imitator.start, f"{player}'s start", PLAYER))
    if curves.reference is not None:
        shown += _line(
            axes, curves.reference, middles, reference, f"{curves.reference.units} runs", REFERENCE
        )
        shown.append(_mark(axes, 0.0, curves.reference.start, f"{reference}'s start", REFERENCE))
        if not curves.reference.blocks:
            shown.append(
                _mark(axes, (end_begin + moves) / 2, curves.reference.end, f"{reference}'s end", REFERENCE)
            )
    if curves.yes_threshold is not None:
        shown.append(
            axes.axhline(
                curves.yes_threshold, label=f"{reference}'s start + {curves.share:g} x its gain", **YES
            )
        )
    shown.append(axes.axvspan(end_begin, moves, label="end window", **END_WINDOW))
    _finish(axes, title, moves)
    legend_below(figure, shown)
    return figure


def _line(
    axes: Axes, curve: SkillCurve, middles: np.ndarray, name: str, units: str, style: dict[str, Any]
) -> Iterator[Any]:
    """Draw a line through the blocks over the band of their intervals; yield the legend's handles."""
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
    """Draw a mark with its interval; the player's is smaller and filled, so that both can be seen."""
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
    axes.set_xlabel("move of the run")
    axes.set_ylabel("skill (points an episode)")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlim(-0.02 * moves, moves)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
