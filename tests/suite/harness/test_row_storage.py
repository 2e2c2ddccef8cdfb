"""Packing and unpacking: a kill between any two steps loses nothing, and nobody packs what another plays."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support import rows

from understudy.suite.errors import InputError
from understudy.suite.harness import records, row_archive, row_documents, row_files, row_storage
from understudy.suite.harness.row_archive import ARCHIVE
from understudy.suite.io import archives, file_lock, file_names, files

KILLED = 9
JOB_TIMING = {"began": "2026-01-01T00:00:00+00:00", "host": "here", "moves": 5, "seconds": 1.5}


@pytest.fixture
def row(tmp_path):
    """A complete row in its tree, with a job of two lanes and predictions; what its files hold is made up."""
    folder = tmp_path / "row"
    files.write_json(folder / records.ROW, {})
    play(folder, "start")
    files.write_atomically(folder / "agreement/all/breakout.seed-0.safetensors", b"predicted")
    return folder


def play(folder: Path, role: str) -> None:
    """Write the files of a finished job, its record last."""
    job = folder / role / "all"
    files.write_json(job / records.JOB, rows.job(num_lanes=2))
    row_documents.write(row_documents.JobTiming, job / records.TIMING, JOB_TIMING)
    for lane in (job / "lane-0", job / "lane-1"):
        files.write_atomically(lane / file_names.HISTORY, f"{role} {lane.name}".encode())
        files.write_json(lane / records.RECORD, {"role": role})


def unpack(folder: Path) -> None:
    with row_storage.unpacked({folder: False}):
        pass


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a row's runs, whether it is packed or not."""
    found = [path for depth in (3, 4) for path in row_files.find(folder, "/".join("*" * depth))]
    known = [path for path in found if row_archive.is_known(str(path.inner))]
    assert all(path.exists() for path in known)
    return {str(path.inner): path.read_bytes() for path in known}


def on_disk(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_packed_row_is_four_files_and_unpacks_to_what_it_was(row):
    before, tree = contents(row), on_disk(row)
    assert len(before) == 1 + 2 * 2 + 1
    assert row_storage.pack(row)
    assert on_disk(row) == {records.ROW, records.TIMING, ARCHIVE}
    assert contents(row) == before
    packed = (row / ARCHIVE).read_bytes()
    unpack(row)
    assert on_disk(row) == tree - {f"start/all/{records.TIMING}"} | {records.TIMING, ARCHIVE}
    assert contents(row) == before
    assert row_storage.pack(row)
    assert (row / ARCHIVE).read_bytes() == packed
    assert on_disk(row) == {records.ROW, records.TIMING, ARCHIVE}


def test_the_bytes_do_not_depend_on_clock_and_host(row, tmp_path):
    other = shutil.copytree(row, tmp_path / "other")
    elsewhere = {**JOB_TIMING, "host": "there", "seconds": 9.0}
    row_documents.write(row_documents.JobTiming, other / "start/all" / records.TIMING, elsewhere)
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
    assert row_storage.pack(row)
    assert row_storage.pack(other)
    assert (row / ARCHIVE).read_bytes() == (other / ARCHIVE).read_bytes()
    assert row_storage.timing(row) == {"start/all": JOB_TIMING}
    assert row_storage.timing(other)["start/all"]["host"] == "there"


def test_timing_of_all_sessions_is_gathered(row):
    assert row_storage.timing(row) == {"start/all": JOB_TIMING}
    row_storage.pack(row)
    unpack(row)
    play(row, "continue@yoked")
    assert set(row_storage.timing(row)) == {"start/all", "continue@yoked/all"}
    row_storage.pack(row)
    stored = files.read_json(row / records.TIMING)
    assert stored == {"format": 1, "jobs": {"start/all": JOB_TIMING, "continue@yoked/all": JOB_TIMING}}


# A kill between any two steps


def killed_at(step: int, work: Callable[[Path], object], folder: Path) -> bool:
    """Do the work in a process that ends without any clean-up before its change `step` of the disk.

    Returns whether the work was done before.
    """
    child = os.fork()
    if child == 0:  # no exception may leave this branch
        status = 1
        try:
            done = 0

            def counted(plain):
                def change(*arguments, **named):
                    nonlocal done
                    if done == step:
                        os._exit(KILLED)
                    done += 1
                    return plain(*arguments, **named)

                return change

            for name in ("replace", "unlink", "rmdir", "mkdir"):
                setattr(os, name, counted(getattr(os, name)))
            work(folder)
            status = 0
        finally:
            os._exit(status)
    _, waited = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(waited) in (0, KILLED)
    return os.waitstatus_to_exitcode(waited) == 0


def played_more(folder: Path) -> None:
    """Bring a row into the state in which its tree holds more, and newer files, than its archive."""
    checked = row_files.root(folder) / "start/all" / records.ISOLATION
    files.write_json(folder / checked.inner, {"holds": False})
    row_storage.pack(folder)
    unpack(folder)
    play(folder, "transfer")
    files.write_json(folder / checked.inner, {"holds": True})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is ended by fork and exit")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(
    ("prepare", "work"),
    [
        (lambda folder: None, row_storage.pack),
        (played_more, row_storage.pack),
        (row_storage.pack, unpack),
    ],
    ids=["pack", "pack again", "unpack"],
)
def test_a_kill_between_any_two_steps_loses_nothing(row, tmp_path, prepare, work):
    prepare(row)
    before = contents(row)
    done, step = False, 0
    while not done:
        folder = shutil.copytree(row, tmp_path / f"killed-{step}")
        done = killed_at(step, work, folder)
        assert contents(folder) == before, step
        for unpacks_first in (False, True):
            if unpacks_first:
                unpack(folder)
            assert contents(folder) == before, step
            assert row_storage.pack(folder), step
            assert on_disk(folder) == {records.ROW, records.TIMING, ARCHIVE}, step
            assert contents(folder) == before, step
            assert set(row_storage.timing(folder)) == set(row_storage.timing(row)), step
        step += 1
    assert step > 15


# A row with a tree and an archive


def test_a_file_of_the_tree_counts_and_one_that_is_only_packed_counts_too(row):
    row_storage.pack(row)
    record = "start/all/lane-0/record.json"
    files.write_json(row / record, {"newer": True})
    found = row_files.root(row) / record
    assert files.read_json(found) == {"newer": True}
    assert str(found) == str(row / record)
    packed = row_files.root(row) / "start/all/lane-1/record.json"
    assert files.read_json(packed) == {"role": "start"}
    assert str(packed) == f"{row / ARCHIVE}: start/all/lane-1/record.json"
    assert row_files.find(row, "start/*/lane-*/record.json") == [found, packed]
    missing = packed.parent / "history.csv"
    assert not missing.exists()
    with pytest.raises(FileNotFoundError):
        missing.read_bytes()


def test_a_restart_drops_what_is_packed(row):
    row_storage.pack(row)
    with row_storage.unpacked({row: True}):
        assert contents(row) == {}
        assert row_storage.timing(row) == {}
        assert (row / records.ROW).exists()


# What is not packed


def test_an_unfinished_row_stays_a_tree(row):
    play(row, "transfer")
    (row / "transfer/all/lane-1/record.json").unlink()
    before = on_disk(row)
    assert not row_storage.pack(row)
    assert on_disk(row) == before
    files.write_json(row / "transfer/all/lane-1/record.json", {})
    files.write_json(row / "transfer/all/progress.json", {})
    assert not row_storage.pack(row)
    (row / "transfer/all/progress.json").unlink()
    (row / records.ROW).unlink()
    assert not row_storage.pack(row)
    files.write_json(row / records.ROW, {})
    assert row_storage.pack(row)


def test_a_row_without_jobs_is_not_packed(tmp_path):
    files.write_json(tmp_path / records.ROW, {})
    assert row_storage.pack(tmp_path)  # nothing is outside
    assert on_disk(tmp_path) == {records.ROW}


def test_other_files_stay_where_they_are(row):
    others = {
        "notes.txt",
        "start/all/lane-0/plot.svg",
        "parameters/shuffled-0-all.safetensors",
        "start/a.json",
    }
    for name in others:
        files.write_atomically(row / name, b"mine")
    assert row_storage.pack(row)
    left = {name for name in on_disk(row) if (row / name).is_file()}
    assert left == {records.ROW, records.TIMING, ARCHIVE, *others}


def test_what_killed_processes_left_is_removed(row):
    (row / "start/all/lane-0/.record.json.0123456789abcdef.part").write_text("{")
    (row / "start/all" / file_names.LOCK).write_text("")
    (row / row_storage.IN_USE.replace("*", "77")).write_text("")
    assert row_storage.pack(row)
    assert on_disk(row) == {records.ROW, records.TIMING, ARCHIVE}


@pytest.mark.parametrize("lock", [row_storage.IN_USE.replace("*", "1"), f"start/all/{file_names.LOCK}"])
def test_a_row_that_another_plays_is_not_packed(row, lock):
    before = contents(row)
    with file_lock.held(row / lock):
        assert not row_storage.pack(row)
        assert not (row / ARCHIVE).exists()
    assert row_storage.pack(row)
    assert contents(row) == before


def test_several_may_play_a_row_and_the_last_packs_it(row):
    row_storage.pack(row)
    with row_storage.unpacked({row: False}):
        with row_storage.unpacked({row: False}):
            assert not row_storage.pack(row)
        assert not row_storage.pack(row)
        assert (row / "start/all" / records.JOB).exists()
    assert row_storage.pack(row)


def test_a_damaged_archive_is_named_and_kept(row):
    row_storage.pack(row)
    path = row / ARCHIVE
    path.write_bytes(path.read_bytes()[:-5])
    damaged = path.read_bytes()
    with pytest.raises(InputError, match=r"runs\.zip: not a whole ZIP archive"):
        unpack(row)
    play(row, "start")
    with pytest.raises(InputError, match=r"runs\.zip: not a whole ZIP archive"):
        row_storage.pack(row)
    assert path.read_bytes() == damaged
    assert not list(row.glob(".*"))  # no lock is left
    with row_storage.unpacked({row: True}):  # as --restart does
        assert not path.exists()


def test_a_row_too_large_for_an_archive_stays_a_tree(row, monkeypatch):
    before = contents(row)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    with pytest.raises(InputError, match="expected at most 2 files, found 6"):
        row_storage.pack(row)
    monkeypatch.undo()
    assert not (row / ARCHIVE).exists()
    assert contents(row) == before
