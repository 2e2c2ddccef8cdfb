"""Text from rows, headers and folders where it is shown: never a formula, markup or a control character."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from understudy import cli, screen
from understudy.leaderboard import cells, plan_check, stored_rows, table_files, tables
from understudy.leaderboard.figures import learning_curves, printing
from understudy.suite.errors import InputError
from understudy.suite.harness import records
from understudy.suite.io import files

SVG_TEXT = "{http://www.w3.org/2000/svg}text"


def frame_of(**values):
    line = dict.fromkeys(cells.COLUMNS) | {
        "benchmark": "minatar-v1",
        "budget": "quick",
        "name": "mine",
        "kind": cells.IMITATOR,
        "task": "skill",
        "question": "Q1 skill",
        "shown_as": "points an episode",
        "answer": "no",
        "bracketed": False,
        "notes": "",
    }
    return pd.DataFrame([line | values], columns=list(cells.COLUMNS))


def test_a_csv_file_has_no_formula_and_its_negative_numbers_stay_numbers():
    frame = frame_of(
        name="=1+1",
        notes="@SUM(A1)",
        architecture="-2",
        reason="+3",
        shown=-0.5,
        shown_low=-1e-9,
        needed_runs=7,
    ).astype({"needed_runs": "Int64"})
    text = table_files.to_csv(frame)
    (line,) = csv.DictReader(io.StringIO(text))
    assert (line["name"], line["notes"]) == ("'=1+1", "'@SUM(A1)")
    assert (line["architecture"], line["reason"]) == ("'-2", "'+3")
    assert (float(line["shown"]), float(line["shown_low"]), line["needed_runs"]) == (-0.5, -1e-9, "7")
    assert line["shown_high"] == line["controls"] == ""
    again = pd.read_csv(io.StringIO(text))
    assert again["shown"].dtype == np.float64
    assert frame["name"].tolist() == ["=1+1"]  # the frame itself is left alone


def test_a_printed_table_has_no_markup_and_no_escape_sequence():
    frame = frame_of(name="[red]\x1b[31mx\u202e", controls="[bold]ok[/bold]", question="[link=http://a.b]Q1")
    console = Console(width=200, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    with console.capture() as captured:
        console.print(tables.to_terminal(frame, cells.IMITATOR))
    shown = captured.get()
    assert r"[red]\x1b[31mx\u202e" in shown
    assert "[bold]ok[/bold]" in shown
    assert "[link=http://a.b]Q1" in shown
    assert "\u202e" not in shown
    assert "\x1b[31m" not in shown


def test_progress_and_errors_have_no_escape_sequence(capsys, monkeypatch):
    monkeypatch.setattr(screen, "LINE_SECONDS", -1.0)
    screen.ProgressDisplay(None).report("\x1b[2Jmine", 1, 2, "note\u202e")
    assert capsys.readouterr().err == "\\x1b[2Jmine: 1 of 2 note\\u202e\n"
    screen.echo(Path("a\x1b[2J\nb"))
    assert capsys.readouterr().out == "a\\x1b[2J\\nb\n"
    assert cli.main(["histories", "info", "no\x1b[2J.parquet"]) == 2
    assert "no\\x1b[2J.parquet: no such history file" in capsys.readouterr().err


def test_a_bar_of_progress_shows_brackets_as_they_are(monkeypatch):
    written = io.StringIO()
    terminal = Console(file=written, force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr(screen, "_console", lambda stderr: terminal)
    with screen.progress() as shown:
        shown.report("[red]mine[/red]", 2, 2)
    assert "[red]mine[/red]" in written.getvalue()


@pytest.mark.parametrize("name", ["$x_1$", "$\\frac{$", "_hidden", "a<b>&c", "\x1b[31m"])
def test_a_runs_name_is_in_a_figure_as_it_is(name):
    curve = learning_curves.Curve("atari/$x$", name, np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    picture = printing.picture(learning_curves.learning_curve([curve]), ".svg")
    written = [(each.text or "").strip() for each in ElementTree.fromstring(picture).iter(SVG_TEXT)]
    assert name.replace("\x1b", "\\x1b") in written
    assert "atari/$x$" in written


# Names of stored rows


def rewritten(folder: Path, **values: object) -> stored_rows.RowFolder:
    """Change values of the row.json of random in a results folder."""
    row = next(row for row in stored_rows.rows_in(folder) if row.name == "random")
    path = row.path / records.ROW
    files.write_json(path, {**files.read_json(path), **values})
    return row


def test_a_submissions_row_has_no_controls_name(copied, capsys):
    row = rewritten(copied, control=False)
    line = "control is False, but 'random' is the name of a control; rename the submission in submission.json"
    with pytest.raises(InputError, match=line):
        stored_rows.row_of(row)
    assert cli.main(["rescore", str(copied)]) == 1  # it is named, and left out
    assert line in capsys.readouterr().err
    with pytest.raises(InputError, match=line):
        list(plan_check.differences(row))


def test_a_controls_row_has_a_controls_name(copied):
    row = rewritten(copied, name="mine")
    renamed = stored_rows.RowFolder(row.path, row.benchmark, row.budget, "mine")
    with pytest.raises(InputError, match="control is True, but 'mine' is no control's name"):
        stored_rows.row_of(renamed)


@pytest.mark.parametrize("control", [None, 1, "true"])
def test_a_row_says_plainly_whether_it_is_a_controls(copied, control):
    with pytest.raises(InputError, match=f"control: expected true or false; found {control!r}"):
        stored_rows.row_of(rewritten(copied, control=control))


@pytest.mark.parametrize("name", ["Random", "a b", "rаndom", "-x", "a\x1b[2Jb", "x" * 65, "=1"])
def test_a_row_folder_has_a_name_as_submissions_have(copied, name, capsys):
    """One is a look-alike with a Cyrillic letter."""
    (copied / "darkroom-v1" / "quick" / "random").rename(copied / "darkroom-v1" / "quick" / name)
    assert cli.main(["rescore", str(copied)]) == 1
    shown = capsys.readouterr().err
    assert "expected a row's name of letters a-z, digits, '.', '_' and '-'; rename the folder" in shown
    assert "\x1b" not in shown
