"""Runs kept on another disk and linked to: published, listed and checked as if they lay there."""

from __future__ import annotations

import os
import shutil

import pytest
from support import privileges
from support.hub_commands import RUNS

from understudy.commands.histories import _named
from understudy.suite.errors import InputError
from understudy.suite.histories import publishing
from understudy.suite.hub import folders, locations, manifest
from understudy.suite.io import parts


@pytest.fixture
def linked(folder, tmp_path):
    """The same runs, the first by a link to its folder, others by links to their game's or to their files."""
    root = tmp_path / "linked"
    (root / RUNS[0]).parent.mkdir(parents=True)
    (root / RUNS[0]).symlink_to(folder / RUNS[0])
    if RUNS[1].rpartition("/")[0] != RUNS[0].rpartition("/")[0]:
        (root / RUNS[1]).parent.symlink_to((folder / RUNS[1]).parent)
    for name in RUNS[1:]:
        (root / name).mkdir(parents=True, exist_ok=True)
        if not (root / name / "history.parquet").exists():
            (root / name / "history.parquet").symlink_to(folder / name / "history.parquet")
    return root


def test_linked_runs_are_published_as_the_files_that_they_are(folder, linked):
    expected, found = publishing.prepare(folder, "user/repo"), publishing.prepare(linked, "user/repo")
    assert [run.name for run in found.runs] == sorted(RUNS)
    assert found.runs == expected.runs
    assert found.contents[manifest.NAME] == expected.contents[manifest.NAME]


def test_linked_runs_are_found_by_their_folder(folder, linked):
    expected = [path.relative_to(folder) for path in _named.files(folder)]
    assert len(expected) == len(RUNS)
    assert [path.relative_to(linked) for path in _named.files(linked)] == expected


def test_a_run_whose_disk_is_not_there_is_not_left_out(linked, folder):
    shutil.rmtree(folder / RUNS[0])
    for walk in (lambda: publishing.prepare(linked, "user/repo"), lambda: _named.files(linked)):
        with pytest.raises(InputError, match=rf"{linked / RUNS[0]}: a link to .*, which is not there"):
            walk()


def test_a_network_whose_disk_is_not_there_is_not_left_out(folder):
    network = folder / RUNS[0] / "network_at_w.safetensors"
    network.unlink()
    network.symlink_to("/not/mounted")
    with pytest.raises(InputError, match=rf"{network}: a link to /not/mounted"):
        publishing.prepare(folder, "user/repo")


def test_a_run_that_may_not_be_read_is_not_left_out(folder):
    with privileges.nobodys_folder() as place:
        shutil.copytree(folder, place / "runs")
        (place / "runs").chmod(0o755)
        closed = (place / "runs" / RUNS[0]).parent
        with privileges.closed(closed), privileges.as_nobody():
            for walk in (
                lambda: publishing.prepare(place / "runs", "user/repo"),
                lambda: _named.files(place / "runs"),
                lambda: manifest.write(place / "runs"),
            ):
                with pytest.raises(InputError, match=rf"{closed}: may not be listed"):
                    walk()


def test_a_manifest_covers_what_is_behind_links(folder, linked):
    shutil.rmtree(linked)
    linked.symlink_to(folder)
    manifest.write(folder)
    assert manifest.check(linked) == manifest.check(folder)
    (folder / "more").symlink_to(folder.parent)
    with pytest.raises(InputError, match="a link to a folder that it lies in"):
        manifest.check(folder)
    (folder / "more").unlink()
    (folder / "more").symlink_to("/not/mounted")
    with pytest.raises(manifest.Mismatch, match="more: a link to /not/mounted, which is not there") as caught:
        manifest.check(folder)
    assert caught.value.path == "more"
    (folder / "more").unlink()
    os.mkfifo(folder / "more")
    with pytest.raises(manifest.Mismatch, match="more is not listed"):
        manifest.check(folder)


def test_a_file_whose_name_is_not_utf8_can_not_be_published():
    with pytest.raises(InputError, match="a file of this name can't be published; rename it"):
        manifest.text({os.fsdecode(b"caf\xe9"): "0" * 64})


def test_a_copy_that_another_makes_is_left_alone(folder, tmp_path, monkeypatch):
    manifest.write(folder)
    location = locations.parse("hf://datasets/user/repo@" + "0" * 40)
    others = tmp_path / f".copy.{'0' * 16}.part"
    others.mkdir()
    (others / "file").touch()
    folders.copy(folder, location, tmp_path / "copy")
    assert (tmp_path / "copy" / manifest.NAME).read_bytes() == (folder / manifest.NAME).read_bytes()
    monkeypatch.setattr(parts, "token", lambda: "0" * 16)
    with pytest.raises(FileExistsError):
        folders.copy(folder, location, tmp_path / "copy")
    assert (others / "file").exists()
