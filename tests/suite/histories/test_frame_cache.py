"""The cache of frames: only what it made itself is deleted, and only when nobody needs it."""

from __future__ import annotations

import os
import time

import pytest
from support import privileges

from understudy.suite.histories import frame_cache

STORE = f"{'0123456789abcdef' * 4}-1"


def made(path, age_seconds=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"frames")
    for each in (path, path.parent):
        os.utime(each, (time.time() - age_seconds,) * 2)
    return path


def test_what_is_no_store_stays(tmp_path):
    frames = tmp_path / "frames"
    others = [made(frames / name / "file", 10**7) for name in ("mine", f"{STORE}.old", ".import-mine", "0-1")]
    made(frames / STORE / "segment-00000.b2frame")
    elsewhere = made(tmp_path / "elsewhere" / "file")
    (frames / STORE.replace("0", "f")).symlink_to(elsewhere.parent)
    assert frame_cache.evict(tmp_path, 0) == [frames / STORE]
    frame_cache.import_folder(tmp_path)
    assert all(path.exists() for path in [*others, elsewhere])


def test_an_import_at_work_is_not_evicted_and_an_abandoned_one_is(tmp_path):
    mine, others = frame_cache.import_folder(tmp_path), frame_cache.import_folder(tmp_path)
    assert mine != others
    made(mine / "segment-00000.b2frame", 90_000)
    made(others / "segment-00000.b2frame", 60)
    assert frame_cache.evict(tmp_path, 0) == []
    assert {mine, others} == set((tmp_path / "frames").iterdir())
    frame_cache.import_folder(tmp_path)
    assert list((tmp_path / "frames").iterdir()) == [others]


def test_another_users_store_stays_and_hinders_nobody():
    with privileges.nobodys_folder() as cache:
        store = cache / "frames" / STORE
        made(store / "segment-00000.b2frame")
        (store / ".in-use").touch()
        for path, mode in (((store / ".in-use"), 0o644), (store, 0o755)):
            path.chmod(mode)
        if os.geteuid():
            pytest.skip("only root can make another user's files")
        with privileges.as_nobody():
            assert frame_cache.evict(cache, 0) == []
        assert (store / "segment-00000.b2frame").exists()


def test_a_cache_is_removed_with_nothing_but_its_stores(tmp_path):
    cache = tmp_path / "rebuilding"
    made(cache / "frames" / STORE / "segment-00000.b2frame")
    frame_cache.remove(cache)
    assert not cache.exists()
    frame_cache.remove(cache)
    made(cache / "frames" / STORE / "segment-00000.b2frame")
    made(cache / "frames" / "notes" / "mine")
    frame_cache.remove(cache)
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["mine"]
