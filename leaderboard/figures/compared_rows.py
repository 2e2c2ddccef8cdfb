"""Compared rows: their curves over each other, and the differences of every two with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from understudy.leaderboard import comparison
from understudy.leaderboard.comparison import Comparison, Question
from understudy.leaderboard.figures.printing import GREY, LINES, legend_below
from understudy.suite import escaping
from understudy.suite.scoring.curves import Curves, SkillCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_WIDTH, CURVES_HEIGHT, PAIR_HEIGHT, MARGIN = 4.2, 3.4, 0.32, 1.3  # inches
TEACHER: dict[str, Any] = {"color": GREY, "linestyle": (0, (1, 1)), "linewidth": 2.0, "zorder": 2}


def compared_rows(found: Comparison) -> Figure:
    """Return one column a question: above the curves of the rows and the teacher, below the differences.

    Bands are 95 % intervals over units, each of one curve; whether they overlap decides nothing. What is told
    apart is seen below: there a whole interval, adjusted for the number of pairs, is beyond 0 (filled mark).
    Questions without curves have the rows' own numbers above.
    """
    from matplotlib.figure import Figure

    pairs = max(1, found.num_pairs)
    heights = [CURVES_HEIGHT, MARGIN + PAIR_HEIGHT * pairs]
    columns = len(found.questions)
    figure = Figure(figsize=(max(PANEL_WIDTH * columns, 6.0), sum(heights) + 0.6), layout="constrained")
    panels = figure.subplots(2, columns, squeeze=False, height_ratios=heights)
    for column, question in enumerate(found.questions):
        _above(panels[0, column], question, found.names)
        _differences(panels[1, column], question, labelled=column == 0)
    figure.suptitle(
        escaping.mathtext(f"{found.benchmark}, budget {found.budget}"), fontsize="medium", x=0.01, ha="left"
    )
    legend_below(figure, _legend(found))
    return figure


def _above(axes: Axes, question: Question, names: Sequence[str]) -> None:
    axes.set_title(escaping.mathtext(question.label), fontsize="medium", loc="left")
    axes.set_ylabel("points an episode")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if question.curves:
        _curves(axes, question, names)
    else:
        _numbers(axes, question, names)


def _curves(axes: Axes, question: Question, names: Sequence[str]) -> None:
    from matplotlib.ticker import EngFormatter

    for name, curves in question.curves.items():
        _line(axes, curves.imitator, _middles(curves), _style(names.index(name)))
    first = next(iter(question.curves.values()))
    reference = max(
        (curves.reference for curves in question.curves.values() if curves.reference is not None),
        key=lambda one: one.units,
        default=None,
    )
    if reference is not None and reference.blocks:
        _line(axes, reference, _middles(first), TEACHER)
    axes.set_xlabel("move of the run")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlim(0, first.edges[-1])


def _numbers(axes: Axes, question: Question, names: Sequence[str]) -> None:
    """Draw each row's own number at a place of its own."""
    for place, name in enumerate(names):
        row = next(row for row in question.rows if row.name == name)
        if row.number is None:
            continue
        style = {**_style(place), "linestyle": "none"}
        _mark(axes, (place, row.number.estimate), (row.number.low, row.number.high), True, style)
    axes.set_ylabel(question.heading)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_xticks([])


def _differences(axes: Axes, question: Question, labelled: bool) -> None:
    shown = [(comparison.shown_difference(each.pair, question.is_gain), each) for each in question.pairs]
    for place, (difference, each) in enumerate(shown):
        if difference is None or each.pair is None:
            axes.annotate(
                "not compared", (0.02, place), xycoords=("axes fraction", "data"), fontsize="x-small"
            )
            continue
        bounds = difference.low, difference.high
        style = {"color": "black", "marker": "o"}
        _mark(axes, (difference.estimate, place), bounds, each.pair.shown is not None, style, across=True)
    axes.axvline(0.0, color=GREY, linewidth=1.0, zorder=1)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    labels = [escaping.mathtext(f"{each.one} - {each.other}") for _, each in shown]
    axes.set_yticks(range(len(shown)), labels if labelled else [""] * len(shown), fontsize="small")
    measured = {comparison.shown_as(each.pair, question.is_gain) for _, each in shown} - {None}
    axes.set_xlabel(
        f"difference, {' or '.join(sorted(filter(None, measured)))}" if measured else "difference"
    )
    axes.grid(alpha=0.25, axis="x")
    axes.spines[["top", "right"]].set_visible(False)


def _mark(
    axes: Axes,
    place: tuple[float, float],
    bounds: tuple[float | None, float | None],
    filled: bool,
    style: dict[str, Any],
    across: bool = False,
) -> None:
    """Draw a mark at (x, y) with its interval, along x if `across`; it is hollow unless `filled`."""
    low, high = bounds
    error = None
    if low is not None and high is not None:
        estimate = place[0] if across else place[1]
        error = np.array([[estimate - low], [high - estimate]])
    axes.errorbar(
        [place[0]],
        [place[1]],
        xerr=error if across else None,
        yerr=None if across else error,
        capsize=4,
        markersize=6,
        markerfacecolor=style["color"] if filled else "white",
        zorder=4,
        **style,
    )


def _line(axes: Axes, curve: SkillCurve, middles: np.ndarray, style: dict[str, Any]) -> None:
    """Draw the means of the blocks over the band of their intervals."""
    axes.plot(middles, [block.estimate for block in curve.blocks], markersize=3.5, **style)
    bounds = [(block.low, block.high) for block in curve.blocks]
    if all(low is not None and high is not None for low, high in bounds):
        low, high = np.array(bounds, dtype=np.float64).T
        axes.fill_between(middles, low, high, color=style["color"], alpha=0.15, linewidth=0, zorder=1)


def _middles(curves: Curves) -> np.ndarray:
    middles: np.ndarray = np.add(curves.edges[:-1], curves.edges[1:]) / 2
    return middles


def _style(place: int) -> dict[str, Any]:
    colour, dashes, marker = LINES[place % len(LINES)]
    return {"color": colour, "linestyle": dashes, "marker": marker}


def _legend(found: Comparison) -> list[Any]:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], label=escaping.mathtext(name), markersize=4, **_style(place))
        for place, name in enumerate(found.names)
    ]
    if any(curves.reference is not None for each in found.questions for curves in each.curves.values()):
        handles.append(Line2D([], [], label="teacher", **TEACHER))
    for label, face in (("told apart", "black"), ("not told apart", "white")):
        handles.append(
            Line2D([], [], label=label, color="black", linestyle="", marker="o", markerfacecolor=face)
        )
    return handles
