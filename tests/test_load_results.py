"""`load_results`: rows are scored, a table without rows is read, a bad row is named and left out."""

from __future__ import annotations

import pandas as pd
import pytest
from support.hub_commands import HASH

import understudy
from understudy import cli
from understudy.leaderboard import board, cells, scores, table_columns
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.harness import records
from understudy.suite.hub import manifest
from understudy.suite.hub.manifest import bytes_sha256

REPO = "somebody/results"


@pytest.fixture(scope="module")
def expected(results):
    return cells.frame(scores.score_all(results))


@pytest.fixture
def tables(results, tmp_path):
    """A folder of the board."""
    assert cli.main(["board", str(results), "--out", str(tmp_path / "board"), "--no-figures"]) == 0
    return tmp_path / "board"


def published(hub, folder, repo=REPO):
    """Publish a folder as a new dataset and return its pinned name."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    contents = {f"all/{name}": path.read_bytes() for name, path in found.items() if path.suffix != ".lock"}
    sums = manifest.text({name: bytes_sha256(data) for name, data in contents.items()})
    commit = hub.add(repo, {**contents, manifest.NAME: sums.encode()})
    return f"hf://datasets/{repo}@{commit}"


def test_rows_are_scored_and_tables_beside_them_are_not_read(copied, expected, capsys):
    board.rescore(copied)
    (copied / "table.csv").write_text("out of date")
    (copied / "table.parquet").write_bytes(b"out of date")
    frame = understudy.load_results(copied)
    pd.testing.assert_frame_equal(frame, expected)
    assert frame.attrs == {"source": str(copied), "version": table_columns.VERSION, "left_out": {}}
    assert capsys.readouterr().err == ""
    assert len(frame) == 2 * 3
    assert frame.loc[frame["name"] == "random", "kind"].unique().tolist() == ["control"]


def test_a_part_of_the_results_is_a_source(results, expected, monkeypatch):
    one = understudy.load_results(results / "darkroom-v1" / "quick" / "random")
    pd.testing.assert_frame_equal(one, expected[expected["name"] == "random"].reset_index(drop=True))
    monkeypatch.chdir(results)
    pd.testing.assert_frame_equal(understudy.load_results("darkroom-v1"), expected)


@pytest.mark.parametrize("name", ["table.parquet", "table.json", "table.csv", None])
def test_a_table_without_rows_is_read_and_said_to_be(tables, expected, name, capsys):
    capsys.readouterr()
    frame = understudy.load_results(tables / name if name else tables)
    pd.testing.assert_frame_equal(frame, expected)
    read = tables / (name or "table.parquet")
    assert frame.attrs["source"] == str(read)
    assert (
        capsys.readouterr().err == f"{read}: read as it was written; there are no rows to score beside it\n"
    )


def test_a_malformed_row_is_named_and_left_out(copied, expected, capsys):
    path = copied / "darkroom-v1" / "quick" / "random" / records.ROW
    path.write_text('{"format": 2}')
    frame = understudy.load_results(copied)
    assert frame["name"].unique().tolist() == ["frozen-teacher"]
    ((folder, why),) = frame.attrs["left_out"].items()
    assert folder == str(path.parent)
    assert "this version reads 1; found 2" in why
    err = capsys.readouterr().err
    assert err.startswith(f"understudy: left out: {path}: ")
    assert err.count("\n") == 1


def test_rows_and_tables_on_the_hub_are_sources(hub, results, tables, expected, capsys):
    name = published(hub, results)
    frame = understudy.load_results(f"{name}/all")
    pd.testing.assert_frame_equal(frame, expected)
    requests = len(hub.requests)
    part = understudy.load_results(f"{name}/all/darkroom-v1/quick/random")
    assert set(part["name"]) == {"random"}
    assert len(hub.requests) == requests, "what is in the cache needs no request"
    pd.testing.assert_frame_equal(
        understudy.load_results(f"{published(hub, tables, 'somebody/tables')}/all/table.json"), expected
    )


def test_a_name_on_the_hub_is_pinned_and_checked(hub, tables):
    name = published(hub, tables)
    with pytest.raises(InputError, match=f"use {name}"):
        understudy.load_results(f"hf://datasets/{REPO}")
    with pytest.raises(InputError, match="no such dataset"):
        understudy.load_results(f"hf://datasets/somebody/none@{HASH}")
    with pytest.raises(InputError, match="holds no other"):
        understudy.load_results(f"{name}/other")
    hub.altered["all/table.json"] = lambda data: data.replace(b"not played", b"was played")
    with pytest.raises(CheckFailed, match=r"all/table\.json: SHA-256 is"):
        understudy.load_results(f"{published(hub, tables, 'somebody/others')}/all/table.json")


def test_what_is_no_source_is_one_line(tmp_path, tables):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    for source, said in (
        (tmp_path / "none", "found nothing there"),
        (tmp_path / "empty", "no rows found"),
        (tmp_path / "notes.txt", "another suffix"),
    ):
        with pytest.raises(InputError, match=said) as raised:
            understudy.load_results(source)
        assert "\n" not in str(raised.value)


def test_nothing_heavy_is_imported_before_it_is_used():
    assert "load_results" in dir(understudy)
    assert "load_results" not in vars(understudy)
