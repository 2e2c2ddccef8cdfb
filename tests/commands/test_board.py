"""`understudy board`: where it may write, of which rows, and the questions under their numbers."""

import json

import pytest

from understudy import cli
from understudy.leaderboard import control_texts, controls_check
from understudy.leaderboard.stored_rows import RowFolder
from understudy.suite import tasks
from understudy.suite.errors import InputError


def board(results, out):
    return cli.main(["board", str(results), "--out", str(out)])


@pytest.mark.parametrize("inside", ["", "darkroom-v1/quick/random", "darkroom-v1/quick/random/site"])
def test_results_are_no_place_for_a_site(copied, capsys, inside):
    before = sorted(copied.rglob("*"))
    assert board(copied, copied / inside) == 2
    assert "expected a folder of its own; found results there" in capsys.readouterr().err
    assert sorted(copied.rglob("*")) == before


def test_somebody_elses_page_is_not_replaced(results, tmp_path, capsys):
    (tmp_path / "index.html").write_text("mine")
    assert board(results, tmp_path) == 2
    assert "index.html is not of a site of ours" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert (tmp_path / "index.html").read_text() == "mine"


def test_the_folder_of_a_benchmark_is_enough_and_others_bad_rows_are_not_its(copied, tmp_path, capsys):
    other = copied / "minatar-v1/quick/mine"
    other.mkdir(parents=True)
    (other / "row.json").write_text("{}")
    assert board(copied / "darkroom-v1", tmp_path / "site") == 0
    data = json.loads((tmp_path / "site/data.json").read_text())
    assert [table["benchmark"] for table in data["tables"]] == ["darkroom-v1"]
    assert board(copied, tmp_path / "site") == 1
    assert "mine" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_said_to_be(tmp_path, capsys):
    assert board(tmp_path / "none", tmp_path / "site") == 2
    assert f"{tmp_path / 'none'}: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "name"), [("Q1", "skill"), ("q2", "improvement"), ("Q3", "transfer")])
def test_a_questions_number_leads_to_its_name(number, name):
    with pytest.raises(InputError, match=rf"^unknown task '{number}'; did you mean '{name}'\?$"):
        tasks.load(number)


@pytest.mark.parametrize(
    ("player", "task", "expected"),
    [
        ("sandbagger", "transfer", "not yes"),
        ("injected-0.25", "improvement", "normalised gain covers 0.25"),
        ("dqn-warm-start", "transfer", None),  # only measured
        ("bc-time", "transfer", None),  # an imitator, of whose answer the check has an expectation
    ],
)
def test_a_controls_cell_says_what_is_expected(tmp_path, player, task, expected):
    row = RowFolder(tmp_path, "darkroom-v1", "quick", player)
    assert controls_check.expected_answer(row, task) == expected


def test_a_control_is_described_by_a_whole_sentence():
    assert control_texts.what("sandbagger") == (
        "The sandbagger: random for the first half of its run, then with a skill that it had from the start."
    )
