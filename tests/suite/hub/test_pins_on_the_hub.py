"""Pinned runs on the Hub: maintainers publish and pin them, `pull --benchmark` fetches what is missing."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from support import anyones_runs, embedded_runs
from support.hub_commands import REPO

from understudy.suite import benchmarks
from understudy.suite.benchmarks import data_folders, pinned_runs, pinning, pins
from understudy.suite.errors import InputError
from understudy.suite.histories import history_format

DARKROOM = benchmarks.load("darkroom-v1")
GOALS = ("goal-00", "goal-01", "goal-02")


@pytest.fixture
def published(hub, tmp_path, monkeypatch):
    """Three teachers that a maintainer has published and pinned, on a machine that has the first of them."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    embedded_runs.unpack(theirs, *(f"{goal}/seed-0" for goal in GOALS))
    embedded_runs.unpack(ours, f"{GOALS[0]}/seed-0")
    path, added = pinning.pin(DARKROOM, theirs, publish=REPO)
    assert added == 5  # two watched goals, of which submissions declare the first W moves, and a new one
    monkeypatch.setattr(pins, "of", lambda benchmark: pins.read(path))
    monkeypatch.setattr(data_folders, "roots", lambda: (ours,))
    shutil.rmtree(theirs / "darkroom-v1")
    return path


def test_missing_runs_are_pulled_by_the_name_of_their_benchmark(published, run, hub):
    (location,) = pins.read(published).published
    assert location.startswith(f"hf://datasets/{REPO}@")
    assert pinned_runs.missing(pins.read(published), DARKROOM) == ("goal-01/seed-0", "goal-02/seed-0")
    code, out, err = run("pull", "--benchmark", "darkroom-v1")
    assert code == 0, err
    assert out.splitlines() == [location, "darkroom-v1: all 3 pinned runs are here"]
    found = {each.name: each for each in benchmarks.teacher_runs(DARKROOM)}
    assert list(found) == ["goal-00/seed-0", "goal-01/seed-0", "goal-02/seed-0"]
    pinned = pins.read(published)
    assert all(pinned_runs.verified_moves(pinned, each) == 14_300 for each in found.values())
    hub.requests.clear()
    assert run("pull", "--benchmark", "darkroom-v1")[0] == 0
    assert hub.requests == []


def test_what_is_not_published_is_said_to_be_so(published, run):
    text = published.read_text()
    (location,) = pins.read(published).published
    published.write_text(text.replace(f'"{location}"', "null"))
    pins._read.cache_clear()
    code, _, err = run("pull", "--benchmark", "darkroom-v1")
    assert code == 2
    assert "darkroom-v1: 2 of 3 pinned runs are missing; first goal-01/seed-0; it is not published yet" in err


def test_one_of_dataset_and_benchmark_is_pulled(run):
    for arguments in ((), (REPO, "--benchmark", "darkroom-v1")):
        code, _, err = run("pull", *arguments)
        assert code == 2
        assert "expected a dataset or --benchmark" in err


def test_a_run_that_was_continued_takes_the_place_of_the_shorter_one(published, run, tmp_path, monkeypatch):
    """Its pins of before stay, so that it is still the run that was watched."""
    (ours,) = data_folders.roots()
    here = ours / "darkroom-v1" / GOALS[0] / "seed-0" / "history.parquet"
    whole = history_format.read(here)
    stop = whole.header.segments[1].first_move
    columns = {name: getattr(whole, name)[:stop] for name in history_format.COLUMNS}
    shorter = replace(whole, header=replace(whole.header, segments=whole.header.segments[:1]), **columns)
    history_format.write(here, shorter)
    assert pinned_runs.missing(pins.read(published), DARKROOM)[0] == "goal-00/seed-0"
    assert run("pull", "--benchmark", "darkroom-v1")[0] == 0
    (found,) = (each for each in benchmarks.teacher_runs(DARKROOM) if each.name == "goal-00/seed-0")
    assert benchmarks.read(found).num_moves == 14_300
    assert ours not in found.history_path.parents


def test_a_pulled_run_that_chosen_folders_hide_is_said_to_be_so(published, run, tmp_path, monkeypatch):
    (ours,) = data_folders.roots()
    monkeypatch.setenv("UNDERSTUDY_DATA", str(ours))
    code, _, err = run("pull", "--benchmark", "darkroom-v1")
    assert code == 2
    assert "first goal-01/seed-0; it was fetched, but UNDERSTUDY_DATA names other folders: unset it" in err


def test_runs_that_cannot_be_pinned_are_not_published(hub, tmp_path):
    with pytest.raises(InputError, match="no teacher run here to pin"):
        pinning.pin(DARKROOM, tmp_path, publish=REPO)
    source = embedded_runs.unpack(tmp_path / "source", f"{GOALS[0]}/seed-0") / GOALS[0] / "seed-0"
    for name in ("seed-0", "seed-7"):
        anyones_runs.copy_as(source, tmp_path / "darkroom-v1" / GOALS[0] / name)
    with pytest.raises(InputError, match="have the same moves and are one run"):
        pinning.pin(DARKROOM, tmp_path, publish=REPO)
    assert hub.requests == []
