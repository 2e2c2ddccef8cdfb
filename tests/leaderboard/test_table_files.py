"""The table as CSV, JSON and Parquet: every value comes back, the unknown stays unknown; its page."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support import ROOT, rows

from understudy.leaderboard import cells, table_columns, table_files
from understudy.leaderboard.table_columns import COLUMNS, NUMBER, TEXT, TRUTH, WHOLE
from understudy.suite import escaping
from understudy.suite.custom_code import CustomCode
from understudy.suite.errors import InputError
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.verdicts import Verdict

PAGE = (ROOT / "docs" / "results-table.md").read_text(encoding="utf-8")
FACTS = {
    "parameters": 9669,
    "watched_runs": 65,
    "watched_moves": 84500,
    "training": {"updates": 600, "lr": 0.5},
}
VALUES = {
    TEXT: st.text(
        st.characters(blacklist_categories=["Cs", "Cc", "Cf", "Co", "Cn", "Zl", "Zp", "Zs"]), max_size=9
    ),
    WHOLE: st.integers(-(2**63), 2**63 - 1),
    NUMBER: st.floats(allow_nan=False, allow_infinity=False),
    TRUTH: st.booleans(),
}
LINES = st.fixed_dictionaries(
    {each.name: VALUES[each.type] if each.always else st.none() | VALUES[each.type] for each in COLUMNS}
)


def written(frame: pd.DataFrame, folder: Path) -> list[Path]:
    """Write a frame in each format; return the paths."""
    contents = {
        table_files.CSV: table_files.to_csv(frame).encode(),
        table_files.JSON: table_files.to_json(frame).encode(),
        table_files.PARQUET: table_files.to_parquet(frame),
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in contents]


@pytest.fixture
def frame(tmp_path):
    """Two cells: one of an imitator with a number, the other of a control without."""
    verdict = Verdict("skill", "method", "no", numbers={"imitator": Interval(-0.5, None, 0.25, 0.95)}, n=8)
    empty = Verdict("skill", "checkpoint", None, "not played")
    return cells.frame(
        [
            rows.scored(tmp_path, "mine", (verdict,), row={"facts": FACTS, "round": "dev"}),
            rows.scored(tmp_path, "random", (empty,), row={"control": True, "architecture": "random"}),
        ]
    )


def test_the_page_lists_every_column_with_type_unit_and_meaning():
    lines = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", PAGE, re.MULTILINE)
    intervals = {f"{name}{bound}" for name in table_columns.ESTIMATES for bound in ("_low", "_high")}
    shown = [column for column in COLUMNS if column.name not in intervals]
    for (name, kind, unit, meaning), column in zip(lines, shown, strict=True):
        null = "" if column.always else ", or null"
        assert (name, kind) == (column.name, f"{column.type}{null}")
        assert (unit.strip(), meaning) == (column.unit or "", column.meaning)
    assert f"version {table_columns.VERSION}" in PAGE


def test_a_row_has_its_identity_round_and_training(frame):
    mine, control = (frame.iloc[index] for index in (0, 1))
    found = mine[["identity", "round", "weights", "parameters", "watched_runs", "watched_moves"]]
    assert found.tolist() == [rows.SHA256, "dev", 1, 9669, 65, 84500]
    assert (mine["training_updates"], json.loads(mine["training"])) == (600, FACTS["training"])
    assert (mine["ranked"], mine["not_ranked_because"]) == (False, "self-reported")
    assert (control["ranked"], control["not_ranked_because"]) == (False, None)
    for name in ("parameters", "watched_runs", "training_updates", "training"):
        assert pd.isna(control[name])


def test_a_ranked_row_and_custom_code_are_told(tmp_path):
    code = CustomCode(object="mylab.echo:ECHO", package="My_Lab", version="0.3.1")
    scored = [
        rows.scored(tmp_path, "mine"),
        rows.scored(tmp_path, "other", row={"custom_code": code.model_dump()}),
    ]
    frame = cells.frame(scored).set_index("name")
    assert frame["ranked"].tolist() == [True, False]
    assert frame["not_ranked_because"].tolist() == [None, "custom code: mylab.echo:ECHO of My_Lab 0.3.1"]
    assert frame["custom_code"].tolist() == [None, "mylab.echo:ECHO of My_Lab 0.3.1"]


def test_every_format_holds_the_same_values_and_null_where_unknown(frame, tmp_path):
    for path in written(frame, tmp_path):
        pd.testing.assert_frame_equal(table_files.read(path), frame)
    first, second = json.loads((tmp_path / "table.json").read_text())["cells"]
    assert (first["shown"], first["shown_low"], first["n"], first["rechecked"]) == (-0.5, None, 8, None)
    assert (second["shown"], second["answer"], second["parameters"]) == (None, None, None)
    table = pq.read_table(tmp_path / "table.parquet")
    assert table.column("shown_low").null_count == 2
    assert table.schema.metadata[b"version"] == table_columns.VERSION.encode()
    assert table.schema.field("shown").metadata[b"meaning"].decode().startswith("the number beside")
    _, line, _ = csv.reader(io.StringIO((tmp_path / "table.csv").read_text()))
    assert (line[table_columns.NAMES.index("shown")], line[table_columns.NAMES.index("m")]) == ("-0.5", "")
    assert "nan" not in (tmp_path / "table.json").read_text().replace("meaning", "").lower()


@settings(max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # shrinking takes minutes
@given(st.lists(LINES, max_size=3))
def test_whatever_the_cells_hold_comes_back(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("any")
    frame = table_columns.typed(lines)
    for path in written(frame, folder):
        found = table_files.read(path)
        if path.suffix == ".csv":  # an empty field is unknown, also where a text was empty
            for column in COLUMNS:
                if column.type == TEXT and not column.always:
                    frame[column.name] = frame[column.name].where(frame[column.name] != "", None)
            pd.testing.assert_frame_equal(found, frame)
            frame = table_columns.typed(lines)
        else:
            pd.testing.assert_frame_equal(found, frame)


@given(st.text(max_size=12))
def test_an_apostrophe_of_a_csv_cell_is_taken_off(text):
    cell = escaping.csv_text(text)
    assert not cell.lstrip().startswith(tuple(escaping.FORMULA))
    assert escaping.from_csv_text(cell) in (escaping.terminal(text), f"'{escaping.terminal(text)}")
    if escaping.terminal(text) == text:
        assert escaping.from_csv_text(cell) == text


@pytest.mark.parametrize("text", ["=1+1", "'=1", "''-2", "'quoted", " @x", "'", "x"])
def test_a_formula_comes_back_as_it_was(text):
    assert escaping.from_csv_text(escaping.csv_text(text)) == text


def test_two_writings_give_the_same_bytes(frame):
    for write in (table_files.to_csv, table_files.to_json, table_files.to_parquet):
        assert write(frame) == write(frame.copy())


def changed(text: str, old: str, new: str) -> str:
    assert text.count(old) >= 1
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"version": "1.0"', '"version": "2.0"', "version '2.0' of the table, this understudy reads 1.x"),
        ('"version": "1.0"', '"version": 1', "version 1 of the table"),
        ('"shown": -0.5', '"shown": NaN', "not a table of results"),
        ('"shown": -0.5', '"shown": 1e999', "not a table of results"),
        ('"shown": -0.5', '"shown": "x"', "shown: expected a number; found 'x'"),
        ('"n": 8', '"n": true', "n: expected a whole number; found True"),
        ('"name": "mine"', '"name": null', "name: expected a text; found None"),
        ('"understudy results table"', '"another table"', "expected 'understudy results table'"),
        ('{"name": "shown", ', '{"name": "other", ', "expected the column 'shown', found none"),
        ("{", "", "not a table of results"),
    ],
)
def test_a_malformed_json_table_is_one_line(frame, tmp_path, old, new, message):
    path = tmp_path / "table.json"
    path.write_text(changed(table_files.to_json(frame), old, new))
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        table_files.read(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_later_column_is_left_out_and_a_later_version_read(frame, tmp_path):
    document = json.loads(table_files.to_json(frame))
    document["version"] = "1.7"
    document["columns"].append({"name": "badges", "type": "text", "unit": None, "meaning": "later"})
    for cell in document["cells"]:
        cell["badges"] = "replayed"
    path = tmp_path / "table.json"
    path.write_text(json.dumps(document))
    pd.testing.assert_frame_equal(table_files.read(path), frame)


@pytest.mark.parametrize("name", ["table.csv", "table.json", "table.parquet"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a,b\n1,2,3\n", b"[]", b"PAR1"])
def test_what_is_no_table_is_one_line(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(str(path))):
        table_files.read(path)


@pytest.mark.parametrize("name", ["table.csv", "table.json", "table.parquet"])
def test_a_pipe_is_no_table(tmp_path, name):
    """At commit a2b4eab9 whoever read it waited for ever."""
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=f"{name}: expected a regular file, found a device or pipe"):
        table_files.read(tmp_path / name)


def test_a_parquet_file_of_another_kind_and_a_missing_file_are_named(frame, tmp_path):
    frame.to_parquet(tmp_path / "table.parquet")
    with pytest.raises(InputError, match="in its metadata"):
        table_files.read(tmp_path / "table.parquet")
    with pytest.raises(InputError, match="cannot be read"):
        table_files.read(tmp_path / "table.csv")
    with pytest.raises(InputError, match=r"expected a file \.parquet, \.json, \.csv"):
        table_files.from_bytes(b"", tmp_path / "table.xlsx")
