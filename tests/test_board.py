"""The table of verdicts: what is written can be read back, and what is unknown stays empty."""

import csv
import io
import math
import re

import pytest
from rich.console import Console

from understudy.leaderboard import board, tables
from understudy.leaderboard.tables import Cell, Estimate, Row, Table
from understudy.suite import verdicts

TEACHER = Row(
    "teacher",
    "ruler",
    Cell(points=Estimate(5.25, 4.75, 5.75)),
    Cell(points=Estimate(12.5, 10.0, 15.0)),
    Cell(verdict="no ruler", reason="2 of 4 lives"),
)
PLAYER = Row(
    "strange|name *bold* [red]",
    "submission",
    Cell(
        "yes", marks=("few ends",), points=Estimate(1034.2, 900.0, 1100.0), likeness=Estimate(0.61, 0.5, 0.7)
    ),
    Cell("no", bracketed=True, points=Estimate(-0.001, -0.3, 0.3), share=Estimate(0.03, None, 0.4)),
    note="single, 4 lives",
)
TABLE = Table(
    "minatar-v1",
    "quick",
    (tables.ideal_row(), TEACHER, PLAYER),
    notes=("teacher life incomplete: 203412 of 1000000",),
)


def cells_of(line: str) -> list[str]:
    """Split a line of a GitHub table at its unescaped bars."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_markdown_is_the_table_worked_out_by_hand():
    expected = """### minatar-v1, budget quick: instrument not checked

|  | Q1 skill | Q2 improvement | Q3 transfer |
| --- | --- | --- | --- |
| ideal imitator: Solomonoff induction (not measured) | yes: argued | yes: argued | yes: argued |
| teacher | 5.25 [4.75, 5.75] points | gain +12.5 [+10.0, +15.0] points | no ruler: 2 of 4 lives |
"""
    assert tables.to_markdown([TABLE]).startswith(expected)


def test_a_markdown_line_has_four_cells_whatever_a_name_holds():
    lines = [line for line in tables.to_markdown([TABLE]).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(TABLE.rows)
    assert {len(cells_of(line)) for line in lines} == {4}
    assert cells_of(lines[-1])[0] == r"strange\|name \*bold\* \[red\] (single, 4 lives)"


def test_figures_carry_verdict_gain_and_share():
    line = tables.to_markdown([TABLE]).splitlines()[6]
    assert cells_of(line)[1:] == [
        "yes; 1,034 [900, 1,100] points; likeness 0.61 [0.50, 0.70]; few ends",
        "(no); gain 0.00 [-0.30, +0.30] points; f 0.03 [unbounded, 0.40]",
        "not measured",
    ]


def test_notes_and_instrument_are_shown():
    text = tables.to_markdown([TABLE, Table("atari-v1", "quick", (), instrument="instrument: 7 of 7")])
    assert "\n- teacher life incomplete: 203412 of 1000000\n" in text
    assert "\n### atari-v1, budget quick: instrument: 7 of 7\n" in text
    assert text.count(tables.NOT_CHECKED) == 1
    assert text.endswith("\n")


def test_h50_has_a_column_where_a_gain_was_asked_for_and_a_note_under_the_tables():
    played = Row("one", "control", improvement=Cell("no", horizon="160k / 640k"), transfer=Cell(horizon=""))
    table = Table("minatar-v1", "tenth", (tables.ideal_row(), played))
    ideal, one = tables.to_markdown([table]).splitlines()[4:6]
    assert (cells_of(ideal)[4], cells_of(one)[4]) == ("", "Q2 160k / 640k; Q3 not measured")
    text = tables.to_markdown([TABLE, table])
    assert (text.count(tables.H50), text.count(tables.HORIZON_LEGEND)) == (1, 1)
    assert tables.HORIZON_LEGEND not in tables.to_markdown([TABLE])
    _, record = csv.DictReader(io.StringIO(tables.to_csv([table])))
    assert (record["improvement_h50"], record["transfer_h50"]) == ("160k / 640k", "")
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(tables.to_terminal(table))
    assert "Q2 160k / 640k" in console.export_text()


def test_csv_reads_back_every_number_and_leaves_the_unknown_empty():
    ideal, teacher, player = csv.DictReader(io.StringIO(tables.to_csv([TABLE])))
    assert (player["name"], player["kind"], player["budget"]) == (PLAYER.name, "submission", "quick")
    assert float(player["skill_points"]) == 1034.2
    assert float(player["improvement_share"]) == 0.03
    assert float(player["improvement_share_high"]) == 0.4
    assert player["improvement_share_low"] == ""
    assert player["improvement_bracketed"] == "true"
    assert player["skill_marks"] == "few ends"
    assert {value for key, value in player.items() if key.startswith("transfer_")} == {"", "false"}
    assert (teacher["skill_verdict"], teacher["transfer_verdict"]) == ("", "no ruler")
    assert (ideal["kind"], ideal["skill_verdict"], ideal["skill_points"]) == ("argued", "yes", "")
    assert "nan" not in tables.to_csv([TABLE]).lower()
    assert ideal["instrument"] == tables.NOT_CHECKED


def test_the_terminal_shows_a_name_as_it_is():
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(tables.to_terminal(TABLE))
    shown = console.export_text()
    assert PLAYER.name in shown
    assert "gain +12.5 [+10.0, +15.0] points" in shown
    assert tables.NOT_CHECKED in shown
    assert TABLE.notes[0] in shown


@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize("place", ["value", "low", "high"])
def test_an_estimate_is_finite(number, place):
    with pytest.raises(ValueError, match="what is unknown is None"):
        Estimate(**{"value": 1.0, place: number})


def test_every_answer_that_a_task_gives_has_its_cell():
    for answer in verdicts.ANSWERS:
        assert Cell(answer).verdict == answer


def test_wrong_words_are_refused():
    with pytest.raises(ValueError, match="from low to high"):
        Estimate(1.0, 2.0, 0.0)
    with pytest.raises(ValueError, match="found 'maybe'"):
        Cell("maybe")
    with pytest.raises(ValueError, match="found 'guest'"):
        Row("x", "guest")


def test_the_board_is_two_files_and_writing_again_changes_nothing(tmp_path):
    folder = tmp_path / "new" / "board"
    markdown, values = board.write([TABLE], folder)
    assert markdown.read_text() == tables.to_markdown([TABLE])
    assert values.read_text() == tables.to_csv([TABLE])
    before = markdown.read_bytes(), values.read_bytes()
    assert board.write([TABLE], folder) == (markdown, values)
    assert (markdown.read_bytes(), values.read_bytes()) == before
    assert sorted(path.name for path in folder.iterdir()) == ["table.csv", "table.md"]
