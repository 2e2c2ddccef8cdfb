"""A row that says it is another: by its name, benchmark or round, by failed checks, by impossible numbers.

At commit 517a081c `export` wrote wherever a row's name pointed, two rows of one name were shown as one, a
round written into `row.json` made a self-reported row a ranked one, one missing note hid a failed recheck, a
suspected leak was ranked, and one large number ended `board` with a traceback. The honest row is `bc`.
"""

from __future__ import annotations

import shutil

import pytest
from support import rows

from understudy import cli
from understudy.leaderboard import eligibility, scores, stored_rows
from understudy.suite.errors import InputError
from understudy.suite.harness import records, row_documents
from understudy.suite.harness.rounds import DEV
from understudy.suite.io import files

PLACE = "darkroom-v1/quick"
HONEST = f"{PLACE}/bc"


@pytest.fixture
def results(tmp_path, own_data):
    """A copy of the honest row and of the references, whose files may be changed."""
    for name in ("bc", "frozen-teacher", "random"):
        rows.copy(stored_rows.RESULTS / PLACE / name, tmp_path / "results" / PLACE / name)
    return tmp_path / "results"


def change(path, **values):
    files.write_json(path, {**files.read_json(path), **values})


def scored(results, name="bc"):
    (row,) = (row for row in stored_rows.every_row_in(results) if row.name == name)
    return scores.score_row(results, row)


def test_the_honest_row_is_ranked(results):
    assert eligibility.ranked(scored(results))


@pytest.mark.parametrize(
    ("key", "value"), [("name", "../../../elsewhere/x"), ("name", "transformer"), ("benchmark", "atari-v1")]
)
def test_a_row_is_the_one_that_its_folder_says(results, tmp_path, capsys, key, value):
    change(results / HONEST / records.ROW, **{key: value})
    with pytest.raises(InputError, match=f"expected {key} '(bc|darkroom-v1)', as its folder says; found"):
        scored(results)
    export = ["export", str(results), "--format", "model-index", "--out", str(tmp_path / "a" / "b" / "c")]
    assert cli.main(export) == 2
    assert cli.main(["board", str(results), "--out", str(tmp_path / "site")]) == 1
    assert f"expected {key}" in capsys.readouterr().err
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"results", "site"}


def test_a_copy_under_another_name_is_left_out(results, tmp_path, capsys):
    shutil.copytree(results / HONEST, results / PLACE / "bc-b")
    (results / PLACE / "bc-c").symlink_to(results / HONEST)
    assert cli.main(["board", str(results), "--out", str(tmp_path / "site")]) == 1
    assert capsys.readouterr().err.count("expected name 'bc-") == 2


def test_a_round_that_is_written_into_the_row_ranks_nothing(results):
    """Its jobs were played under `dev`; or it was never committed."""
    path = results / HONEST / records.ROW
    change(path, identity="0" * 64)
    assert "not committed to round 1 before its salt was drawn" in eligibility.unranked_because(
        scored(results)
    )
    change(path, identity=files.read_json(stored_rows.RESULTS / HONEST / records.ROW)["identity"])
    for job in stored_rows.job_folders(stored_rows.RowFolder(results / HONEST, *HONEST.split("/"))):
        change(results / HONEST / job.parent.name / job.name / records.JOB, round=DEV)
    assert {verdict.answer for verdict in scored(results).verdicts} == {None}


def test_one_failed_recheck_counts_although_others_have_no_note(results):
    row = stored_rows.RowFolder(results / HONEST, *HONEST.split("/"))
    job = next(each for each in stored_rows.job_folders(row) if each.parent.name == "start")
    lanes = [records.read(job / f"lane-{i}") for i in range(len(records.read_job(job)["lanes"]))]
    (weights,) = {lane["parameters_sha256"]["after"] for lane in lanes}
    identity = records.read_job(job)["player"]["checkpoint_identity"]
    note = {
        **records.provenance([lane["history_sha256"] for lane in lanes], weights, identity),
        "holds": False,
        "moves": 1,
        "differing": 1,
        "largest_gap": 1.0,
        "predicted_otherwise": 0.0,
    }
    folder = results / HONEST / "start" / job.name
    row_documents.write(row_documents.Rechecked, folder / records.RECHECKED, note)
    assert scored(results).rechecked is False
    assert not eligibility.ranked(scored(results))


def test_a_suspected_leak_is_not_ranked_and_every_citation_says_so(results, capsys):
    leak = {
        "submission_identity": files.read_json(results / HONEST / records.ROW)["identity"],
        "difference_nats": 2.0,
        "low": 1.5,
        "high": 2.5,
        "published_nats": 1.0,
        "held_back_nats": 3.0,
        "published": ["goal-00/seed-0"],
        "held_back": {},
    }
    row_documents.write(row_documents.Leaks, results / HONEST / "leaks.json", leak)
    assert eligibility.unranked_because(scored(results)) == ("leak suspected, not citable",)
    where = ["--benchmark", "darkroom-v1", "--budget", "quick", "--results", str(results)]
    assert cli.main(["cite", "bc", *where, "--task", "transfer"]) == 0
    assert "not ranked: leak suspected" in capsys.readouterr().out


@pytest.mark.parametrize("updates", [9223372036854775808, 1e300])
def test_a_setting_that_is_too_large_leaves_the_row_out(results, tmp_path, capsys, updates):
    path = results / HONEST / records.ROW
    facts = files.read_json(path)["facts"] or {"parameters": 1, "watched_runs": 1, "watched_moves": 1}
    change(path, facts={**facts, "training": {"updates": updates}})
    assert cli.main(["board", str(results), "--out", str(tmp_path / "site")]) == 1
    assert "facts.training.updates" in capsys.readouterr().err


@pytest.mark.parametrize(
    "changes",
    [{"seconds": 1e308}, {"seconds": -1.0}, {"began": "0001-01-01T00:00:00+23:59"}, {"began": "yesterday"}],
)
def test_a_time_that_is_none_leaves_the_row_out(results, tmp_path, capsys, changes):
    job = {"began": "2026-11-30T00:00:00+00:00", "host": "here", "moves": 1, "seconds": 1.0, **changes}
    row_documents.write(row_documents.Timing, results / HONEST / "timing.json", {"jobs": {"start/all": job}})
    assert cli.main(["board", str(results), "--out", str(tmp_path / "site")]) == 1
    shown = capsys.readouterr().err
    assert "timing.json" in shown
    assert next(iter(changes)) in shown
