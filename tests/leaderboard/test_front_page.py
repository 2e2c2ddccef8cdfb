"""The front page: its table and its picture are those of the stored rows."""

from __future__ import annotations

import re

import matplotlib
import numpy as np
import pytest
from support import ROOT

from understudy.leaderboard import front_page, pages
from understudy.leaderboard.figures import overview, printing
from understudy.suite.scoring.curves import Curves, SkillCurve
from understudy.suite.scoring.intervals import Interval

README = ROOT / "README.md"


@pytest.fixture(scope="module")
def scored():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("UNDERSTUDY_DATA", raising=False)
        return front_page.shown_rows()


def test_the_table_is_that_of_the_stored_rows(scored):
    text = README.read_text()
    assert pages.filled(text, front_page.page_tables(scored), README.name) == text, (
        "run: python -m understudy.leaderboard.front_page README.md"
    )


def test_the_picture_is_that_of_the_stored_rows(scored):
    drawn = printing.picture(front_page.picture(scored), ".svg").decode()
    stored = (ROOT / "docs" / front_page.PICTURE).read_text()
    if f"Matplotlib v{matplotlib.__version__}," not in stored:  # which draws the same in other bytes
        drawn, stored = (" ".join(re.findall(r"<text[^>]*>([^<]*)", each)) for each in (drawn, stored))
        assert "moves" in stored
    assert drawn == stored, "run: python -m understudy.leaderboard.front_page README.md"


def curve(*values: float) -> SkillCurve:
    blocks = tuple(Interval(value, value - 1, value + 1, 0.95) for value in values)
    return SkillCurve(4, blocks[0], blocks[-1], blocks, (False,) * len(blocks))


def test_a_panel_shows_the_teacher_and_each_imitator_by_name():
    teacher = curve(1.0, 2.0, 9.0)
    curves = {
        name: Curves("method", (0, 10, 20, 30), 5, curve(*values), teacher, 0.5, 5.0)
        for name, values in {"bc": (3.0, 3.0, 3.0), "gru": (3.0, 3.1, 3.2)}.items()
    }
    (axes,) = overview.overview({"Q2": curves}).axes
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()]
    assert [x for x, _ in lines] == [[5.0, 15.0, 25.0]] * 3
    assert [y for _, y in lines] == [[1.0, 2.0, 9.0], [3.0, 3.0, 3.0], [3.0, 3.1, 3.2]]
    heights = {text.get_text(): text.xyann[1] for text in axes.texts}
    assert list(heights) == ["bc", "gru", "teacher (DQN)"]
    assert axes.get_title(loc="left") == "Q2"
    low, high = axes.get_ylim()
    assert np.diff(list(heights.values())).min() > 0.04 * (high - low)  # names do not overlap
