"""Board figures: draws the descriptions of scored rows and writes them beside the tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from understudy.leaderboard import descriptions
from understudy.leaderboard.scores import ScoredRow
from understudy.suite import tasks
from understudy.suite.scoring.aggregates import Band
from understudy.suite.scoring.contrasts import METHOD
from understudy.suite.scoring.normalised import Normalised

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER: Final = "figures"
REFERENCE: Final = "teacher"
FARTHEST: Final = (-1.0, 2.0)  # widest range of normalised scores that a profile shows
THRESHOLDS: Final = 201


def write(scored: Sequence[ScoredRow], out: Path) -> list[Path]:
    """Write `<out>/figures/<benchmark>/<budget>/`: each row's curves and horizons, and the profiles.

    A row has `<name>-<task>.svg` for each gain task that was played to its end, `<name>-<task>-horizon.svg`
    if a horizon was measured; `profiles.svg` shows the rows with a usable reference. The same rows give the
    same bytes.

    Returns:
        The files written, in that order.

    Raises:
        OSError: a file cannot be written.
    """
    from understudy.leaderboard.figures import printing

    written = []
    for place, figure in _figures(scored):
        path = out / FOLDER / place
        printing.write(figure, path)
        written.append(path)
    return written


def _figures(scored: Sequence[ScoredRow]) -> Iterator[tuple[Path, Figure]]:
    of_budget: dict[Path, list[ScoredRow]] = {}
    for one in scored:
        folder = Path(one.folder.benchmark, one.folder.budget)
        of_budget.setdefault(folder, []).append(one)
        yield from _figures_of_row(one, folder)
    for folder, rows in of_budget.items():
        profile = _profile(rows)
        if profile is not None:
            yield folder / "profiles.svg", profile


def _figures_of_row(scored: ScoredRow, folder: Path) -> Iterator[tuple[Path, Figure]]:
    from understudy.leaderboard.figures import gain_curves, horizons

    name = scored.folder.name
    for task, found in scored.described.items():
        title = f"{tasks.load(task).label}, {scored.folder.benchmark} {scored.folder.budget}"
        if found.curves is not None:
            yield folder / f"{name}-{task}.svg", gain_curves.gain_curve(found.curves, title, name, REFERENCE)
        if found.horizon.windows:
            yield folder / f"{name}-{task}-horizon.svg", horizons.horizon(found.horizon, f"{name}: {title}")


def _profile(rows: Sequence[ScoredRow]) -> Figure | None:
    """Return the profiles of a table's rows, one panel per task; None if no score can be normalised."""
    from understudy.leaderboard.figures import profiles

    scores: dict[str, dict[str, Normalised]] = {}
    for row in rows:
        for task, found in row.described.items():
            if found.normalised is not None:
                scores.setdefault(task, {})[row.folder.name] = found.normalised
    if not scores:
        return None
    thresholds = _thresholds([one for of_task in scores.values() for one in of_task.values()])
    panels: dict[str, dict[str, Band]] = {
        tasks.load(task).label: {
            f"{name} ({_units(one)})": descriptions.profile(one, thresholds) for name, one in of_task.items()
        }
        for task, of_task in scores.items()
    }
    return profiles.profiles(panels, thresholds)


def _units(one: Normalised) -> str:
    return f"{len(one.units)} {'teacher runs' if one.claim == METHOD else 'runs'}"


def _thresholds(scores: Sequence[Normalised]) -> np.ndarray:
    """Return increasing thresholds [T] over the reference's start and end, and the scores within FARTHEST."""
    values = [value for one in scores for value in one.scores]
    low = max(FARTHEST[0], min(-0.25, math.floor(4 * min(values)) / 4))
    high = min(FARTHEST[1], max(1.25, math.ceil(4 * max(values)) / 4))
    return np.linspace(low, high, THRESHOLDS)
