"""Data folders and recordings on disks that are linked to, not there, or closed."""

from __future__ import annotations

import shutil

import pytest
from support import privileges
from support.replay_shards import imported, without_gap, write_torchrl

from understudy.suite import benchmarks
from understudy.suite.errors import InputError
from understudy.suite.histories.journal import Journal
from understudy.suite.teachers import checkpoints

RUN = "darkroom-v1/goal-00/seed-7"


@pytest.fixture
def run(tmp_path):
    """A teacher's run, whose content nobody reads here."""
    (tmp_path / "disk" / "seed-7").mkdir(parents=True)
    for name in ("history.parquet", "network_at_w.safetensors"):
        (tmp_path / "disk" / "seed-7" / name).write_bytes(b"...")
    (tmp_path / "data" / RUN).parent.mkdir(parents=True)
    (tmp_path / "data" / RUN).symlink_to(tmp_path / "disk" / "seed-7")
    return tmp_path / "data" / RUN


def found(data):
    return benchmarks.teacher_runs(benchmarks.load("darkroom-v1"), [data])


def test_a_linked_teacher_is_found(run, tmp_path):
    (teacher,) = found(tmp_path / "data")
    assert (teacher.folder, teacher.network_path) == (run, run / "network_at_w.safetensors")


def test_a_teacher_whose_disk_is_not_there_is_named(run, tmp_path):
    (run / "network_at_w.safetensors").unlink()
    (run / "network_at_w.safetensors").symlink_to("/not/mounted")
    with pytest.raises(InputError, match=rf"{run}/network_at_w.safetensors: a link to /not/mounted"):
        found(tmp_path / "data")
    shutil.rmtree(tmp_path / "disk")
    with pytest.raises(InputError, match=rf"{run}: a link to {tmp_path}/disk/seed-7, which is not there"):
        found(tmp_path / "data")


def test_a_teacher_that_may_not_be_read_is_named(run):
    with privileges.nobodys_folder() as data:
        shutil.copytree(run, data / RUN)
        expected = pytest.raises(InputError, match=rf"{data / RUN}/history.parquet: may not be read")
        with privileges.closed(data / RUN), privileges.as_nobody(), expected:
            found(data)


def test_a_file_in_place_of_a_data_folder_is_named(tmp_path):
    (tmp_path / "data").touch()
    with pytest.raises(InputError, match=r"data folder .*/data is not a folder; set UNDERSTUDY_DATA"):
        found(tmp_path / "data")


def test_a_shard_whose_disk_is_not_there_is_not_left_out(tmp_path):
    folder = write_torchrl(tmp_path / "run", without_gap(0, 140))
    last = max((path for path in folder.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))
    shutil.rmtree(last)
    last.symlink_to("/not/mounted")
    with pytest.raises(InputError, match=rf"{last}: a link to /not/mounted, which is not there"):
        imported("torchrl", folder)


def test_a_journal_removes_its_own_files_only(tmp_path):
    journal = Journal(tmp_path / "history.parquet.journal")
    journal.discard()  # there is none
    journal.folder.mkdir()
    own = ("moves.bin", "header.json", "segments-100.json", ".segments-200.json.0123456789abcdef.part")
    others = ("notes.txt", "segments-last.json", ".header.json.swp")
    for name in (*own, *others):
        (journal.folder / name).write_text("{}", encoding="utf-8")
    journal.discard()
    assert {path.name for path in journal.folder.iterdir()} == set(others)
    for name in others:
        (journal.folder / name).unlink()
    journal.discard()
    assert not journal.folder.exists()


def test_only_checkpoints_of_a_move_are_a_trainings(tmp_path):
    for name in ("checkpoint-60", "checkpoint-best", "checkpoint", "checkpoint-60-mine"):
        (tmp_path / f"{name}.safetensors").touch()
    assert [path.name for path in checkpoints.every_numbered(tmp_path)] == ["checkpoint-60.safetensors"]
