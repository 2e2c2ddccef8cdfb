"""Which charts the site shows of its data: a question's curves, a row's curves, and scatters."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from understudy.leaderboard.site import charts
from understudy.leaderboard.site.charts import Point, Series

TEACHER: Final = "teacher"
AT_W: Final = "teacher at W"
POINTS: Final = "points an episode"
MOST_BANDS: Final = 3  # imitators whose intervals are drawn as bands over each other
Json = Mapping[str, Any]
SCATTERS: Final = {  # key of a row -> label of the axis
    "parameters": "parameters of a checkpoint",
    "state_bytes": "state of a run, bytes",
    "watched_moves": "watched moves in the training data",
}


def question(table: Json, task: Json) -> str | None:
    """Return the picture of one question: the teacher's curve and every imitator's; None without numbers."""
    name = task["name"]
    rows = [row for row in table["rows"] if not row["control"]]
    if task["asks_about_gain"]:
        return _gains(table, name, rows)
    return _starts(table, name, rows)


def row_curve(table: Json, row: Json, task: Json) -> str | None:
    """Return a row's curve inside the band of its reference; None if it was not played to the end."""
    curves = row["curves"].get(task["name"])
    if curves is None:
        return None
    series = [_of_curve(row["name"], curves["imitator"], curves["edges"], 0, row["place"], band=True)]
    if curves["teacher"] is not None and curves["teacher"]["blocks"]:
        series.insert(0, _of_curve(TEACHER, curves["teacher"], curves["edges"], 0, band=True, teacher=True))
    return charts.curves(
        series,
        f"{row['name']} and the teacher: {task['question']}",
        "moves of the run",
        POINTS,
        _threshold(curves),
        (0, curves["edges"][-1]),
    )


def horizon(row: Json, task: Json) -> str | None:
    """Return gains at each run length h; None where none was measured."""
    found = row["horizons"].get(task["name"])
    if found is None or not found["windows"]:
        return None
    windows = found["windows"]
    own = tuple(_point(window["moves"], window["gain"]) for window in windows)
    teachers = tuple(_point(window["moves"], window["teacher_gain"]) for window in windows)
    return charts.curves(
        [
            Series(TEACHER, teachers, 0, is_teacher=True, band=True),
            Series(row["name"], own, 0, row=row["place"], band=True),
        ],
        f"{row['name']}: gain after h moves, {task['label']}",
        "h, moves of the run",
        f"gain, {POINTS}",
        x_range=(0, windows[-1]["moves"]),
    )


def scatters(table: Json, task: Json) -> dict[str, str]:
    """Return scatters of a question's number against each of SCATTERS that two rows or more have."""
    found = {}
    for key, label in SCATTERS.items():
        series = [
            Series(
                row["name"],
                (_point(row[key], row["cells"][task["name"]]["value"]),),
                number,
                row=row["place"],
                said=f"{charts.short(row[key])} {label}",
            )
            for number, row in enumerate(_with_value(table, task["name"]))
            if row.get(key)
        ]
        if len(series) > 1:
            found[key] = charts.scatter(series, f"{task['label']} against {label}", label, task["heading"])
    return found


def _gains(table: Json, name: str, rows: Iterable[Json]) -> str | None:
    teacher = table["teacher"][name]
    found = [(i, row, row["curves"][name]) for i, row in enumerate(rows) if name in row["curves"]]
    bands = len(found) <= MOST_BANDS
    series = [
        _of_curve(row["name"], curves["imitator"], curves["edges"], i, row["place"], band=bands)
        for i, row, curves in found
    ]
    threshold = None
    if teacher is not None and teacher["curve"] is not None and teacher["curve"]["blocks"]:
        series.insert(0, _of_curve(TEACHER, teacher["curve"], teacher["edges"], 0, band=True, teacher=True))
        threshold = _threshold(teacher)
    if not series:
        return None
    end = max(point[0] for one in series for point in one.points)
    title = _title(table, name)
    return charts.curves(
        series, title, "moves after the start", POINTS, threshold, (0, max(end, table["moves"]))
    )


def _starts(table: Json, name: str, rows: Iterable[Json]) -> str | None:
    """Return the teacher's curve over the watched moves, and where each imitator starts, right of W."""
    watched, end = table["watched_curve"], table["watched_moves"]
    found = [
        (number, row, row["cells"][name]["value"])
        for number, row in enumerate(rows)
        if row["cells"].get(name, {}).get("value") is not None
    ]
    teacher = table["teacher"][name]
    step = 0.04 * end
    series = [
        Series(
            row["name"],
            (_point(end + step * (1 + place), value),),
            number,
            row=row["place"],
            said=_said(value),
        )
        for place, (number, row, value) in enumerate(found)
    ]
    if watched is not None:
        series.insert(0, _of_curve(TEACHER, watched, watched["edges"], 0, band=True, teacher=True))
    if not series:
        return None
    if teacher is not None:
        at_w = teacher["points"]
        series.insert(0, Series(AT_W, (_point(end, at_w),), 0, is_teacher=True, said=_said(at_w)))
    far = end + step * (1 + len(found))
    return charts.curves(series, _title(table, name), "moves that were watched", POINTS, None, (0, far))


def _title(table: Json, name: str) -> str:
    task = next(each for each in table["tasks"] if each["name"] == name)
    return f"{task['question']} {table['benchmark']}, budget {table['budget']}"


def _with_value(table: Json, task: str) -> Sequence[Json]:
    return [
        row
        for row in table["rows"]
        if not row["control"] and row["cells"].get(task, {}).get("value") is not None
    ]


def _of_curve(
    name: str,
    curve: Json,
    edges: Sequence[int],
    style: int,
    row: str = "",
    *,
    band: bool = False,
    teacher: bool = False,
) -> Series:
    middles = [(begin + end) / 2 for begin, end in itertools.pairwise(edges)]
    points = tuple(_point(at, block) for at, block in zip(middles, curve["blocks"], strict=True))
    said = f"{_number(points[0][1])} to {_number(points[-1][1])} {POINTS}" if points else ""
    return Series(name, points, style, teacher, row, band, said)


def _threshold(curves: Json) -> tuple[float, str] | None:
    if curves["yes_threshold"] is None:
        return None
    return curves["yes_threshold"], f"{curves['yes_share']:g} of the teacher's gain"


def _point(x: float, interval: Json) -> Point:
    return float(x), interval["estimate"], interval["low"], interval["high"]


def _said(interval: Json) -> str:
    return f"{_number(interval['estimate'])} {POINTS}"


def _number(value: float) -> str:
    return f"{value:.3g}"
