"""Scripts may start worker processes with and without a guard: the work is done once, and nothing hangs."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(tmp_path, text: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(text)
    return subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)


WORK = """
from concurrent.futures import ProcessPoolExecutor
from understudy.suite.io import workers

def main():
    print("work begins", flush=True)
    with ProcessPoolExecutor(2, workers.context(), workers.begin, max_tasks_per_child=1) as pool:
        print(list(pool.map({function}, [-1, -2, -3, -4])), flush=True)

def own(number):
    return 10 * number
"""


def test_a_script_without_a_guard_does_its_work_once(tmp_path):
    done = run(tmp_path, WORK.format(function="abs") + "\nmain()\n")
    assert (done.returncode, done.stdout) == (0, "work begins\n[1, 2, 3, 4]\n"), done.stderr


@pytest.mark.parametrize("guard", ["if __name__ == '__main__':", "if '__main__' == __name__:"])
def test_workers_of_a_script_with_a_guard_know_its_functions(tmp_path, guard):
    done = run(tmp_path, WORK.format(function="own") + f"\n{guard}\n    main()\n")
    assert (done.returncode, done.stdout) == (0, "work begins\n[-10, -20, -30, -40]\n"), done.stderr


@pytest.mark.parametrize(
    "end", ["main()", "main()\nif __name__ == '__main__':\n    print('guarded')"], ids=["none", "elsewhere"]
)
def test_what_cannot_work_fails_and_does_not_hang(tmp_path, end):
    done = run(tmp_path, WORK.format(function="own") + f"\n{end}\n")
    assert done.returncode == 1
    assert "BrokenProcessPool" in done.stderr
    if "guarded" in end:
        assert "put the work under its `if __name__ == '__main__':`" in done.stderr
