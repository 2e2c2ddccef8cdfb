"""Charts of the site: SVG text from numbers, coloured by the site's style sheet, readable without colour.

Lines differ in colour, dashes and marks, and carry their names. Nothing is drawn by a script, so a chart can
be printed, and read where scripts are off. All text that a stranger may have chosen is escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from understudy.suite import escaping

WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 46, 142, 14, 38  # margins; names stand in the right one
STYLES: Final = 6  # kinds of lines, as `site.css` draws them
MARKS: Final = ("circle", "square", "triangle", "diamond", "cross", "ring")
NAMED: Final = 7  # most lines whose names are always shown; those of others appear when pointed at
NAME_HEIGHT: Final = 13.0
SHOWN_LETTERS: Final = 21  # of a name beside its line

Point = tuple[float, float, float | None, float | None]  # x, y, and the bounds of y


@dataclass(frozen=True)
class Series:
    """A line with its intervals, or single points with theirs."""

    name: str
    points: tuple[Point, ...]  # in increasing x
    style: int  # which of STYLES; the teacher has none of them
    is_teacher: bool = False
    row: str = ""  # the row's place, by which the page's script finds it
    band: bool = False  # whether the intervals are drawn as a band; error bars where there is one point
    said: str = ""  # what is said of it when pointed at


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic map from numbers to pixels."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high, at = (math.log10(each) if self.log else each for each in (self.low, self.high, value))
        share = 0.5 if high == low else (at - low) / (high - low)
        return self.begin + share * (self.end - self.begin)


def curves(
    series: Sequence[Series],
    title: str,
    x_label: str,
    y_label: str,
    threshold: tuple[float, str] | None = None,
    x_range: tuple[float, float] | None = None,
) -> str:
    """Return lines over a linear axis of moves.

    Args:
        series: drawn in this order, so that the last is on top; at least one with points.
        title: what the chart shows, read by screen readers.
        x_label: of the axis below.
        y_label: of the left axis.
        threshold: height and name of a horizontal line.
        x_range: of the axis below; None: of the points.
    """
    shown = [one for one in series if one.points]
    xs = [point[0] for one in shown for point in one.points]
    low_x, high_x = x_range or (min(xs), max(xs))
    x = Scale(low_x, high_x, LEFT, WIDTH - RIGHT)
    y = _y_scale(shown, [threshold[0]] if threshold else [])
    parts = [*_axes(x, y, x_label, y_label)]
    line, name = _threshold(threshold, x, y) if threshold else ("", "")
    places = _name_places(shown, y)
    parts += [line, *(_line(one, x, y, places.get(number)) for number, one in enumerate(shown)), name]
    return _svg(title, parts)


def scatter(series: Sequence[Series], title: str, x_label: str, y_label: str) -> str:
    """Return single points over a logarithmic axis; arguments as of `curves`, every x above 0."""
    xs = [point[0] for one in series for point in one.points]
    low, high = 10 ** math.floor(math.log10(min(xs))), 10 ** math.ceil(math.log10(max(xs)))
    x = Scale(low, high if high > low else 10 * low, LEFT, WIDTH - RIGHT, log=True)
    y = _y_scale(series, [0.0])
    places = _name_places(series, y)
    parts = [*_axes(x, y, x_label, y_label)]
    parts += [_line(one, x, y, places.get(number), beside=True) for number, one in enumerate(series)]
    return _svg(title, parts)


def short(number: float) -> str:
    """Return a number for an axis, e.g. `2.5M`, `250k`, `0.25`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number + 0.0:.3g}"


def element(tag: str, content: str = "", **attributes: Any) -> str:
    """Return an SVG element; attributes are escaped, the content is markup already.

    An underscore in an attribute's name stands for a hyphen, `class_` for `class`; None leaves it out.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{written}>{content}</{tag}>" if content else f"<{tag}{written}/>"


def _attribute(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else escaping.html(str(value))


def _svg(title: str, parts: Sequence[str]) -> str:
    text = escaping.html(title)
    body = f"<title>{text}</title>{''.join(parts)}"
    return element("svg", body, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", class_="chart", aria_label=title)


def _y_scale(series: Sequence[Series], more: Sequence[float]) -> Scale:
    values = [value for one in series for point in one.points for value in point[1:] if value is not None]
    values += more
    low, high = min([0.0, *values]), max([0.0, *values])
    room = 0.06 * (high - low) or 1.0
    return Scale(low - (room if low < 0 else 0.0), high + room, HEIGHT - BOTTOM, TOP)


def _ticks(scale: Scale) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    if scale.log:
        first, last = round(math.log10(scale.low)), round(math.log10(scale.high))
        return [10.0**power for power in range(first, last + 1)]
    found = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(scale.low, scale.high)
    room = 1e-9 * (scale.high - scale.low)
    return [float(tick) for tick in found if scale.low - room <= tick <= scale.high + room]


def _axes(x: Scale, y: Scale, x_label: str, y_label: str) -> Iterator[str]:
    right, foot = WIDTH - RIGHT, HEIGHT - BOTTOM
    for tick in _ticks(y):
        at = y(tick)
        yield element("line", x1=LEFT, x2=right, y1=at, y2=at, class_="grid")
        yield element("text", short(tick), x=LEFT - 6, y=at + 4, class_="tick", text_anchor="end")
    for tick in _ticks(x):
        at = x(tick)
        yield element("line", x1=at, x2=at, y1=foot, y2=foot + 4, class_="axis")
        yield element("text", short(tick), x=at, y=foot + 16, class_="tick", text_anchor="middle")
    yield element("line", x1=LEFT, x2=right, y1=foot, y2=foot, class_="axis")
    middle = (LEFT + right) / 2
    yield element(
        "text", escaping.html(x_label), x=middle, y=HEIGHT - 4, class_="label", text_anchor="middle"
    )
    height = (TOP + foot) / 2
    turned = f"rotate(-90 11 {height:g})"
    yield element(
        "text", escaping.html(y_label), x=11, y=height, class_="label", text_anchor="middle", transform=turned
    )


def _threshold(threshold: tuple[float, str], x: Scale, y: Scale) -> tuple[str, str]:
    """Return a threshold's line, which lies under the curves, and its name, which lies over them."""
    at, text = y(threshold[0]), escaping.html(threshold[1])
    return (
        element("line", x1=x.begin, x2=x.end, y1=at, y2=at, class_="threshold"),
        element("text", text, x=x.begin + 5, y=at - 4, class_="tick over"),
    )


def _name_places(series: Sequence[Series], y: Scale) -> dict[int, float]:
    """Return the height of each always-shown name beside its line's end, apart from the others'."""
    order = sorted(range(len(series)), key=lambda number: (not series[number].is_teacher, -number))
    chosen = sorted(order[:NAMED], key=lambda number: y(series[number].points[-1][1]))
    places: dict[int, float] = {}
    last = -math.inf
    for number in chosen:
        last = max(last + NAME_HEIGHT, y(series[number].points[-1][1]) + 4)
        places[number] = last
    over = last - (HEIGHT - BOTTOM + 4)
    if over > 0:  # push up from the bottom
        limit = math.inf
        for number in reversed(chosen):
            limit = min(limit - NAME_HEIGHT, places[number], HEIGHT - BOTTOM + 4)
            places[number] = limit
    return places


def _line(one: Series, x: Scale, y: Scale, name_at: float | None, beside: bool = False) -> str:
    """Return a group of band, line, marks and name, which is hidden until pointed at if it has no place."""
    at = [(x(point[0]), y(point[1])) for point in one.points]
    parts = []
    bounds = [(point[2], point[3]) for point in one.points]
    if None not in [bound for pair in bounds for bound in pair]:
        known = [(low, high) for low, high in bounds if low is not None and high is not None]
        if len(at) == 1:
            (px, _), (low, high) = at[0], known[0]
            parts.append(element("line", x1=px, x2=px, y1=y(low), y2=y(high), class_="bar"))
        elif one.band:
            upper = [f"{px:.1f},{y(high):.1f}" for (px, _), (_, high) in zip(at, known, strict=True)]
            lower = [f"{px:.1f},{y(low):.1f}" for (px, _), (low, _) in zip(at, known, strict=True)]
            parts.append(element("polygon", points=" ".join([*upper, *reversed(lower)]), class_="band"))
    if len(at) > 1:
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in at)
        parts.append(element("polyline", points=path, class_="hit"))
        parts.append(element("polyline", points=path, class_="line"))
    kind = "dot" if one.is_teacher else MARKS[one.style % len(MARKS)]
    chosen = at if len(at) == 1 else [at[-1]] if one.is_teacher else at[:: max(1, len(at) // 5)]
    parts += [_mark(kind, px, py) for px, py in chosen]
    px, py = at[-1]
    height = py + 4 if name_at is None else name_at
    if name_at is not None and abs(height - py - 4) > 2 and not beside:
        parts.append(element("line", x1=px + 4, y1=py, x2=WIDTH - RIGHT + 8, y2=height - 4, class_="leader"))
    left = px + 8 if beside else WIDTH - RIGHT + 10
    name = one.name if len(one.name) <= SHOWN_LETTERS else f"{one.name[: SHOWN_LETTERS - 1]}…"
    state = "name" if name_at is not None else "name hidden"
    where = py + 4 if beside else height
    parts.append(element("text", escaping.html(name), x=left, y=where, class_=state))
    said = escaping.html(f"{one.name}: {one.said}" if one.said else one.name)
    kind = "teacher" if one.is_teacher else f"s{one.style % STYLES}"
    return element(
        "g",
        f"<title>{said}</title>{''.join(parts)}",
        class_=f"series {kind}",
        data_row=one.row or None,
        tabindex="0",
        role="img",
        aria_label=f"{one.name}: {one.said}" if one.said else one.name,
    )


def _mark(kind: str, x: float, y: float) -> str:
    shapes: Mapping[str, str] = {
        "dot": element("circle", cx=x, cy=y, r=3, class_="mark"),
        "circle": element("circle", cx=x, cy=y, r=3.2, class_="mark"),
        "ring": element("circle", cx=x, cy=y, r=3.2, class_="mark open"),
        "square": element("rect", x=x - 3, y=y - 3, width=6, height=6, class_="mark"),
        "triangle": element(
            "polygon",
            points=f"{x:.1f},{y - 4:.1f} {x + 4:.1f},{y + 3:.1f} {x - 4:.1f},{y + 3:.1f}",
            class_="mark",
        ),
        "diamond": element(
            "polygon",
            points=f"{x:.1f},{y - 4:.1f} {x + 4:.1f},{y:.1f} {x:.1f},{y + 4:.1f} {x - 4:.1f},{y:.1f}",
            class_="mark",
        ),
        "cross": element(
            "path", d=f"M{x - 3:.1f},{y - 3:.1f}l6,6M{x - 3:.1f},{y + 3:.1f}l6,-6", class_="mark open"
        ),
    }
    return shapes[kind]
