"""The overview: the curves of the teacher and of every imitator, one panel per question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from understudy.leaderboard.figures.printing import GREY, LINES
from understudy.suite import escaping
from understudy.suite.scoring.curves import Curves, SkillCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEACHER: dict[str, Any] = {"color": GREY, "linewidth": 3.0, "zorder": 3}


def overview(panels: Mapping[str, Mapping[str, Curves]]) -> Figure:
    """Return one panel per question, with the teacher's skill and that of each imitator over the moves.

    Bands are 95 % intervals over units. Names are at the ends of the lines instead of in a legend.

    Args:
        panels: title -> imitator -> its curves, which share their reference; at least one imitator a panel.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 3.9), layout="constrained")
    for axes, (title, curves) in zip(
        np.atleast_1d(figure.subplots(1, len(panels))), panels.items(), strict=True
    ):
        _panel(axes, title, curves)
    return figure


def _panel(axes: Axes, title: str, curves: Mapping[str, Curves]) -> None:
    from matplotlib.ticker import EngFormatter

    first = next(iter(curves.values()))
    middles = np.add(first.edges[:-1], first.edges[1:]) / 2
    ends: dict[str, tuple[float, str]] = {}
    if first.reference is not None and first.reference.blocks:
        ends["teacher (DQN)"] = _line(axes, first.reference, middles, TEACHER), GREY
    for number, (name, each) in enumerate(curves.items()):
        colour, dashes, marker = LINES[number % len(LINES)]
        style = {"color": colour, "linestyle": dashes, "marker": marker, "markersize": 3.5, "zorder": 4}
        ends[name] = _line(axes, each.imitator, middles, style), colour
    low, high = axes.get_ylim()
    for name, place in _spread({name: end for name, (end, _) in ends.items()}, 0.065 * (high - low)).items():
        axes.annotate(
            escaping.mathtext(name),
            (middles[-1], ends[name][0]),
            (1.025 * first.edges[-1], place),
            color=ends[name][1],
            fontsize="small",
            verticalalignment="center",
            annotation_clip=False,
        )
    axes.set_title(escaping.mathtext(title), fontsize="medium", loc="left")
    axes.set_xlabel("moves")
    axes.set_ylabel("points an episode")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlim(0, first.edges[-1])
    axes.set_ylim(bottom=min(0.0, low))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _line(axes: Axes, curve: SkillCurve, middles: np.ndarray, style: dict[str, Any]) -> float:
    """Draw a curve over the band of its intervals; return its last value."""
    points = np.array([block.estimate for block in curve.blocks])
    axes.plot(middles, points, **style)
    bounds = [(block.low, block.high) for block in curve.blocks]
    if not any(bound is None for pair in bounds for bound in pair):
        low, high = np.array(bounds, dtype=np.float64).T
        axes.fill_between(middles, low, high, color=style["color"], alpha=0.18, linewidth=0, zorder=1)
    return float(points[-1])


def _spread(ends: Mapping[str, float], apart: float) -> dict[str, float]:
    """Return a height for each name, in the order of the ends, at least `apart` from each other."""
    placed: dict[str, float] = {}
    height = -np.inf
    for name, end in sorted(ends.items(), key=lambda pair: pair[1]):
        height = max(end, height + apart)
        placed[name] = height
    return placed
