"""`understudy verify ROW --recheck SUBMISSION`: which badges a row earns, and that each can be earned."""

import inspect
import json
import re
import shutil

import pytest
from support import rows

from understudy import cli, rechecking
from understudy.leaderboard import stored_rows, verification
from understudy.rechecking import ISOLATION, RECHECK, JobCheck, RowCheck
from understudy.suite import reserved_names
from understudy.suite.errors import InputError
from understudy.suite.harness import rounds, work
from understudy.suite.io import files
from understudy.suite.scoring import conditions, verdicts
from understudy.suite.scoring.verdicts import Verdict


def badges(*jobs, answers=None):
    return RowCheck("mine", False, False, "0" * 32, jobs, (), answers).badges


def test_retrained_needs_every_draw():
    played = [
        JobCheck(f"transfer@retrained-{draw}/all", RECHECK, 10, None, "bubblewrap") for draw in range(3)
    ]
    assert badges(JobCheck("transfer/all", RECHECK, 10, None, "bubblewrap"), *played[:2]) == ["rechecked"]
    assert badges(*played) == ["rechecked", "retrained"]


def test_a_failure_earns_nothing():
    isolated = JobCheck("transfer/all", ISOLATION, 10, None, "bubblewrap")
    assert badges(isolated) == ["isolated"]
    assert (
        badges(
            isolated, JobCheck("transfer/all", RECHECK, 10, "its weights choose other moves", "bubblewrap")
        )
        == []
    )


@pytest.mark.parametrize(
    ("is_custom", "player_process", "earned"),
    [
        (True, "resource limits", []),
        (True, "bubblewrap", ["rechecked", "isolated"]),
        (False, "resource limits", ["rechecked", "isolated", "retrained", "rerun"]),
    ],
)
def test_custom_code_earns_what_a_confined_process_says_of_it_alone(is_custom, player_process, earned):
    played = ["transfer/all", *(f"transfer@retrained-{draw}/all" for draw in range(3))]
    jobs = [JobCheck(job, RECHECK, 10, None, player_process) for job in played]
    jobs.append(JobCheck("transfer/all", ISOLATION, 10, None, player_process))
    found = RowCheck("mine", is_custom, False, "0" * 32, tuple(jobs), (), {"skill": ("no", "no")})
    assert found.badges == earned


def test_a_rerun_with_other_answers_earns_no_badge():
    assert badges(answers={"skill": ("no", "no")}) == ["rerun"]
    assert badges(answers={"skill": ("no", "partial")}) == []


@pytest.mark.parametrize(
    ("answer", "reason", "said"),
    [
        ("yes", None, "yes"),
        ("yes (unverified)", "not measured: reward", "yes"),
        ("undecided", "gain does not depend on reward", "yes"),
        ("undecided", "isolation does not hold", "yes"),
        ("undecided", None, "undecided"),
        ("no", None, "no"),
        (None, "not played", None),
    ],
)
def test_a_rerun_compares_what_the_contrasts_say(answer, reason, said):
    """At commit a2b4eab9 the sandbagger's stored undecided was held against a rerun's yes (unverified)."""
    assert rechecking.contrasts_say(Verdict("transfer", "method", answer, reason=reason)) == said


def test_every_reason_of_a_failed_condition_is_listed():
    source = inspect.getsource(conditions)
    named = set(re.findall(r"_undecided\(verdict, verdicts\.(\w+)\)", source))
    assert {getattr(verdicts, name) for name in named} == set(verdicts.CONDITIONS_FAILED)


def test_a_rerun_of_nothing_earns_no_badge():
    assert badges(answers={}) == []


@pytest.mark.parametrize("what", ["the results themselves", "a copy of them", "something else"])
def test_a_rerun_needs_a_new_folder_before_anything_is_replayed(copied, tmp_path, capsys, monkeypatch, what):
    """At commit 517a081c runs that were there earned `rerun`, and none was played."""
    monkeypatch.setattr(verification, "verify", None)
    again = copied if what == "the results themselves" else tmp_path / "again"
    if what == "a copy of them":
        shutil.copytree(copied, again)
    elif what == "something else":
        (again / "darkroom-v1").mkdir(parents=True)
    row = copied / "darkroom-v1" / "quick" / "random"
    assert cli.main(["verify", str(row), "--recheck", "random", "--rerun", str(again)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--rerun: expected a new or an empty folder" in said
    folder = stored_rows.RowFolder(row, "darkroom-v1", "quick", "random")
    with pytest.raises(InputError, match="--rerun: expected a new or an empty folder"):
        rechecking.check(folder, "random", {}, rerun=again)


def test_a_new_and_an_empty_folder_are_taken(tmp_path):
    rechecking.require_new(tmp_path / "new")
    rechecking.require_new(tmp_path)


STORED = [
    row for row in stored_rows.every_row_in(stored_rows.RESULTS) if not stored_rows.row_of(row)["control"]
]


@pytest.mark.parametrize("row", STORED, ids=lambda row: f"{row.benchmark}/{row.budget}/{row.name}")
def test_a_stored_row_declares_what_its_entry_does(row, tmp_path):
    stored = stored_rows.row_of(row)
    name = row.name
    if name.endswith("-sampled"):  # its entry is the other one's weights, sampled
        source = reserved_names.ENTRIES / row.benchmark / name.removesuffix("-sampled")
        name = str(shutil.copytree(source, tmp_path / name))
        path = tmp_path / row.name / reserved_names.DECLARATION
        files.write_json(path, {**files.read_json(path), "name": row.name, "decoding": "sample"})
    how = {"benchmark": row.benchmark, "budget": row.budget, "round": rounds.load(stored["round"])}
    requested = rows.requested(name, tmp_path / "out", **how)
    assert rechecking.differing_key(work.declared(requested), stored) is None


@pytest.mark.long
def test_a_small_submission_earns_all_of_them(tmp_path, monkeypatch, capsys):
    """Trained, played with its trained interventions, trained anew, and played anew."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UNDERSTUDY_DATA", raising=False)
    asked = ["--benchmark", "darkroom-v1"]
    assert cli.main(["train", "bc", *asked, "--updates", "2", "--out", "mine"]) == 0
    draws = [part for draw in range(3) for part in ("--intervention", f"retrained-{draw}")]
    played = ["--budget", "quick", "--task", "skill", "--out", "out", *draws]
    assert cli.main(["score", "mine", *asked, *played]) == 0
    row = "out/darkroom-v1/quick/mine"
    again = ["--recheck", "mine", "--retrain", "--rerun", "again", "--record", "found.json"]
    capsys.readouterr()
    assert cli.main(["verify", row, *again]) == 0
    assert "earned here: replayed, rechecked, retrained, rerun" in capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["badges"] == ["rechecked", "retrained", "rerun"]
    assert found["not_trained"] == []
    assert cli.main(["verify", row, "--recheck", "mine"]) == 0
    assert "earned here: replayed, rechecked\n" in capsys.readouterr().out
