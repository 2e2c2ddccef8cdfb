"""Ctrl-C at a terminal while worker processes work: one ends them in order, a second one at once."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="a terminal's signals need process groups")

SCRIPT = """
import signal
import sys
import time

from understudy.suite import benchmarks
from understudy.suite.harness import engines
from understudy.suite.histories import segments

def stuck(job, report):
    print("began", flush=True)
    time.sleep(600)

def obedient(job, report):
    print("began", flush=True)
    while True:
        report("at work")
        time.sleep(0.01)

def stuck_segments(histories, wave, tick):
    stuck(None, None)

def obedient_segments(histories, wave, tick):
    print("began", flush=True)
    while True:
        tick(1)
        time.sleep(0.01)

def main(name):
    work = globals()[name]
    if name.endswith("segments"):
        runs = benchmarks.teacher_runs(benchmarks.load("darkroom-v1"))[:2]
        histories = [benchmarks.read(run) for run in runs]
        wanted = [(i, k) for i, history in enumerate(histories) for k in range(len(history.header.segments))]
        segments.map_segments(work, histories, wanted, processes=2)
    else:
        engines.run_fresh([1, 2, 3], work, lambda note: None)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        sys.exit(130)
"""


@pytest.fixture
def begun(tmp_path):
    """Return a function that starts the script as a terminal does, and waits until a worker is at work."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    processes = []

    def begin(work):
        process = subprocess.Popen(
            [sys.executable, script, work],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        assert process.stdout.readline() == "began\n"
        return process

    yield begin
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def press_ctrl_c(process):
    os.killpg(process.pid, signal.SIGINT)


def require_orderly_end(process):
    """Check that a process ends as an interrupted one, and that none of its workers is left."""
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out.splitlines()[-1], err) == (130, "interrupted", "")
    deadline = time.monotonic() + 30
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.1)
        pytest.fail("a worker process is left")


@pytest.mark.parametrize("work", ["stuck", "stuck_segments"])
def test_a_second_ctrl_c_ends_workers_that_do_not_listen(begun, work):
    process = begun(work)
    press_ctrl_c(process)
    with pytest.raises(subprocess.TimeoutExpired):  # it waits for its workers, which may save their work
        process.wait(timeout=1)
    press_ctrl_c(process)
    require_orderly_end(process)


@pytest.mark.parametrize(
    ("work", "seconds_between"), [("obedient", None), ("obedient", 0.3), ("obedient_segments", 0.0)]
)
def test_workers_that_listen_end_after_one_ctrl_c_or_two(begun, work, seconds_between):
    process = begun(work)
    press_ctrl_c(process)
    if seconds_between is not None:
        time.sleep(seconds_between)
        press_ctrl_c(process)
    require_orderly_end(process)
