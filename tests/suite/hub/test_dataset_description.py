"""A published dataset, opened by others: `mlcroissant` reads its croissant.json, `datasets` its card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support import anyones_runs
from support.hub_commands import REPO, RUNS

from understudy.suite.histories import publishing

COLUMNS = ("action", "reward", "terminated", "truncated", "explored")


@pytest.fixture
def published(folder, tmp_path):
    """The files of a publication, as a clone of the repository has them."""
    root = tmp_path / "clone"
    for path, data in publishing.prepare(folder, REPO).contents.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data if isinstance(data, bytes) else data.read_bytes())
    return root


def moves(root: Path, game: str) -> pd.DataFrame:
    """Return the moves of a game's runs, in order of the runs."""
    names = [name for name in RUNS if name.startswith(f"darkroom-v1/{game}/")]
    return pd.concat([pd.read_parquet(root / name / "history.parquet") for name in names], ignore_index=True)


def test_mlcroissant_accepts_the_description_and_reads_the_moves(published):
    mlcroissant = pytest.importorskip("mlcroissant")
    dataset = mlcroissant.Dataset(published / "croissant.json", mapping={"repo": published})
    issues = dataset.metadata.ctx.issues
    assert not issues.errors
    assert {each.name for each in dataset.metadata.record_sets} == {
        "darkroom-v1.goal-40",
        "darkroom-v1.goal-41",
    }
    for game in ("goal-40", "goal-41"):
        expected = moves(published, game)
        records = list(dataset.records(f"darkroom-v1.{game}"))
        assert len(records) == len(expected)
        for column in COLUMNS:
            found = [record[f"darkroom-v1.{game}/{column}"] for record in records]
            np.testing.assert_array_equal(found, expected[column])


def test_datasets_opens_what_the_viewer_shows(published, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    assert datasets.get_dataset_config_names(str(published)) == ["darkroom-v1.goal-40", "darkroom-v1.goal-41"]
    for game in ("goal-40", "goal-41"):
        opened = datasets.load_dataset(
            str(published), f"darkroom-v1.{game}", cache_dir=str(tmp_path / "cache")
        )
        pd.testing.assert_frame_equal(opened["train"].to_pandas(), moves(published, game))


def test_two_builds_give_equal_bytes(folder):
    first = publishing.prepare(folder, REPO).contents
    again = publishing.prepare(Path(shutil.copytree(folder, folder.parent / "copy")), REPO).contents
    for name in ("croissant.json", "README.md", "SHA256SUMS"):
        assert first[name] == again[name]


def test_packed_runs_are_one_file_with_its_hash(folder, tmp_path):
    mlcroissant = pytest.importorskip("mlcroissant")
    anyones_runs.pack_by_hand(folder, tmp_path / "packed")
    contents = publishing.prepare(tmp_path / "packed", REPO).contents
    described = json.loads(contents["croissant.json"])
    assert described["recordSet"] == []
    (archive,) = [each for each in described["distribution"] if each["@id"] != "repo"]
    line = f"{archive['sha256']}  darkroom-v1/histories.zip"
    assert line in contents["SHA256SUMS"].decode().splitlines()
    (tmp_path / "croissant.json").write_bytes(contents["croissant.json"])
    assert not mlcroissant.Dataset(tmp_path / "croissant.json").metadata.ctx.issues.errors
