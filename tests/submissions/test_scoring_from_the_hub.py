"""Scores with nothing on the machine: submission and teachers' runs are fetched from a loopback Hub."""

from __future__ import annotations

import json
import shutil

import pytest

from understudy import cli
from understudy.suite.benchmarks import data_folders
from understudy.suite.reserved_names import ENTRIES

BENCHMARK = "darkroom-v1"


@pytest.fixture
def submission(tmp_path):
    """The package's entry bc of darkroom, under a name of its own."""
    folder = tmp_path / "mine"
    shutil.copytree(ENTRIES / BENCHMARK / "bc", folder)
    declared = json.loads((folder / "submission.json").read_text(encoding="utf-8"))
    (folder / "submission.json").write_text(json.dumps({**declared, "name": "mine"}))
    return folder


def score(name, out, *tasks):
    chosen = [part for task in tasks for part in ("--task", task)]
    options = ["--benchmark", BENCHMARK, "--budget", "quick", "--out", str(out), *chosen]
    assert cli.main(["score", str(name), *options]) == 0


def from_the_hub(hub, folder, tmp_path, monkeypatch, capsys):
    """Publish a submission and the package's runs, then take away both; return the submission's name."""
    runs = tmp_path / "runs"
    (runs / BENCHMARK).parent.mkdir()
    (runs / BENCHMARK).symlink_to(data_folders.EMBEDDED / BENCHMARK)
    names = []
    for command in (
        ["histories", "push", str(runs), "somebody/runs"],
        ["submissions", "push", str(folder), "somebody/model"],
    ):
        capsys.readouterr()
        assert cli.main(command) == 0
        names.append(capsys.readouterr().out.strip())
    monkeypatch.setattr(data_folders, "EMBEDDED", tmp_path / "nothing")
    monkeypatch.setenv("UNDERSTUDY_DATA", names[0])
    shutil.rmtree(folder)
    return names[1]


def require_same_scores(hub, submission, tmp_path, monkeypatch, capsys, *tasks):
    """Score a submission from its folder and from the Hub; return the verdicts, which are the same."""
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))
    score(submission, tmp_path / "here", *tasks)
    name = from_the_hub(hub, submission, tmp_path, monkeypatch, capsys)
    score(name, tmp_path / "there", *tasks)
    here, there = (tmp_path / results / BENCHMARK / "quick" / "mine" for results in ("here", "there"))
    assert (here / "scores.json").read_bytes() == (there / "scores.json").read_bytes()
    from_folder, from_hub = (json.loads((row / "row.json").read_text("utf-8")) for row in (here, there))
    assert from_hub == {**from_folder, "weights": name}
    return json.loads((there / "scores.json").read_text())["verdicts"]


def test_one_task_is_scored_as_from_the_same_files_here(hub, submission, tmp_path, monkeypatch, capsys):
    found = require_same_scores(hub, submission, tmp_path, monkeypatch, capsys, "skill")
    assert [verdict["answer"] for verdict in found] == ["no", None, None]
    here, there = (tmp_path / results / BENCHMARK / "quick" / "mine" for results in ("here", "there"))
    name = json.loads((there / "row.json").read_text("utf-8"))["weights"]
    runs = (here / "runs.zip").stat().st_mtime_ns
    score(name, tmp_path / "here", "skill")  # of the row that was scored from the folder
    assert (here / "runs.zip").stat().st_mtime_ns == runs  # nothing is played again
    assert (here / "row.json").read_bytes() == (there / "row.json").read_bytes()


@pytest.mark.long
def test_a_full_quick_score_is_that_of_the_same_files_here(hub, submission, tmp_path, monkeypatch, capsys):
    found = require_same_scores(hub, submission, tmp_path, monkeypatch, capsys)
    assert [verdict["answer"] for verdict in found] == ["no", "no", "no"]
    assert cli.main(["verify", str(tmp_path / "there"), "--processes", "1"]) == 0
