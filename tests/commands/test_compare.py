"""`understudy compare`: stored rows compared by name, every file that it writes, and its errors."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from understudy import cli
from understudy.leaderboard import stored_rows
from understudy.suite.harness import records

ENDINGS = ("png", "svg", "pdf", "md", "csv", "tex", "json", "html")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Compare two of the package's controls once; return standard output and the folder of files."""
    out = tmp_path_factory.mktemp("out")
    written = [argument for ending in ENDINGS for argument in ("--out", str(out / f"found.{ending}"))]
    captured = pytest.MonkeyPatch()
    printed: list[str] = []
    from understudy import screen

    with captured.context() as patch:
        patch.setattr(screen, "echo", lambda text, err=False: printed.append(str(text)))
        code = cli.main(["compare", "open-loop-replay", "random", "--budget", "quick", "--task", "transfer",
                         "--benchmark", "darkroom-v1", *written])  # fmt: skip
    assert code == 0
    return printed, out


def test_every_file_is_written_and_named(run):
    printed, out = run
    assert [line for line in printed if line.startswith(str(out))] == [
        str(out / f"found.{ending}") for ending in ENDINGS
    ]
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "html": b"<!DOCTYPE html>", "md": b"### Q3"}
    for ending, begins in starts.items():
        assert (out / f"found.{ending}").read_bytes().startswith(begins)
    assert (out / "found.tex").read_text("utf-8").startswith("% needs \\usepackage{booktabs}")


def test_its_numbers_are_those_of_the_stored_scores(run):
    _, out = run
    document = json.loads((out / "found.json").read_text("utf-8"))
    assert (document["benchmark"], document["budget"]) == ("darkroom-v1", "quick")
    (question,) = document["questions"]
    gains = {}
    for name in ("open-loop-replay", "random"):
        scores = json.loads(
            (stored_rows.RESULTS / "darkroom-v1/quick" / name / "scores.json").read_text("utf-8")
        )
        (verdict,) = (each for each in scores["verdicts"] if each["task"] == "transfer")
        gains[name] = verdict["numbers"]
    own = {row["name"]: row["number"] for row in question["rows"]}
    for name, numbers in gains.items():
        assert own[name]["low"] == pytest.approx(numbers["normalised gain"]["low"])
    (pair,) = question["pairs"]
    one, other = (gains[name]["gain"]["estimate"] for name in ("open-loop-replay", "random"))
    assert pair["points"]["estimate"] == pytest.approx(one - other)
    one, other = (gains[name]["normalised gain"]["estimate"] for name in ("open-loop-replay", "random"))
    assert pair["difference"]["estimate"] == pytest.approx(one - other)
    assert (pair["paired"], pair["units"]) == (True, [16, 16])


def test_the_csv_has_a_line_a_pair_and_the_notes_name_controls(run):
    printed, out = run
    with (out / "found.csv").open(encoding="utf-8", newline="") as file:
        (line,) = csv.DictReader(file)
    assert (line["one"], line["other"], line["task"]) == ("open-loop-replay", "random", "transfer")
    assert "- random is a control, and never ranked" in printed


PLACE = ["--benchmark", "darkroom-v1", "--budget", "quick"]
ERRORS = {
    "one row": (["bc", *PLACE], "expected two rows or more to compare"),
    "twice": (["random", "random", *PLACE], "random is given twice"),
    "typo": (["bc", "transfomer", "--benchmark", "darkroom-v1"], "did you mean 'transformer'?"),
    "task": (["bc", "random", *PLACE, "--task", "Q1"], "unknown task 'Q1'"),
    "suffix": (["bc", "random", "--out", "found.docx"], "expected a name ending in .png, .svg"),
    "folder": (["bc", "random", "--results", "nowhere"], "no rows found"),
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
