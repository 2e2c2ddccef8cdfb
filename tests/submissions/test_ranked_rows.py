"""Rows of a numbered round are played in processes of their own, and every recheck of a submission is."""

from __future__ import annotations

import pytest
from support import rows

from understudy.submissions import scoring
from understudy.suite.harness import confinement, records, row_documents, row_storage, work
from understudy.suite.harness.requests import RequestedRow
from understudy.suite.harness.rounds import Round
from understudy.suite.io import files

CONFINED = {confinement.BUBBLEWRAP, confinement.LIMITS}


@pytest.fixture(scope="module")
def first_round():
    """A drawn round to which bc was committed."""
    committed = rows.entry("bc").committed
    assert committed is not None
    return Round("1", (committed,), "ab" * 16, "2026-01-01")


def scored(folder, of_round):
    row = rows.requested("bc", folder, lanes=4, round=of_round)
    rows.score(row, ["skill"])
    return row


def content(row):
    """Return the files of a row's runs and predictions, without the clock."""
    names = [path for path in row.folder.rglob("*") if path.is_file() and path.name != records.TIMING]
    return {str(path.relative_to(row.folder)): path.read_bytes() for path in names}


def test_a_row_of_a_round_has_the_bytes_that_it_would_have_in_this_process(
    first_round, tmp_path, monkeypatch
):
    in_child = scored(tmp_path / "child", first_round)
    assert in_child.is_ranked
    (timing,) = row_storage.timing(in_child.folder).values()
    assert timing["player_process"] in CONFINED
    monkeypatch.setattr(RequestedRow, "is_ranked", False)
    here = scored(tmp_path / "here", first_round)
    (timing,) = row_storage.timing(here.folder).values()
    assert timing["player_process"] == "in-process"
    assert content(in_child) == content(here)
    assert any(name.startswith("agreement/all/") for name in content(here))


def test_only_submissions_of_a_round_are_ranked(first_round, tmp_path):
    assert not rows.requested("bc", tmp_path).is_ranked
    assert not rows.requested("random", tmp_path, round=first_round).is_ranked
    assert rows.requested("bc", tmp_path, round=first_round).is_ranked


def test_a_recheck_is_made_in_a_process_of_its_own_and_says_where_it_loaded_afresh(tmp_path):
    row = rows.requested("bc", tmp_path, lanes=4)
    rows.score(row, ["skill"])
    scoring.check([row], work.RECHECK)
    path = row.folder / "start" / "all" / records.RECHECKED
    found = row_documents.read(row_documents.Rechecked, path)
    assert (found["holds"], found["differing"], found["predicted_otherwise"]) == (True, 0, 0.0)
    assert found["player_process"] in CONFINED
    one, two, three = found["reloaded_at"]
    assert 1 <= one < 333 <= two < 666 <= three < 1_000
    old = {name: value for name, value in found.items() if name not in ("player_process", "reloaded_at")}
    files.write_json(path, old)
    assert row_documents.read(row_documents.Rechecked, path) == old  # as rows before have it
