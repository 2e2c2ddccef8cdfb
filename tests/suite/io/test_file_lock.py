"""Lock files: waiting, releasing and removing them, between threads and between processes."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from understudy.suite.io import file_lock

HOLD = """
import sys, time
from pathlib import Path
from understudy.suite.io import file_lock

with file_lock.held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""

TAKE_TURNS = """
import sys
from pathlib import Path
from understudy.suite.io import file_lock

folder = Path(sys.argv[1])
for _ in range(50):
    with file_lock.held(folder / ".lock"):
        (folder / "inside").mkdir()  # raises if another process is inside
        (folder / "inside").rmdir()
"""


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(file_lock, "WAIT_SECONDS", 0.001)


def test_of_several_threads_one_makes_a_file_and_the_others_find_it(tmp_path):
    lock, made, path = tmp_path / "folder" / ".lock", [], tmp_path / "made"

    def make(number):
        with file_lock.held(lock):
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


def test_processes_hold_a_lock_one_at_a_time(tmp_path):
    command = [sys.executable, "-c", TAKE_TURNS, str(tmp_path)]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    assert not list(tmp_path.iterdir())


def test_a_killed_process_releases_its_lock(tmp_path):
    lock = tmp_path / ".lock"
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        calls = []

        def kill_the_holder():
            assert lock.exists()
            calls.append("waiting")
            process.kill()

        with file_lock.held(lock, kill_the_holder):
            assert lock.exists()
    assert calls
    assert not lock.exists()


def test_waiting_can_be_interrupted(tmp_path):
    def interrupt():
        raise KeyboardInterrupt

    lock = tmp_path / ".lock"
    with file_lock.held(lock):
        with pytest.raises(KeyboardInterrupt), file_lock.held(lock, interrupt):
            raise AssertionError("held twice")
        assert lock.exists()
    with file_lock.held(lock, interrupt):
        assert lock.exists()


def test_a_lock_is_released_when_the_work_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), file_lock.held(tmp_path / ".lock"):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())
