"""Commands that use datasets and models on the Hub."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants
from support import anyones_runs, embedded_runs
from support.hub_commands import REPO, RUNS, command, pushed
from support.hub_repos import LARGE_BYTES

from understudy import cli
from understudy.suite import benchmarks
from understudy.suite.errors import InputError
from understudy.suite.hub import commits, manifest
from understudy.suite.hub.locations import Location


def test_models_are_published_and_fetched_like_datasets(hub):
    location = Location("model", "somebody/model", None)
    contents = {"a/model.safetensors": b"w" * LARGE_BYTES, "README.md": b"# card\n"}
    contents["SHA256SUMS"] = manifest.text(
        {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    ).encode()
    published = commits.publish(contents, location, "first")
    assert str(published) == f"hf://somebody/model@{hub.repos['model', 'somebody/model'].main}"
    from understudy.suite.hub import client

    folder = client.fetch(published)
    assert (folder / "a" / "model.safetensors").read_bytes() == b"w" * LARGE_BYTES


# A pinned name in place of a path to runs


def test_pinned_runs_are_shown_and_verified(hub, run, folder):
    location = pushed(run, folder)
    code, out, err = run("info", location)
    assert code == 0, err
    assert out.count("darkroom/goal-4") == 3
    code, out, _ = run("verify", f"{location}/{RUNS[1]}")
    assert code == 0
    (line,) = out.splitlines()
    assert "goal-40/seed-1/history.parquet: replayed, 100 moves in 2 segments (" in line
    for absent in ("darkroom-v1/goal-7", "../../../../.."):
        code, _, err = run("info", f"{location}/{absent}")
        assert code == 2
        assert f"holds no {absent}" in err


def test_an_unpinned_name_is_refused_with_the_pinned_one(hub, run, folder, monkeypatch):
    location = pushed(run, folder)
    for name in (f"hf://datasets/{REPO}", f"hf://datasets/{REPO}@main"):
        code, _, err = run("verify", name)
        assert code == 2
        assert err == (
            f"understudy: {name}: expected a commit hash, so that the name always means the same bytes; "
            f"use {location}\n"
        )
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    code, _, err = run("verify", f"hf://datasets/{REPO}@main")
    assert code == 2
    assert f"expected hf://datasets/{REPO}@<40 hex digits>, which `understudy histories pull` prints" in err


def test_runs_are_listed_in_a_folder_and_on_the_hub(hub, run, folder):
    location = pushed(run, folder)
    hub.served.clear()
    code, out, err = run("list", REPO)
    lines = out.splitlines()
    assert code == 0, err
    assert lines[0] == location
    assert [line.split()[0] for line in lines[2:]] == list(RUNS)
    assert hub.served == []
    assert run("pull", REPO)[0] == 0
    _, fetched, _ = run("list", REPO)
    _, local, _ = run("list", folder)
    assert fetched == f"{location}\n{local}"
    assert local.splitlines()[1].split()[:4] == [RUNS[0], "darkroom/goal-40", "0", "100"]


def test_benchmarks_and_train_read_a_dataset_on_the_hub(hub, run, tmp_path, monkeypatch, capsys):
    """Push darkroom runs of the package; then `benchmarks` and `train` have no data but the Hub's."""
    embedded_runs.unpack(tmp_path / "few", *(f"goal-0{goal}/seed-0" for goal in range(3)))
    location = pushed(run, tmp_path / "few")
    shutil.rmtree(tmp_path / "few")
    monkeypatch.setenv("UNDERSTUDY_DATA", location)
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))
    assert cli.main(["benchmarks", "darkroom-v1", "--runs"]) == 0
    shown = capsys.readouterr()
    assert "fetching" in shown.err
    assert [line.split()[:2] for line in shown.out.splitlines() if "14,300" in line] == [
        [f"goal-0{goal}/seed-0", "14,300"] for goal in (0, 1, 2)
    ]
    out = tmp_path / "mine"
    training = ["train", "bc", "--benchmark", "darkroom-v1", "--all", "--updates", "2", "--set", "width=2"]
    assert cli.main([*training, "--out", str(out)]) == 0
    watched = json.loads((out / "submission.json").read_text())["watched"]["histories"]
    assert [entry["name"] for entry in watched] == ["goal-00/seed-0", "goal-01/seed-0"]


@pytest.mark.long
def test_a_submission_is_scored_from_a_dataset_on_the_hub(hub, run, tmp_path, monkeypatch):
    location = pushed(run, benchmarks.roots()[0])
    monkeypatch.setenv("UNDERSTUDY_DATA", location)
    monkeypatch.chdir(tmp_path)
    scoring = ["score", "random", "--benchmark", "darkroom-v1", "--task", "skill", "--budget", "quick"]
    assert cli.main([*scoring, "--out", "results"]) == 0
    assert list((tmp_path / "results").rglob("runs.zip"))


def test_environment_variables_name_the_hub_and_switch_it_off(hub, run, folder, tmp_path):
    """Runs other processes, configured by environment variables only."""
    location = pushed(run, folder)
    ran = command(hub, tmp_path / "home", "histories", "info", location)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.startswith(f"{location}: fetching")
    hub.requests.clear()
    ran = command(hub, tmp_path / "home", "histories", "info", location, HF_HUB_OFFLINE="1")
    assert (ran.returncode, ran.stderr) == (0, "")
    ran = command(hub, tmp_path / "other", "histories", "info", location, HF_HUB_OFFLINE="1")
    assert ran.returncode == 3
    assert ran.stderr == f"understudy: {location}: the Hub is needed, but HF_HUB_OFFLINE is set; unset it\n"
    assert hub.requests == []


def test_the_list_of_data_folders_is_split_outside_of_names_on_the_hub(
    hub, run, folder, tmp_path, monkeypatch
):
    location = pushed(run, folder)
    monkeypatch.setenv("UNDERSTUDY_DATA", os.pathsep.join(["/a/b", location, str(tmp_path), ""]))
    first, second, third = benchmarks.roots()
    assert (first, third) == (Path("/a/b"), tmp_path)
    assert second.name == location[-40:]
    monkeypatch.setenv("UNDERSTUDY_DATA", f"hf://datasets/{REPO}@main")
    with pytest.raises(InputError, match=f"use {location}"):
        benchmarks.roots()


def test_an_archive_of_runs_is_published_listed_and_used(hub, run, folder):
    anyones_runs.pack_by_hand(folder, folder.parent / "packed")
    location = pushed(run, folder.parent / "packed")
    hub.served.clear()
    code, out, err = run("list", REPO)
    assert code == 0, err
    heading, listed = out.splitlines()[-2:]
    assert (heading.split(), listed.split()[0]) == (["run", "size"], "darkroom-v1/histories.zip")
    assert err.startswith("0 runs, 1 archive of runs, ")
    assert not any("histories.zip" in path for path, _ in hub.served), "it was downloaded"
    code, out, err = run("verify", location)
    assert code == 0, err
    assert [line.partition("histories.zip/")[2].partition("/history")[0] for line in out.splitlines()] == [
        name.removeprefix("darkroom-v1/") for name in RUNS
    ]
    code, out, err = run("list", location)
    assert code == 0, err
    assert [line.split()[0] for line in out.splitlines()[-3:]] == list(RUNS)
