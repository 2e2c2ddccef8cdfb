"""Lock files where locks or writing do not work: one line that says what is wrong and what to do."""

from __future__ import annotations

import errno
import fcntl
import os

import pytest
from support import privileges

from understudy.suite.errors import MachineError
from understudy.suite.histories import frame_cache
from understudy.suite.io import file_lock

LOCKLESS = (
    errno.ENOLCK,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
)  # NFS without its service, FUSE and Lustre without flock


@pytest.fixture(params=LOCKLESS, ids=errno.errorcode.get)
def lockless(request, monkeypatch):
    def flock(file, operation):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)
    return os.strerror(request.param)


def test_a_file_system_without_locks_is_refused(lockless, tmp_path):
    expected = rf"^{tmp_path}: this file system has no file locks \({lockless}\), .*; use a folder on another"
    with pytest.raises(MachineError, match=expected), file_lock.held(tmp_path / ".lock"):
        raise AssertionError("held without a lock")
    with pytest.raises(MachineError, match=expected), file_lock.held_if_free(tmp_path / ".lock"):
        raise AssertionError("held without a lock")


def test_a_cache_without_locks_is_refused(lockless, tmp_path):
    store = tmp_path / "frames" / f"{'0' * 64}-1"
    expected = rf"^{store}: the frame store can't be used .*{lockless}.*; set UNDERSTUDY_CACHE"
    with pytest.raises(MachineError, match=expected):
        frame_cache.Hold(store)
    (store / "segment-00000.b2frame").write_bytes(b"frames")
    with pytest.raises(MachineError, match=expected):
        frame_cache.evict(tmp_path, 0)
    assert (store / "segment-00000.b2frame").exists()


def test_a_lock_over_nfs_needs_a_file_that_may_be_read_and_written(tmp_path, monkeypatch):
    """There flock is a record lock: a shared one needs a readable file, the other one a writable."""
    modes, flock = [], fcntl.flock

    def as_over_nfs(file, operation):
        descriptor = file if isinstance(file, int) else file.fileno()
        modes.append(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE)
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", as_over_nfs)
    hold = frame_cache.Hold(tmp_path / "frames" / f"{'0' * 64}-1")
    assert not frame_cache.evict(tmp_path, -1)  # it is in use
    with file_lock.held(tmp_path / ".lock"):
        pass
    assert len(modes) >= 3
    assert set(modes) == {os.O_RDWR}
    del hold
    assert frame_cache.evict(tmp_path, -1)


@pytest.mark.parametrize("inner", ["", "new/"])
def test_a_folder_that_may_not_be_written_is_named(inner):
    with privileges.nobodys_folder() as folder, privileges.closed(folder, 0o555), privileges.as_nobody():
        expected = (
            rf"^{folder / inner}: can't be written \(Permission denied\); allow it, or use another folder"
        )
        with pytest.raises(MachineError, match=expected), file_lock.held(folder / inner / ".lock"):
            raise AssertionError("held without a lock")
        assert not list(folder.iterdir())


@pytest.mark.parametrize("folder", [".", "new"])
def test_a_disk_that_is_mounted_to_be_read_is_named(tmp_path, monkeypatch, folder):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "mkdir", refuse)
    lock = tmp_path / folder / ".lock"
    expected = r"can't be written \(Read-only file system\); allow it, or use another folder"
    with pytest.raises(MachineError, match=expected), file_lock.held(lock):
        raise AssertionError("held without a lock")
