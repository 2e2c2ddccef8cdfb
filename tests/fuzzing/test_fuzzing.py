"""Whatever stands in a submission, a row, an archive or a history: it is accepted, or refused in one line."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from support import ROOT

from fuzzing import cases, originals, outcomes, targets, worker
from fuzzing.outcomes import ACCEPTED, FAULT, REFUSED
from understudy.suite.errors import CheckFailed, InputError

SHORT, LONG = 300, 10_000  # cases


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzzing", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def require_no_fault(count: int) -> None:
    done = fuzz("--cases", str(count))
    assert done.returncode == 0, done.stdout[-5_000:] + done.stderr[-5_000:]
    assert f"{count:,} cases: " in done.stdout
    assert ": 0 accepted" not in done.stdout.splitlines()[-1]
    assert ", 0 refused" not in done.stdout.splitlines()[-1]


def test_a_few_hundred_mutated_files_are_accepted_or_refused_in_a_line():
    require_no_fault(SHORT)


@pytest.mark.long
def test_ten_thousand_mutated_files_are_accepted_or_refused_in_a_line():
    require_no_fault(LONG)


def test_a_case_follows_from_its_number():
    """Whatever cases were made before it."""
    first = cases.made(17)
    for number in range(5):
        cases.made(number)
    again = cases.made(17)
    assert (first.target, first.files, first.changed) == (again.target, again.files, again.changed)
    assert len({tuple(sorted(cases.made(number).files.items())) for number in range(30)}) > 20


def test_every_target_has_cases_that_change_its_files():
    changed = {name: set() for name in (target.name for target in targets.TARGETS)}
    for number in range(600):
        case = cases.made(number)
        originally = originals.EVERY[case.target.original]()
        changed[case.target.name] |= {name for name, data in case.files.items() if data != originally[name]}
        if all(changed.values()):
            break
    assert [name for name, found in changed.items() if not found] == []


class Endless(InputError):
    """An input's error whose message is not bounded."""

    __str__ = Exception.__str__


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (None, ACCEPTED, ""),
        (InputError("a: expected x"), REFUSED, "a: expected x"),
        (CheckFailed("a: differs"), REFUSED, "a: differs"),
        (InputError(""), FAULT, "an empty message"),
        (Endless("x" * 2_000), FAULT, "a message of 2,000 characters"),
        (InputError("malloc of size 7 failed"), FAULT, "memory ran out"),
        (MemoryError(), FAULT, "MemoryError"),
        (KeyError("a"), FAULT, "KeyError"),
        (RecursionError(), FAULT, "RecursionError"),
        (FileNotFoundError("a"), FAULT, "FileNotFoundError"),
        (SystemExit(1), FAULT, "SystemExit"),
    ],
)
def test_only_a_clear_line_is_a_refusal(tmp_path, error, kind, text):
    def call(folder):
        if error is not None:
            raise error

    outcome = outcomes.of_call(call, tmp_path)
    assert outcome.kind == kind
    assert text in outcome.text


@pytest.mark.parametrize(
    ("code", "said", "kind"),
    [
        (0, "", ACCEPTED),
        (2, "understudy: a: expected x\n", REFUSED),
        (1, "replaying 1 run\nunderstudy: a: differs\n", REFUSED),
        (2, "", FAULT),
        (1, "something else\n", FAULT),
        (70, "understudy: a bug of ours\n", FAULT),
        (3, "understudy: no space left\n", FAULT),
        (1, "Traceback (most recent call last):\nunderstudy: a\n", FAULT),
    ],
)
def test_a_command_says_one_line_and_leaves_with_its_code(tmp_path, code, said, kind):
    def run(folder):
        sys.stderr.write(said)
        return code

    assert outcomes.of_command(run, tmp_path).kind == kind


def test_a_hang_is_a_fault_even_where_every_exception_is_caught(tmp_path):
    def call(folder):
        try:
            time.sleep(30)
        except Exception:
            return

    with worker.interrupted_after(1):
        assert "a hang" in outcomes.of_call(call, tmp_path).text


def test_a_case_that_takes_too_much_memory_is_a_fault():
    """In a process of its own, whose bound is inherited by nobody."""
    text = (
        "from fuzzing import outcomes, worker\n"
        "with worker.bounded_memory():\n"
        "    print(outcomes.of_call(lambda folder: bytearray(1 << 34), None).text)\n"
    )
    command = [sys.executable, "-c", text]
    done = subprocess.run(command, cwd=ROOT / "tests", capture_output=True, text=True)
    assert done.stdout.startswith("MemoryError"), done.stderr
