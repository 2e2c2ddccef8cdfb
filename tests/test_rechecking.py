"""`understudy verify ROW --recheck SUBMISSION`: which badges a row earns, and that each can be earned."""

import json

import pytest

from understudy import cli
from understudy.rechecking import ISOLATION, RECHECK, JobCheck, RowCheck


def badges(*jobs, answers=None):
    return RowCheck("mine", False, "0" * 32, jobs, (), answers).badges


def test_retrained_needs_every_draw():
    played = [JobCheck(f"transfer@retrained-{draw}/all", RECHECK, 10, None) for draw in range(3)]
    assert badges(JobCheck("transfer/all", RECHECK, 10, None), *played[:2]) == ["rechecked"]
    assert badges(*played) == ["rechecked", "retrained"]


def test_a_failure_earns_nothing():
    isolated = JobCheck("transfer/all", ISOLATION, 10, None)
    assert badges(isolated) == ["isolated"]
    assert badges(isolated, JobCheck("transfer/all", RECHECK, 10, "its weights choose other moves")) == []


def test_a_rerun_with_other_answers_earns_no_badge():
    assert badges(answers={"skill": ("no", "no")}) == ["rerun"]
    assert badges(answers={"skill": ("no", "partial")}) == []


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
