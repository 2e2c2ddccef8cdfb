"""Charts: places worked out by hand, marks without colour, names apart, text escaped."""

import itertools
import re
import xml.etree.ElementTree as ElementTree

import pytest

from understudy.leaderboard.site import charts
from understudy.leaderboard.site.charts import Scale, Series

SVG = "{http://www.w3.org/2000/svg}"


def parsed(text):
    """Return the chart's root; it is well-formed XML."""
    return ElementTree.fromstring(text)


def line(name, heights, **values):
    points = tuple((float(x), float(y), None, None) for x, y in enumerate(heights))
    return Series(name, points, **{"style": 0, **values})


def test_linear_scale_by_hand():
    scale = Scale(0.0, 10.0, 100.0, 200.0)
    assert [scale(value) for value in (0, 5, 10)] == [100, 150, 200]


def test_logarithmic_scale_by_hand():
    scale = Scale(1.0, 100.0, 0.0, 50.0, log=True)
    assert [scale(value) for value in (1, 10, 100)] == [0, 25, 50]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (-0.0, "0"), (0.25, "0.25"), (2_500, "2.5k"), (2_500_000, "2.5M"), (-1_500, "-1.5k")],
)
def test_numbers_on_axes(number, text):
    assert charts.short(number) == text


def test_a_line_is_drawn_where_its_numbers_are():
    chart = parsed(charts.curves([line("one", [0.0, 10.0])], "title", "x", "y", x_range=(0, 1)))
    (path,) = [each for each in chart.iter("polyline") if each.get("class") == "line"]
    (x0, y0), (x1, y1) = [tuple(map(float, point.split(","))) for point in path.get("points").split()]
    assert (x0, x1) == (charts.LEFT, charts.WIDTH - charts.RIGHT)
    assert y0 == charts.HEIGHT - charts.BOTTOM
    top = charts.HEIGHT - charts.BOTTOM - (charts.HEIGHT - charts.BOTTOM - charts.TOP) * 10 / 10.6
    assert y1 == pytest.approx(top, abs=0.06)


def test_lines_differ_without_colour():
    chart = parsed(charts.curves([line(f"line {i}", [i, i], style=i) for i in range(6)], "title", "x", "y"))
    groups = list(chart.iter("g"))
    assert len({group.get("class") for group in groups}) == 6
    marks = {
        (mark.tag, mark.get("class"), len(mark.get("points", "").split()))
        for g in groups
        for mark in g
        if "mark" in (mark.get("class") or "")
    }
    assert len(marks) == 6


def test_names_are_apart_even_where_lines_end_together():
    chart = parsed(charts.curves([line(f"line {i}", [1, 1], style=i) for i in range(7)], "title", "x", "y"))
    heights = sorted(float(t.get("y")) for t in chart.iter("text") if t.get("class") == "name")
    assert len(heights) == 7
    assert min(b - a for a, b in itertools.pairwise(heights)) >= charts.NAME_HEIGHT - 0.01
    assert heights[-1] <= charts.HEIGHT - charts.BOTTOM + 4.01


def test_of_many_lines_some_names_are_hidden_until_pointed_at_and_the_teachers_never():
    many = [line("teacher", [1, 2], is_teacher=True), *(line(f"l{i}", [1, i]) for i in range(30))]
    chart = parsed(charts.curves(many, "title", "x", "y"))
    names = {t.text: t.get("class") for t in chart.iter("text") if "name" in (t.get("class") or "")}
    assert list(names.values()).count("name") == charts.NAMED
    assert names["teacher"] == "name"


def test_each_line_says_its_name_to_who_points_at_it():
    chart = parsed(charts.curves([line("one", [0, 1], said="0 to 1 points")], "title", "x", "y"))
    (group,) = chart.iter("g")
    assert group.find("title").text == "one: 0 to 1 points"
    assert group.get("aria-label") == "one: 0 to 1 points"


def test_bands_hold_the_bounds():
    series = Series("one", ((0.0, 5.0, 0.0, 10.0), (1.0, 5.0, 0.0, 10.0)), 0, band=True)
    chart = parsed(charts.curves([series], "title", "x", "y"))
    (band,) = [each for each in chart.iter("polygon") if each.get("class") == "band"]
    heights = [float(point.split(",")[1]) for point in band.get("points").split()]
    assert heights[0] == heights[1] < heights[2] == heights[3] == charts.HEIGHT - charts.BOTTOM


def test_hostile_text_is_escaped():
    text = charts.curves([line('<b>"&\x1b', [0, 1], said="</svg>", row='"><script>')], "<i>", "<x>", "<y>")
    assert not re.search(r"<(b|i|script|x|y)\b", text)
    parsed(text)


def test_a_scatter_spans_whole_powers_of_ten():
    points = [Series(n, ((x, 0.5, 0.4, 0.6),), i) for i, (n, x) in enumerate([("a", 2e3), ("b", 3e5)])]
    chart = parsed(charts.scatter(points, "title", "x", "y"))
    shown = {t.text for t in chart.iter("text") if t.get("class") == "tick"}
    assert {"1k", "10k", "100k", "1M"} <= shown
