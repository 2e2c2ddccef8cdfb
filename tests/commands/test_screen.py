"""Tables on a terminal: lines break between words only, and paths never."""

import pytest
import rich.box
from rich.table import Table
from rich.text import Text

from understudy import screen
from understudy.suite.harness.requests import PlayProgress

PATH = "/data/of a/teacher/with-a-long-name/seed-1"
CELL = "undecided 0.03 [unbounded, 0.40]"


@pytest.mark.parametrize(
    ("role", "shown"),
    [
        ("continue", "Q2 improvement"),
        ("transfer@yoked", "Q3 transfer@yoked"),
        ("start", "start"),
        ("recomputing its teachers", "recomputing its teachers"),
    ],
)
def test_progress_has_the_words_of_the_tables(monkeypatch, capsys, role, shown):
    monkeypatch.setattr(screen, "LINE_SECONDS", -1.0)
    screen.play_reporter(screen.ProgressDisplay(None))(PlayProgress("mine", role, 1, 2))
    assert capsys.readouterr().err == f"mine {shown}: 1 of 2\n"


@pytest.mark.parametrize("columns", [10, 50, 70, 200])
def test_words_and_paths_stay_whole(monkeypatch, capsys, columns):
    monkeypatch.setattr(screen, "FILE_COLUMNS", columns)
    table = Table(box=rich.box.SIMPLE_HEAD)
    table.add_column("control")
    table.add_column("Q1 skill: points")
    table.add_column("folder", no_wrap=True)
    table.add_row(*map(Text, ("nearest-neighbours", CELL, PATH)))
    screen.print_table(table)
    lines = capsys.readouterr().out.splitlines()
    narrowest = (
        len("nearest-neighbours") + len("[unbounded,") + len(PATH) + 3 * 2 + 4
    )  # padding, edges and gaps
    widest = narrowest + len(CELL) - len("[unbounded,")
    assert max(map(len, lines)) == min(max(columns, narrowest), widest)
    assert any(PATH in line for line in lines)
    words = " ".join(lines).split()
    assert set(f"nearest-neighbours {CELL} {PATH}".split()) <= set(words)
