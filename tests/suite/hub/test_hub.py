"""`histories push` and `pull`: the real client against a loopback Hub, byte for byte."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil

import pytest
from support.hub_commands import REPO, RUNS, content, last, pushed

from understudy.suite.histories import history_format


def test_pull_gives_the_bytes_that_were_pushed(hub, run, folder, tmp_path):
    location = pushed(run, folder)
    sent = content(folder)
    stored = hub.files(REPO)
    assert {path: data for path, data in stored.items() if path.startswith("darkroom-v1/")} == sent
    assert stored.keys() - sent.keys() == {"README.md", "SHA256SUMS", "croissant.json", ".gitattributes"}
    commits_made = list(hub.repos["dataset", REPO].messages.values())
    assert commits_made == ["initial commit", "3 runs"]

    code, out, err = run("pull", REPO, "--out", tmp_path / "copy")
    assert (code, out.strip()) == (0, location)
    total = sum(map(len, stored.values()))
    assert f"{total / 1e3:.1f} kB in all" in err
    got = content(tmp_path / "copy")
    source = json.loads(got.pop("source.json"))
    assert source == {"location": location, "repo": REPO, "type": "dataset", "revision": location[-40:]}
    assert got == stored
    assert not list(tmp_path.glob(".*part"))


def test_pulled_runs_are_pushed_again_as_they_are(hub, run, folder, tmp_path):
    location = pushed(run, folder)
    run("pull", REPO, "--out", tmp_path / "copy")
    code, out, err = run("push", tmp_path / "copy", REPO)
    assert (code, out.strip()) == (0, location)
    assert "nothing to do" in err


def test_push_twice_does_nothing_and_a_change_is_one_commit(hub, run, folder):
    first = pushed(run, folder)
    code, out, err = run("push", folder, REPO)
    assert (code, out.strip()) == (0, first)
    assert "nothing to do" in err
    shutil.rmtree(folder / RUNS[1])
    code, out, err = run("push", folder, REPO, "--message", "one run less")
    assert code == 0
    assert out.strip() != first
    assert f"removed from the Hub, not in the folder: {RUNS[1]}/history.parquet" in err
    assert hub.files(REPO).keys().isdisjoint({f"{RUNS[1]}/history.parquet"})
    assert list(hub.repos["dataset", REPO].messages.values())[1:] == ["3 runs", "one run less"]
    assert run("pull", first)[0] == 0  # the older commit is still there
    assert run("pull", out.strip())[0] == 0


def test_dry_run_writes_nothing(hub, run, folder):
    code, out, err = run("push", folder, REPO, "--dry-run", "--replay")
    assert (code, out) == (0, "")
    assert "7 files to add, 0 to change, 0 to remove" in err
    assert "under cc-by-4.0" in err
    assert not hub.repos
    assert {method for method, _ in hub.requests} == {"GET"}


def test_the_folder_is_not_changed_and_other_files_are_left_out(hub, run, folder):
    (folder / "README.md").write_text("mine")
    (folder / "notes.txt").write_text("private")
    before = content(folder)
    _, _, err = run("push", folder, REPO)
    assert "left out, not part of a run: notes.txt" in err
    assert content(folder) == before
    assert "notes.txt" not in hub.files(REPO)
    assert hub.files(REPO)["README.md"] != b"mine"


def test_a_repository_can_be_created_private(hub, run, folder):
    hub.token = "hf_right"
    os.environ["HF_TOKEN"] = "hf_right"
    try:
        assert run("push", folder, REPO, "--private")[0] == 0
    finally:
        del os.environ["HF_TOKEN"]
    assert hub.repos["dataset", REPO].private
    code, _, err = run("pull", REPO)
    assert code == 2
    assert "or a private one; check the name, or log in" in err


def test_a_tag_is_resolved_once_and_recorded_as_a_commit_hash(hub, run, folder, tmp_path):
    code, out, _ = run("push", folder, REPO, "--tag", "v1")
    first = out.strip()
    assert code == 0
    assert hub.repos["dataset", REPO].tags == {"v1": first[-40:]}
    assert run("push", folder, REPO, "--tag", "v1")[0] == 0  # neither files nor tag to write
    hub.add(REPO, {"README.md": b"edited"})
    hub.requests.clear()
    code, out, _ = run("pull", f"{REPO}@v1", "--out", tmp_path / "copy")
    assert (code, out.strip()) == (0, first)
    assert json.loads((tmp_path / "copy" / "source.json").read_text())["revision"] == first[-40:]
    assert len([path for _, path in hub.requests if "v1" in path.replace("darkroom-v1", "")]) == 1
    hub.repos["dataset", REPO].tags["v1"] = hub.repos["dataset", REPO].main
    code, _, err = run("pull", f"{REPO}@v1", "--out", tmp_path / "copy")
    assert code == 2
    assert f"says {{'location': '{first}'" in err


def test_a_tag_never_moves(hub, run, folder):
    run("push", folder, REPO, "--tag", "v1")
    shutil.rmtree(folder / RUNS[1])
    before = hub.repos["dataset", REPO].main
    code, _, err = run("push", folder, REPO, "--tag", "v1")
    assert code == 2
    assert "the tag v1 exists" in err
    assert hub.repos["dataset", REPO].main == before


def test_a_repository_with_other_content_is_not_overwritten(hub, run, folder):
    hub.add(REPO, {"model.bin": b"precious"})
    code, _, err = run("push", folder, REPO)
    assert code == 2
    assert "found model.bin and no SHA256SUMS" in err
    assert hub.files(REPO)["model.bin"] == b"precious"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / RUNS[1] / "history.parquet").write_bytes(b"PAR1 cut"), "truncated at byte 8"),
        (
            lambda root: (root / RUNS[2]).parent.rename(root / "darkroom-v1/goal-42"),
            "says goal-42, its history",
        ),
        (
            lambda root: (root / RUNS[2]).rename(root / "darkroom-v1/goal-41/second"),
            "expected runs as <benchmark>",
        ),
        (lambda root: shutil.rmtree(root / "darkroom-v1"), "found none"),
        (shutil.rmtree, "no such folder"),
    ],
)
def test_a_folder_with_an_unreadable_run_is_not_pushed(hub, run, folder, change, message):
    change(folder)
    code, _, err = run("push", folder, REPO)
    assert code == 2
    assert message in last(err)
    assert not hub.repos


def test_a_run_that_does_not_replay_is_not_pushed(hub, run, folder):
    path = folder / RUNS[1] / "history.parquet"
    history = history_format.read(path)
    reward = history.reward.copy()
    reward[50] += 1
    history_format.write(path, dataclasses.replace(history, reward=reward))
    code, _, err = run("push", folder, REPO, "--replay")
    assert code == 1
    assert f"{RUNS[1]}: differs" in last(err)
    assert not hub.repos
