"""Stored checks of isolation and rechecks: which runs and weights they are of, and what they count for."""

from __future__ import annotations

import pytest
from support import rows

from understudy.leaderboard import cells, scores, stored_rows, verification
from understudy.leaderboard.stored_runs import StoredRuns
from understudy.submissions import scoring
from understudy.suite.errors import InputError
from understudy.suite.harness import records, work
from understudy.suite.harness.row_player import RowPlayer
from understudy.suite.histories import history_format
from understudy.suite.io import file_names, files

JOB = "darkroom-v1/quick/frozen-teacher/start/control"


@pytest.fixture
def checked(copied):
    """A copy of the rows, with a check of isolation of one job's runs."""
    row = rows.requested("frozen-teacher", copied)
    assert RowPlayer(row, lambda progress: None).check_isolation("start") is True
    return copied


def isolation_of(folder):
    row = next(row for row in stored_rows.rows_in(folder) if row.name == "frozen-teacher")
    references = scores._BudgetScorer(folder, row.benchmark, row.budget).references
    return StoredRuns(row, references).isolation_holds("start")


def failures(folder):
    return [text for finding in verification.verify(folder, processes=1) for text in finding.failures]


def test_an_isolation_check_names_the_runs_and_weights_that_it_is_of(checked):
    found = files.read_json(checked / JOB / records.ISOLATION)
    lanes = [files.read_json(checked / JOB / f"lane-{i}" / records.RECORD) for i in range(16)]
    assert found["holds"]
    assert found["histories_sha256"] == [lane["history_sha256"] for lane in lanes]
    assert {found["parameters_sha256"]} == {lane["parameters_sha256"]["before"] for lane in lanes}
    assert {found["checkpoint_identity"]} == {lane["job"]["player"]["checkpoint_identity"] for lane in lanes}
    verification.require(verification.verify(checked, processes=1))
    assert isolation_of(checked) is True
    files.write_json(checked / JOB / records.ISOLATION, {**found, "holds": False, "differs_at": 3})
    assert isolation_of(checked) is False


@pytest.mark.parametrize("place", ["histories_sha256", "parameters_sha256", "checkpoint_identity"])
def test_an_isolation_check_of_other_runs_or_weights_counts_for_nothing(checked, place):
    path = checked / JOB / records.ISOLATION
    found = files.read_json(path)
    other = [*found[place][1:], found[place][0]] if place == "histories_sha256" else "0" * 64
    files.write_json(path, {**found, place: other})
    assert isolation_of(checked) is None
    named = f"{path}: {place} is not that of the stored runs: check again"
    assert named in failures(checked)
    files.write_json(path, {name: value for name, value in found.items() if name != place})
    with pytest.raises(InputError, match=f"expected the key '{place}', found none; check again"):
        isolation_of(checked)


@pytest.mark.parametrize("text", ["[]", '{"holds": "yes"}', "{"])
def test_a_broken_isolation_check_is_named(copied, text):
    path = copied / JOB / records.ISOLATION
    path.write_text(text)
    assert any(str(path) in failure for failure in failures(copied))


def test_a_failed_recheck_is_shown_and_one_of_other_weights_is_named(copied):
    scoring.check([rows.requested("frozen-teacher", copied)], work.RECHECK)
    found = files.read_json(copied / JOB / records.RECHECKED)
    assert (found["holds"], found["differing"], found["largest_gap"]) == (True, 0, 0.0)
    assert found["moves"] == sum(
        (~history_format.read(path).explored).sum() for path in (copied / JOB).glob(f"*/{file_names.HISTORY}")
    )
    row = next(one for one in scores.score_all(copied) if one.folder.name == "frozen-teacher")
    assert row.rechecked is True
    assert set(cells.frame([row])["rechecked"]) == {True}
    assert "rechecked, as reported" in cells.frame([row]).iloc[0]["notes"]
    files.write_json(copied / JOB / records.RECHECKED, {**found, "holds": False})
    row = next(one for one in scores.score_all(copied) if one.folder.name == "frozen-teacher")
    assert row.rechecked is False
    assert (
        "recheck failed, as reported: its weights choose other moves" in cells.frame([row]).iloc[0]["notes"]
    )
    files.write_json(copied / JOB / records.RECHECKED, {**found, "parameters_sha256": "0" * 64})
    assert any("parameters_sha256 is not that" in failure for failure in failures(copied))


def test_predictions_that_the_weights_do_not_make_fail_the_recheck(copied):
    path = min((copied / "darkroom-v1/quick/frozen-teacher/agreement/control").glob("*"))
    columns = files.read_columns(path)
    files.write_columns(path, {**columns, "predicted": (columns["predicted"] + 1) % 4})
    scoring.check([rows.requested("frozen-teacher", copied)], work.RECHECK)
    found = files.read_json(copied / JOB / records.RECHECKED)
    assert (found["holds"], found["differing"], found["predicted_otherwise"]) == (False, 0, 1 / 16)


def test_a_row_that_was_not_played_cannot_be_checked(tmp_path):
    with pytest.raises(InputError, match="no runs of kind continue or transfer here; score them first"):
        scoring.check([rows.requested("random", tmp_path)], work.ISOLATION)
