"""`understudy compare`: stored rows compared by name, every file that it writes, and its errors."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import shlex
from pathlib import Path

import pytest
from support import ROOT

from understudy import cli
from understudy.leaderboard import stored_rows
from understudy.suite.harness import records

PAGE = ROOT / "docs" / "comparing.md"
ENDINGS = ("png", "svg", "pdf", "md", "csv", "tex", "json", "html")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run the command that the page shows, with every kind of file; return what it prints and the folder."""
    out = tmp_path_factory.mktemp("out")
    written = [argument for ending in ENDINGS for argument in ("--out", str(out / f"found.{ending}"))]
    command = re.search(r"<!-- found: understudy (.*?) -->", PAGE.read_text("utf-8"))
    assert command
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert cli.main([*shlex.split(command[1]), *written]) == 0
    return printed.getvalue(), out


def test_every_file_is_written_and_named(run):
    printed, out = run
    assert printed.splitlines()[-len(ENDINGS) :] == [str(out / f"found.{ending}") for ending in ENDINGS]
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "html": b"<!DOCTYPE html>", "md": b"### Q1"}
    for ending, begins in starts.items():
        assert (out / f"found.{ending}").read_bytes().startswith(begins)
    assert (out / "found.tex").read_text("utf-8").startswith("% needs \\usepackage{booktabs}")


def test_the_page_shows_what_the_command_finds(run):
    _, out = run
    shown = re.search(r"<!-- found: .*? -->\n\n(.*?)<!-- /found -->", PAGE.read_text("utf-8"), re.DOTALL)
    assert shown
    assert shown[1].strip() == (out / "found.md").read_text("utf-8").strip()


def test_its_numbers_are_those_of_the_stored_scores(run):
    _, out = run
    document = json.loads((out / "found.json").read_text("utf-8"))
    assert (document["benchmark"], document["budget"]) == ("minatar-v1", "tenth")
    assert [question["task"] for question in document["questions"]] == ["skill", "improvement", "transfer"]
    numbers = {}
    for name in ("bc", "transformer"):
        path = stored_rows.RESULTS / "minatar-v1/tenth" / name / "scores.json"
        for verdict in json.loads(path.read_text("utf-8"))["verdicts"]:
            numbers[name, verdict["task"]] = verdict["numbers"]
    for question in document["questions"]:
        task, own = question["task"], {row["name"]: row["number"] for row in question["rows"]}
        shown, points = ("imitator", "imitator") if task == "skill" else ("normalised gain", "gain")
        (pair,) = question["pairs"]
        for key, kind in (("difference", shown), ("points", points)):
            one, other = (numbers[name, task][kind]["estimate"] for name in ("bc", "transformer"))
            assert pair[key]["estimate"] == pytest.approx(one - other)
        assert own["bc"] == pytest.approx(numbers["bc", task][shown])
        assert (pair["paired"], pair["units"]) == (False, [8, 8])  # checkpoint claims


def test_the_csv_has_a_line_a_question(run):
    _, out = run
    with (out / "found.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["one"], line["other"], line["question"]) for line in lines] == [
        ("bc", "transformer", label) for label in ("Q1 skill", "Q2 improvement", "Q3 transfer")
    ]


PLACE = ["--benchmark", "darkroom-v1", "--budget", "quick"]
ERRORS = {
    "one row": (["bc", *PLACE], "expected two rows or more to compare"),
    "twice": (["random", "random", *PLACE], "random is given twice"),
    "typo": (["bc", "transfomer", "--benchmark", "darkroom-v1"], "did you mean 'transformer'?"),
    "task": (["bc", "random", *PLACE, "--task", "Q1"], "unknown task 'Q1'"),
    "suffix": (["bc", "random", "--out", "found.docx"], "expected a name ending in .png, .svg"),
    "folder": (["bc", "random", "--results", "nowhere"], "nowhere: no such folder"),
    "many": (["frozen-teacher", "random"], "choose one with --benchmark and --budget"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_bad_input_is_one_line_and_exit_code_2(case, capsys):
    arguments, message = ERRORS[case]
    assert cli.main(["compare", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_row_of_other_rules_is_refused(tmp_path, capsys):
    for name in ("one", "two"):
        source = stored_rows.RESULTS / "darkroom-v1/quick/random" / records.ROW
        row = json.loads(source.read_text("utf-8"))
        row |= {"name": name, "control": False, "benchmark_identity": "0" * 64}
        path = tmp_path / "darkroom-v1" / "quick" / name / records.ROW
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(row), "utf-8")
    assert cli.main(["compare", "one", "two", "--results", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "scored under another darkroom-v1" in said
    assert said.count("\n") == 1


def test_stored_results_are_the_default():
    assert (stored_rows.RESULTS / "darkroom-v1/quick/random" / records.ROW).is_file()
    assert Path(stored_rows.RESULTS).name == "results"
