"""Runs of one's own in mode multi: declared by hash, packed or not, not read to score, and one run once."""

from __future__ import annotations

import json
import pickle
import shutil

import pytest
from support import anyones_runs, rows
from support.anyones_runs import OWN
from support.sound_submissions import BENCHMARK, WATCHED, entries

from understudy import cli
from understudy.submissions import scoring, submission_format
from understudy.suite import benchmarks
from understudy.suite.benchmarks import pinned_runs, teacher_data
from understudy.suite.errors import InputError
from understudy.suite.harness import records
from understudy.suite.harness.interventions import INTERVENTIONS
from understudy.suite.harness.requests import Request
from understudy.suite.histories import history_format, moves_hash
from understudy.suite.io import files

SIZES = ("--set", "window_moves=32", "--set", "batch_size=2", "--set", "width=8", "--updates", "2")


@pytest.fixture
def own(here, data, tmp_path_factory, monkeypatch):
    """The pinned runs in one data folder, runs of one's own packed in another; returns that one's folders."""
    folder = tmp_path_factory.mktemp("own")
    anyones_runs.write(folder / "folders")
    anyones_runs.pack_by_hand(folder / "folders", folder / "packed")
    shutil.copy(data / f"{BENCHMARK}.data.json", folder / "packed")
    monkeypatch.setenv("UNDERSTUDY_DATA", f"{data}:{folder / 'packed'}")
    return folder / "folders"


def train(out: str, *more: str) -> int:
    return cli.main(["train", "bc", "--benchmark", BENCHMARK, "--out", out, *SIZES, *more])


def change(folder, **values):
    path = folder / "submission.json"
    files.write_json(path, {**files.read_json(path), **values})


def declare(folder, histories):
    change(folder, watched={"mode": "multi", "histories": histories})


def test_training_on_packed_runs_of_ones_own_makes_a_submission_that_scores(own, here, data, capsys):
    assert train("mine") == 0
    declared = submission_format.read(here / "mine").declaration
    expected = {each["name"]: each for each in (*entries(data, *WATCHED), *entries(own, *OWN))}
    assert {each.name: each.model_dump() for each in declared.watched.histories} == expected
    assert declared.watched.mode == "multi"
    assert cli.main(["check", "mine"]) == 0
    assert "warning" not in capsys.readouterr().out
    row = rows.requested("mine", here / "out", lanes=2)
    assert {run.name for run in row.runs} == {*WATCHED, "goal-02/seed-0"}
    (player,) = row.entry.players
    assert player.teachers == WATCHED
    rows.score(row, ["skill"])
    lanes = [records.read(path.parent)["lane"] for path in sorted(row.folder.rglob(records.RECORD))]
    assert lanes
    assert {lane["teacher"] for lane in lanes} <= set(WATCHED)


def test_one_run_in_two_places_or_under_two_names_is_refused(own, here, capsys):
    assert train("mine", "--teacher", "goal-00/seed-5", "--teacher", "goal-03/seed-5") == 0
    assert [each.name for each in submission_format.read(here / "mine").declaration.watched.histories] == [
        "goal-00/seed-5",
        "goal-03/seed-5",
    ]
    twin = here / "twin" / BENCHMARK / "goal-00" / "seed-8"
    anyones_runs.copy_as(own / BENCHMARK / "goal-00" / "seed-5", twin)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNDERSTUDY_DATA", f"{benchmarks.roots()[0]}:{own}:{here / 'twin'}")
        capsys.readouterr()
        assert train("other") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    same = own / BENCHMARK / "goal-00" / "seed-5"
    assert f"{twin}: its moves are those of {same}, so the two are one run; train on one of them" in error
    (first, second) = entries(own, "goal-00/seed-5", "goal-03/seed-5")
    declare(here / "mine", [first, {**second, "sha256": first["sha256"]}])
    assert cli.main(["check", "mine"]) == 2
    error = capsys.readouterr().err
    assert "goal-00/seed-5 and goal-03/seed-5 have the same moves and are one run; declare one" in error
    declare(here / "mine", [first, second, first])
    assert cli.main(["check", "mine"]) == 2
    assert "watched.histories: expected each once; found 'goal-00/seed-5' twice" in capsys.readouterr().err


def test_a_pinned_run_under_another_name_is_named_by_check(make_submission, data, capsys):
    (pinned,) = entries(data, WATCHED[0])
    folder = make_submission()
    declare(folder, [{**pinned, "name": "goal-00/seed-77"}])
    assert cli.main(["check", str(folder)]) == 0
    line = (
        "watched run goal-00/seed-77 has the moves of goal-00/seed-0, which darkroom-v1 pins, and is that run"
    )
    assert line in " ".join(capsys.readouterr().out.split())


def test_score_and_check_compare_the_runs_that_are_not_pinned(own, make_submission, data, monkeypatch):
    """A score depends on no other run; both compare their hashes, and refuse another."""
    folder = make_submission()
    declare(folder, [*entries(data, *WATCHED), *entries(own, *OWN)])
    plain, read = history_format.read, []

    def reading(path):
        read.append(str(path))
        return plain(path)

    teacher_data._read.cache_clear()
    monkeypatch.setattr(history_format, "read", reading)
    row = rows.requested(str(folder), folder / "out")
    assert read == []
    scoring.plan([row], ["skill"])
    assert len([path for path in read if "histories.zip" in path]) == len(OWN)
    assert cli.main(["check", str(folder)]) == 0
    wrong = [{**entries(own, name)[0], "sha256": "0" * 64} for name in [*OWN][:1]]
    declare(folder, wrong)
    assert rows.requested(str(folder), folder / "out").entry.players[0].teachers == WATCHED
    assert cli.main(["check", str(folder)]) == 2
    with pytest.raises(InputError, match="trained on other data"):
        scoring.plan([rows.requested(str(folder), folder / "out")], ["skill"])


def test_a_pinned_run_declared_with_other_moves_is_refused_without_reading(
    make_submission, data, monkeypatch
):
    folder = make_submission()
    (pinned,) = entries(data, WATCHED[0])
    declare(folder, [{**pinned, "sha256": "0" * 64}])
    monkeypatch.setattr(history_format, "read", lambda path: pytest.fail(f"{path} is read"))
    monkeypatch.setattr(moves_hash, "sha256", lambda *_: pytest.fail("a run is hashed"))
    with pytest.raises(InputError, match=r"goal-00/seed-0: its first 1,300 moves have the SHA-256 .* 000000"):
        rows.entry(str(folder))


def test_retraining_compares_the_runs_with_the_declared_hashes(own, here, capsys):
    assert train("mine") == 0
    row = rows.requested("mine", here / "out", lanes=2)
    shuffled = INTERVENTIONS["shuffled-0"]
    rows.score(row, ["skill"], applied=[shuffled])
    assert sorted(path.name for path in (row.folder / "parameters").iterdir()) == [
        "shuffled-0-all.safetensors"
    ]
    declared = json.loads((here / "mine" / "submission.json").read_text())["watched"]["histories"]
    other = [{**each, "sha256": "0" * 64} if each["name"] == "goal-03/seed-5" else each for each in declared]
    declare(here / "mine", other)
    again = rows.requested("mine", here / "again", lanes=2)
    with pytest.raises(InputError, match=r"run goal-03/seed-5: its first .* found 000000000000 declared"):
        rows.score(again, ["skill"], applied=[shuffled])


def test_a_job_carries_the_names_of_thousands_of_watched_runs_and_no_more(own, make_submission, data):
    folder = make_submission()
    many = [
        {"name": f"goal-{game:02}/seed-{seed}", "moves": 1_300, "sha256": f"{game * 10_000 + seed:064x}"}
        for game in (0, 1, 3, 4, 5)
        for seed in range(1_000, 2_000)
    ]
    declare(folder, [*entries(data, *WATCHED), *many])
    (row,) = scoring.rows_of([Request(str(folder), BENCHMARK, "quick", folder / "out")])
    items = scoring.plan([row], ["skill"]).items
    sent = pickle.dumps(items[0])
    assert len(sent) < 120 * (len(many) + 2) + 50_000
    assert sent.count(b"seed-1999") == 5  # each once, and no run of this machine that is not pinned
    assert b"histories.zip" not in sent
    assert [run.name for run in row.runs] == [*WATCHED, "goal-02/seed-0"]
    assert pinned_runs.pinned_among(row.benchmark, benchmarks.teacher_runs(row.benchmark)) == list(row.runs)
