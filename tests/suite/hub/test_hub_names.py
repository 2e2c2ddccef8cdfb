"""Locations on the Hub, manifests and cards: their content, and errors in one line."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import huggingface_hub
import pandas as pd
import pytest
import yaml
from support import embedded_runs
from support.hub_commands import HASH, REPO, RUNS

from understudy.suite import benchmarks
from understudy.suite.errors import InputError
from understudy.suite.histories import history_format, publishing
from understudy.suite.histories.history_format import COLUMNS
from understudy.suite.hub import locations, manifest

# Locations


@pytest.mark.parametrize(
    ("text", "repo_type"), [(f"hf://datasets/a-b/c.d_e@{HASH}", "dataset"), (f"hf://a/b@{HASH}", "model")]
)
def test_a_location_is_read_and_written(text, repo_type):
    location = locations.parse(text)
    assert location.repo_type == repo_type
    assert location.pinned
    assert str(location) == text


def test_only_forty_lower_case_hex_digits_are_pinned():
    for revision in ("main", "v1", HASH[:39], HASH.upper(), HASH + "0", "refs/pr/1"):
        assert not locations.parse(f"hf://datasets/a/b@{revision}").pinned
    assert not locations.parse("hf://datasets/a/b").pinned


@pytest.mark.parametrize(
    "text",
    [
        "hf://",
        "hf://datasets/a",
        "hf://a",
        f"hf://spaces/a/b@{HASH}",
        f"hf://datasets/a/b/c@{HASH}",
        f"hf://datasets/../b@{HASH}",
        f"hf://datasets/a/b..c@{HASH}",
        f"hf://datasets/a/b.git@{HASH}",
        f"hf://datasets/a b/c@{HASH}",
        f"hf://datasets/a/é@{HASH}",
        "hf://datasets/a/b@",
        "hf://datasets/a/b@v 1",
        "hf://datasets/a/b@../x",
        "hf://datasets/a/b@v1@v2",
        "hf://datasets/a/b@v1?x",
        f"hf://datasets/a/{'b' * 97}@{HASH}",
        "datasets/a/b",
    ],
)
def test_a_malformed_location_is_refused_in_one_line(text):
    with pytest.raises(InputError, match="expected") as refused:
        locations.parse(text)
    assert str(refused.value).startswith(text)
    assert "\n" not in str(refused.value)


# The manifest


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    root = tmp_path / "listed"
    for name, data in {"b/x.bin": b"123", "a.txt": b"", "README.md": b"card", "b/README.md": b"?"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    manifest.write(root)
    return root


def test_sha256sum_writes_and_reads_the_same_format(listed):
    ran = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=listed, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == ["a.txt: OK", "b/README.md: OK", "b/x.bin: OK"]
    names = ["a.txt", "b/README.md", "b/x.bin"]
    theirs = subprocess.run(
        ["sha256sum", *names], cwd=listed, capture_output=True, text=True, check=True
    ).stdout
    assert (listed / "SHA256SUMS").read_text() == theirs
    assert list(manifest.check(listed)) == names


@pytest.mark.parametrize("root", benchmarks.roots(), ids=str)
def test_the_manifests_of_the_repositorys_data_hold(root):
    assert manifest.check(root)


def test_every_altered_byte_of_a_manifest_is_found(listed):
    path = listed / "SHA256SUMS"
    good = path.read_bytes()
    for at in range(len(good)):
        for bit in (0, 5):  # 5: the case of a letter
            path.write_bytes(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :])
            with pytest.raises(manifest.Mismatch):
                manifest.check(listed)
    for shorter in (good[:-1], good[1:], b"", good + b"\n", good + good):
        path.write_bytes(shorter)
        with pytest.raises(manifest.Mismatch):
            manifest.check(listed)
    path.write_bytes(good)
    manifest.check(listed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda root: (root / "a.txt").write_bytes(b"!"),
            "a.txt: SHA-256 is bb7208bc.*, SHA256SUMS says e3b0c442",
        ),
        (lambda root: (root / "a.txt").unlink(), "lists a.txt, which is missing"),
        (lambda root: (root / "b" / "new").touch(), "b/new is not listed"),
        (lambda root: (root / "SHA256SUMS").unlink(), "no SHA256SUMS, so nothing can be checked"),
    ],
)
def test_a_difference_from_the_manifest_is_named(listed, change, message):
    change(listed)
    with pytest.raises(manifest.Mismatch, match=message):
        manifest.check(listed)


def test_unlisted_files_may_change(listed):
    (listed / "README.md").write_text("edited on the Hub")
    (listed / ".gitattributes").touch()
    (listed / "source.json").touch()
    manifest.check(listed)


@pytest.mark.parametrize(
    "line", ["/etc/passwd", "../x", "b/../a.txt", "./a.txt", "b//x", "README.md", "a\\b", "b/", "", "."]
)
def test_a_path_outside_the_folder_or_not_normalised_is_refused(tmp_path, line):
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  {line}\n")
    with pytest.raises(manifest.Mismatch, match="line 1"):
        manifest.check(tmp_path)


# The card


def test_the_card_describes_the_files(folder):
    runs = publishing.survey(folder)
    text = publishing.card(runs, REPO)
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "cc-by-4.0"
    assert "reinforcement-learning" in front["task_categories"]
    found = [set(folder.glob(config["data_files"])) for config in front["configs"]]
    assert set().union(*found) == set(folder.rglob("*.parquet"))
    assert sum(map(len, found)) == 3  # none twice
    assert [config["config_name"] for config in front["configs"]] == [
        "darkroom-v1.goal-40",
        "darkroom-v1.goal-41",
    ]
    huggingface_hub.DatasetCard(text)
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| darkroom")]
    assert [row[0] for row in rows] == list(RUNS)
    for row in rows:
        frame = pd.read_parquet(folder / row[0] / "history.parquet")
        ended = frame.terminated | frame.truncated
        assert row[1] == f"darkroom/{row[0].split('/')[1]}"
        assert row[2:5] == [row[0][-1], str(len(frame)), str(ended.sum())]
        for skill, window in zip(row[5:7], (slice(0, 10), slice(90, 100)), strict=True):
            ends = ended[window].sum()
            assert skill == (f"{frame.reward[window].sum() / ends:.4g}" if ends else "-")
        assert row[7].strip("`") == history_format.read(folder / row[0] / "history.parquet").content_sha256


def test_a_published_run_opens_as_a_table(folder):
    front = yaml.safe_load(publishing.card(publishing.survey(folder), REPO).split("---\n")[1])
    for config in front["configs"]:
        for path in folder.glob(config["data_files"]):
            frame = pd.read_parquet(path)
            assert list(frame.columns) == list(COLUMNS)
            assert [str(dtype) for dtype in frame.dtypes] == ["uint8", "float32", "bool", "bool", "bool"]


def test_the_card_of_the_runs_here_matches_every_parquet_file(tmp_path):
    data = tmp_path / "data"
    shutil.copytree(benchmarks.roots()[0], data, ignore=shutil.ignore_patterns(embedded_runs.ARCHIVE.name))
    embedded_runs.unpack(data)
    runs = publishing.survey(data)
    front = yaml.safe_load(publishing.card(runs, REPO).split("---\n")[1])
    found = [path for config in front["configs"] for path in data.glob(config["data_files"])]
    assert sorted(found) == sorted(data.rglob("*.parquet"))
    assert len({run.game for run in runs}) == len(front["configs"])
