"""Notes of a recheck, written by hand beside the log of another player, whose goal was built into it.

At commit 4a4ea00d `verify` found the note's hashes right and the table said `rechecked`: a check that was
asked for was not made where a note was there. Now notes read `as reported`, and `verify ROW --recheck
SUBMISSION` asks the weights.
"""

from __future__ import annotations

import json

import pytest
from support import rows
from support.other_players import Other

from understudy import cli, rechecking
from understudy.leaderboard import scores, stored_rows, verification
from understudy.suite.errors import CheckFailed
from understudy.suite.harness import records, row_documents, row_storage
from understudy.suite.harness.frozenness import parameters_sha256
from understudy.suite.harness.jobs import PlannedJob
from understudy.suite.harness.row_player import RowPlayer
from understudy.suite.io import files


def row_of(out):
    return out / "darkroom-v1" / "quick" / "mine"


def verified(capsys, out, *more):
    capsys.readouterr()
    code = cli.main(["verify", str(row_of(out)), *more])
    return code, capsys.readouterr().out


def test_an_honest_row_earns_its_badges_and_a_forged_one_does_not(make_submission, here, capsys):
    folder = make_submission()
    requested = rows.requested(str(folder), here / "honest", lanes=2)
    rows.score(requested, ["skill"])
    scores.rescore(here / "honest")
    code, shown = verified(
        capsys, here / "honest", "--recheck", str(folder), "--record", str(here / "found.json")
    )
    assert code == 0
    assert "earned here: replayed, rechecked" in shown
    found = json.loads((here / "found.json").read_text())
    assert (found["badges"], len(found["salt"])) == (["rechecked"], 32)

    code, shown = verified(capsys, here / "honest", "--recheck", str(folder), "--rerun", str(here / "again"))
    assert code == 0  # at commit a2b4eab9 an error: without an answer nothing is played anew
    assert "rerun" not in shown.partition("earned here")[2]

    forged = rows.requested(str(folder), here / "forged", lanes=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PlannedJob, "load", lambda *given: Other())
        rows.score(forged, ["skill"])
    _write_note(forged)
    scores.rescore(here / "forged")
    code, shown = verified(capsys, here / "forged")
    assert code == 1  # a partial row; a log that was played by other means replays too, under the right seeds
    assert "mine: replayed, 2 runs" in shown
    assert "as reported, not computed here: rechecked (1 jobs)" in shown
    code, shown = verified(capsys, here / "forged", "--recheck", str(folder))
    assert code == 1
    assert "its weights choose other moves" in shown or "predictions are others" in shown
    assert "earned here: replayed\n" in shown


@pytest.mark.parametrize("is_packed", [False, True])
def test_predictions_written_by_hand_are_found(tmp_path, own_data, capsys, is_packed):
    """Agreement rests on stored predictions; at commit a2629a09 any of them passed `verify --recheck`."""
    for name in ("random", "frozen-teacher"):
        row = tmp_path / "darkroom-v1" / "quick" / name
        rows.copy(stored_rows.RESULTS / "darkroom-v1" / "quick" / name, row)
    assert cli.main(["verify", str(row), "--recheck", "frozen-teacher"]) == 0
    assert "earned here: replayed, rechecked" in capsys.readouterr().out
    path = min((row / records.AGREEMENT).glob("*/*.safetensors"))
    columns = files.read_columns(path)
    files.write_columns(path, {**columns, "predicted": (columns["predicted"] + 1) % 4})
    scores.rescore(tmp_path)
    if is_packed:
        assert row_storage.pack(row)
    assert cli.main(["verify", str(row), "--recheck", "frozen-teacher"]) == 1
    shown = capsys.readouterr().out
    assert "of the stored predictions are others than its weights make" in shown
    assert "rechecked" not in shown.rpartition("earned here: ")[2]


def test_another_submission_is_not_that_of_the_row(make_submission, here, capsys):
    folder = make_submission()
    rows.score(rows.requested(str(folder), here / "out", lanes=2), ["skill"])
    path = folder / "submission.json"
    files.write_json(path, {**files.read_json(path), "decoding": "sample"})
    assert cli.main(["verify", str(row_of(here / "out")), "--recheck", str(folder)]) == 1
    assert "decoding is greedy" in capsys.readouterr().err
    assert cli.main(["verify", str(row_of(here / "out")), "--retrain"]) == 2
    assert "need --recheck SUBMISSION" in capsys.readouterr().err


INVENTED = f"hf://google-deepmind/rival@{'0' * 40}"
FALSE = [  # what a row declares otherwise than its submission
    ("watched", lambda row: row.update(watched="single")),
    ("search_trials", lambda row: row.update(search_trials=1)),
    ("architecture", lambda row: row.update(architecture="transformer")),
    ("training_targets", lambda row: row.update(training_targets="greedy")),
    ("facts", lambda row: row["facts"].update(parameters=1)),
    ("facts", lambda row: row["facts"].update(watched_moves=1)),
    ("facts", lambda row: row["facts"].update(training={"updates": 1})),
    ("name", lambda row: row.update(name="theirs")),
    ("in_memory", lambda row: row.update(in_memory="lab.Model")),
    ("other_teacher_data", lambda row: row.update(other_teacher_data=not row["other_teacher_data"])),
    ("weights", lambda row: row.update(weights=INVENTED)),
]


def test_a_row_that_declares_otherwise_than_its_submission_is_found(make_submission, here, capsys):
    """At commit 517a081c `verify --recheck` and the review passed all of these."""
    folder = make_submission()
    rows.score(rows.requested(str(folder), here / "out", lanes=2), ["skill"])
    row = stored_rows.RowFolder(row_of(here / "out"), "darkroom-v1", "quick", "mine")
    path = row.path / records.ROW
    for key, change in FALSE:
        told = files.read_json(path)
        change(told)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stored_rows, "row_of", lambda row, told=told: told)
            with pytest.raises(CheckFailed) as refused:
                list(rechecking.jobs(row, str(folder)))
        said = f"says that its weights are {INVENTED}" if key == "weights" else f"whose {key} is "
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)

    honest = files.read_json(path)
    assert "weights" not in honest
    assert honest.pop("facts")  # rows of before they were known have none
    files.write_json(path, honest)
    assert len(list(rechecking.jobs(row, str(folder)))) == 1

    for job in row.path.glob("*/*/job.json"):  # handed to torch at that commit, which raised ValueError
        files.write_json(job, {**files.read_json(job), "threads": 10**15})
    assert cli.main(["verify", str(row.path)]) == 1
    assert "threads: expected at most 1,024; found 1000000000000000" in capsys.readouterr().out


@pytest.mark.parametrize("path", ["", "darkroom-v1/quick/random"])
def test_what_cannot_be_rechecked_is_refused_before_anything_is_replayed(results, capsys, monkeypatch, path):
    monkeypatch.setattr(verification, "verify", lambda *given: pytest.fail("it was replayed"))
    assert cli.main(["verify", str(results / path), "--recheck", "frozen-teachers"]) == 2
    found = "found 2 rows" if not path else "did you mean 'frozen-teacher'?"
    assert found in capsys.readouterr().err


def _write_note(row):
    """Give the records the submission's weights, and the job a note that all of its moves were rechecked."""
    (planned,) = row.jobs("start")
    with RowPlayer(row, lambda progress: None).made(planned, in_child=False) as player:
        weights = parameters_sha256(player)
    job = row.folder / planned.path
    hashes = []
    for lane in range(2):
        path = job / f"lane-{lane}" / records.RECORD
        record = files.read_json(path) | {"parameters_sha256": {"before": weights, "after": weights}}
        files.write_json(path, {**record, "record_sha256": records.checksum(record)})
        hashes.append(record["history_sha256"])
    note = {
        **records.provenance(hashes, weights, planned.player.identity),
        "holds": True,
        "moves": 1,
        "differing": 0,
        "largest_gap": 0.0,
        "predicted_otherwise": 0.0,
    }
    row_documents.write(row_documents.Rechecked, job / records.RECHECKED, note)
