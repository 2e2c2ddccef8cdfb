"""Files: what several processes do at once."""

from __future__ import annotations

import contextlib
import threading

import pytest

from understudy.suite import files


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(files, "WAIT_SECONDS", 0.001)


def test_of_several_one_makes_a_file_and_the_others_find_it(tmp_path):
    lock, made, path = tmp_path / "folder" / ".lock", [], tmp_path / "made"

    def make(number):
        with files.alone(lock):
            if not path.exists():
                made.append(number)
                path.write_text("made")

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert not lock.exists()


def test_waiting_can_be_interrupted(tmp_path):
    def interrupt():
        raise KeyboardInterrupt

    lock = tmp_path / ".lock"
    with files.alone(lock):
        with pytest.raises(KeyboardInterrupt), files.alone(lock, interrupt):
            raise AssertionError("held twice")
        assert lock.exists()
    with files.alone(lock, interrupt):
        assert lock.exists()


def test_a_lock_is_given_back_when_the_work_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), files.alone(tmp_path / ".lock"):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_more_files_may_be_open_than_the_shell_allowed(tmp_path):
    """A lesson holds a lock a life; a shell's usual limit would end one of a thousand."""
    resource = pytest.importorskip("resource")
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    if usual[1] != resource.RLIM_INFINITY and usual[1] < 1_000:
        pytest.skip("this machine allows few open files")
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, usual[1]))
        files.allow_open_files(400)
        with contextlib.ExitStack() as held:
            for number in range(400):
                held.enter_context(files.alone(tmp_path / str(number)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
