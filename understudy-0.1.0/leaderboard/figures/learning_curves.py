"""Learning curves: skill per block over the moves of runs, one panel per game."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from understudy.leaderboard.figures.printing import GREY, LINES
from understudy.suite import escaping
from understudy.suite.scoring import scored_runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from understudy.suite.histories.history_format import History

MOST_LINES = 6  # of runs drawn distinctly in one panel; more become thin lines and their mean
MOST_GAMES = 6  # of a family with a panel each; more share one


@dataclass(frozen=True, eq=False)
class Curve:
    """The skill of one run, block after block."""

    game: str  # "family/variant"
    name: str  # of the run, for the legend
    moves: np.ndarray  # [blocks] the middle of each block, in moves of the run, rising
    skill: np.ndarray  # [blocks] points an episode
    watched_moves: int | None = None  # W, where the run has one

    def __post_init__(self) -> None:
        if self.moves.ndim != 1 or self.moves.shape != self.skill.shape or not len(self.moves):
            raise ValueError(
                f"{self.name}: expected moves and skill [blocks], at least one; "
                f"found {list(self.moves.shape)} and {list(self.skill.shape)}"
            )


def of_history(history: History, name: str) -> Curve:
    """Return the learning curve of a run in which an episode ended, in up to 20 blocks of equal length."""
    run = scored_runs.ScoredRun(name, 0, 0, history.reward, history.ended)
    count = min(scored_runs.NUM_BLOCKS, history.num_moves)
    blocks = scored_runs.blocks(run, history.num_moves, minimum_ends=1, num_blocks=count)
    edges = np.arange(count + 1) * history.num_moves // count
    watched = history.header.run.get("watched_moves")
    return Curve(
        game=history.header.game,
        name=name,
        moves=(edges[:-1] + edges[1:]) / 2,
        skill=np.array([block.value for block in blocks]),
        watched_moves=watched if isinstance(watched, int) else None,
    )


def learning_curve(curves: Sequence[Curve]) -> Figure:
    """Return the runs' learning curves: one panel per game, or one for a family of more than six games.

    Up to six runs in a panel are drawn as a line each, more as thin lines under their mean. A vertical line
    marks W if a run has one. Raises ValueError if there is no run.
    """
    from matplotlib.figure import Figure

    if not curves:
        raise ValueError("expected at least one run to draw")
    panels = _panels(curves)
    columns = min(len(panels), 2 if len(panels) != 3 else 3)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(6.4 if columns == 1 else 4.8 * columns, 3.6 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, (title, members) in zip(grid.flat, panels.items(), strict=False):
        _draw_panel(axes, title, members)
    for axes in list(grid.flat)[len(panels) :]:
        axes.remove()
    return figure


def _panels(curves: Sequence[Curve]) -> dict[str, list[Curve]]:
    """Return the curves of each panel by its title, in the given order."""
    games_of: dict[str, set[str]] = {}
    for curve in curves:
        games_of.setdefault(_family(curve), set()).add(curve.game)
    panels: dict[str, list[Curve]] = {}
    for curve in curves:
        games = len(games_of[_family(curve)])
        title = curve.game if games <= MOST_GAMES else f"{_family(curve)}, {games} games"
        panels.setdefault(title, []).append(curve)
    return panels


def _family(curve: Curve) -> str:
    return curve.game.partition("/")[0]


def _draw_panel(axes: Axes, title: str, curves: Sequence[Curve]) -> None:
    from matplotlib.ticker import EngFormatter

    if len(curves) <= MOST_LINES:
        for curve, (colour, dashes, marker) in zip(curves, LINES, strict=False):
            axes.plot(
                curve.moves,
                curve.skill,
                dashes,
                color=colour,
                marker=marker,
                markersize=3.5,
                label=escaping.mathtext(curve.name),
            )
    else:
        _draw_many(axes, curves)
    axes.set_title(escaping.mathtext(title), fontsize="medium", loc="left")
    axes.set_xlabel("move of the run")
    axes.set_ylabel("skill (points an episode)")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlim(0, 1.05 * max(curve.moves[-1] for curve in curves))
    for watched in sorted({curve.watched_moves for curve in curves if curve.watched_moves}):
        _mark_watched(axes, watched)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize="small", edgecolor="none", framealpha=0.8, loc="best")


def _mark_watched(axes: Axes, watched: int) -> None:
    """Draw a line at W; if W is far beyond the runs, only name it in the legend."""
    style: dict[str, Any] = {"color": GREY, "linewidth": 1, "linestyle": (0, (2, 2))}
    _, last = axes.get_xlim()
    if watched > 1.25 * last:
        axes.plot([], [], label=f"W = {watched:,} (not reached)", **style)
    else:
        axes.axvline(watched, label=f"W = {watched:,}", **style)
        axes.set_xlim(0, max(last, 1.02 * watched))


def _draw_many(axes: Axes, curves: Sequence[Curve]) -> None:
    """Draw each run thin and grey, and their mean over the moves that all of them have."""
    for curve in curves:
        axes.plot(curve.moves, curve.skill, color="0.6", linewidth=0.6, alpha=0.5)
    axes.plot([], [], color="0.6", linewidth=0.6, label=f"{len(curves)} runs")
    first = max(curve.moves[0] for curve in curves)
    last = min(curve.moves[-1] for curve in curves)
    if first <= last:
        shared = np.linspace(first, last, max(len(curve.moves) for curve in curves))
        mean = np.mean([np.interp(shared, curve.moves, curve.skill) for curve in curves], axis=0)
        axes.plot(shared, mean, color=LINES[0][0], linewidth=2, label="their mean")
