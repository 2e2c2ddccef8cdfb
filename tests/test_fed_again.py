"""Moves fed to their player again: what a check of isolation or re-derivation is of, and counts for."""

from __future__ import annotations

import pytest

from understudy.leaderboard import rows, scores, stored, verify
from understudy.submissions import requests, scoring
from understudy.submissions.scorer import Scorer
from understudy.suite import files, records
from understudy.suite.errors import InputError
from understudy.suite.histories import format as history_format

JOB = "darkroom-v1/quick/policy-at-w/start/control"


@pytest.fixture
def checked(copied):
    """A copy of the rows, with a check of the isolation of one job's lives."""
    request = requests.Request("policy-at-w", "darkroom-v1", "quick", copied)
    assert Scorer(request, lambda progress: None).check_isolation("start") is True
    return copied


def isolation_of(folder):
    row = next(row for row in stored.rows_in(folder) if row.name == "policy-at-w")
    return scores.isolation_holds(row, "start")


def failures(folder):
    return [text for finding in verify.verify(folder, processes=1) for text in finding.failures]


def test_an_isolation_check_names_the_lives_and_weights_that_it_is_of(checked):
    found = files.read_json(checked / JOB / records.ISOLATION)
    lanes = [files.read_json(checked / JOB / f"lane-{i}" / records.RECORD) for i in range(16)]
    assert found["holds"]
    assert found["histories_sha256"] == [lane["history_sha256"] for lane in lanes]
    assert {found["parameters_sha256"]} == {lane["parameters_sha256"]["before"] for lane in lanes}
    assert {found["checkpoint_sha256"]} == {lane["job"]["player"]["checkpoint_sha256"] for lane in lanes}
    verify.require(verify.verify(checked, processes=1))
    assert isolation_of(checked) is True
    files.write_json(checked / JOB / records.ISOLATION, {**found, "holds": False, "differs_at": 3})
    assert isolation_of(checked) is False


@pytest.mark.parametrize("place", ["histories_sha256", "parameters_sha256", "checkpoint_sha256"])
def test_an_isolation_check_of_other_lives_or_weights_counts_for_nothing(checked, place):
    path = checked / JOB / records.ISOLATION
    found = files.read_json(path)
    other = [*found[place][1:], found[place][0]] if place == "histories_sha256" else "0" * 64
    files.write_json(path, {**found, place: other})
    assert isolation_of(checked) is None
    named = f"{path}: {place} is not that of the stored lives: check again"
    assert named in failures(checked)
    files.write_json(path, {name: value for name, value in found.items() if name != place})
    assert isolation_of(checked) is None


@pytest.mark.parametrize("text", ["[]", '{"holds": "yes"}', "{"])
def test_a_broken_isolation_check_is_named(copied, text):
    path = copied / JOB / records.ISOLATION
    path.write_text(text)
    assert any(str(path) in failure for failure in failures(copied))


def test_rederived_lives_carry_their_badge_and_others_lose_it(copied):
    request = requests.Request("policy-at-w", "darkroom-v1", "quick", copied)
    scoring.check([request], scoring.REDERIVED)
    found = files.read_json(copied / JOB / records.REDERIVED)
    assert (found["holds"], found["differing"], found["largest_gap"]) == (True, 0, 0.0)
    assert found["moves"] == sum(
        (~history_format.read(path).explored).sum() for path in (copied / JOB).glob(f"*/{records.HISTORY}")
    )
    row = next(one for one in scores.judge_all(copied) if one.folder.name == "policy-at-w")
    assert row.rederived is True
    (table,) = rows.tables_of([row])
    assert "re-derived" in table.rows[-1].note
    files.write_json(copied / JOB / records.REDERIVED, {**found, "holds": False})
    row = next(one for one in scores.judge_all(copied) if one.folder.name == "policy-at-w")
    assert row.rederived is False
    files.write_json(copied / JOB / records.REDERIVED, {**found, "parameters_sha256": "0" * 64})
    assert any("parameters_sha256 is not that" in failure for failure in failures(copied))


def test_predictions_that_the_weights_do_not_make_are_not_rederived(copied):
    request = requests.Request("policy-at-w", "darkroom-v1", "quick", copied)
    path = min((copied / "darkroom-v1/quick/policy-at-w/likeness/control").glob("*"))
    columns = files.read_columns(path)
    files.write_columns(path, {**columns, "predicted": (columns["predicted"] + 1) % 4})
    scoring.check([request], scoring.REDERIVED)
    found = files.read_json(copied / JOB / records.REDERIVED)
    assert (found["holds"], found["differing"], found["predicted_otherwise"]) == (False, 0, 1 / 16)


def test_a_row_that_was_not_played_cannot_be_fed_again(tmp_path):
    with pytest.raises(InputError, match="no lives of kind continue or transfer here; score them first"):
        scoring.check([requests.Request("random", "darkroom-v1", "quick", tmp_path)], scoring.ISOLATION)
