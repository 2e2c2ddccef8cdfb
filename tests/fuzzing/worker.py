"""Workers: a process that runs cases with bounded memory, and one that watches it.

A case that ends its process, or does not end, is a fault of that case; the next ones go on in a new process.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fuzzing import cases, originals, targets
from fuzzing.outcomes import ACCEPTED, FAULT, HangError, Outcome

MORE_BYTES = 3 << 29  # of address space that a case may take, 1.5 GiB
CASE_SECONDS = 60  # after which a case is interrupted: a guard against hangs, no measurement
SILENT_SECONDS = 300  # after which a process is killed: it did not even see the interrupt, or is being made


@dataclass(frozen=True)
class Result:
    """A case's outcome."""

    number: int
    target: str
    changed: str
    outcome: Outcome


def results(numbers: range) -> Iterator[Result | dict[str, Any]]:
    """Yield each case's result, and at the end of each process its largest memory."""
    first = numbers.start
    while first < numbers.stop:
        last = yield from _of_one_process(first, numbers.stop)
        if last < first:
            raise RuntimeError(f"the process of the cases from {first} on did not begin any; see above")
        first = last + 1


def _of_one_process(first: int, stop: int) -> Iterator[Any]:
    """Yield the results of cases until a process ends; return the number of the last one that it began."""
    arguments = [sys.executable, "-m", "tests.fuzzing", "--worker", str(first), str(stop)]
    begun = first - 1
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        done = begun
        for line in _lines(process):
            found = json.loads(line)
            if "begun" in found:
                begun = found["begun"]
            elif "outcome" in found:
                done = found["number"]
                yield Result(**{**found, "outcome": Outcome(**found["outcome"])})
            else:
                yield found
        code = process.wait()
    if done < begun:
        case = cases.made(begun)
        text = (
            f"its process ended with {code}" if code != -signal.SIGKILL else "a hang: its process was killed"
        )
        yield Result(begun, case.target.name, ", ".join(case.changed), Outcome(FAULT, text))
    return begun


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """Yield a process's lines; it is killed where none comes for long."""
    assert process.stdout is not None
    while True:
        ready, _, _ = select.select([process.stdout], [], [], SILENT_SECONDS)
        if not ready:
            process.kill()
            return
        line = process.stdout.readline()
        if not line:
            return
        yield line


def work(first: int, stop: int) -> None:
    """Run cases in this process and write their results to standard output, a line each."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="fuzzing-") as name:
        os.environ["UNDERSTUDY_CACHE"] = f"{name}/cache"
        warm_up(Path(name))
        with bounded_memory():
            for number in range(first, stop):
                case = cases.made(number)
                _say(out, {"begun": number})
                with interrupted_after(CASE_SECONDS):
                    outcome = cases.run(case, Path(name) / f"case-{number}")
                changed = "the folder" if case.on_disk else ", ".join(case.changed)
                _say(out, asdict(Result(number, case.target.name, changed, outcome)))
        _say(out, {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})


def warm_up(folder: Path) -> None:
    """Have every target read its sound files, so that all is imported; they must be accepted."""
    for index, target in enumerate(targets.TARGETS):
        place = folder / f"sound-{index}"
        cases.write(originals.EVERY[target.original](), place)
        outcome = cases.read(target, place)
        if outcome.kind != ACCEPTED and "a partial row" not in outcome.text:  # `verify`: it has one question
            raise RuntimeError(f"{target.name}: expected sound files to be accepted, found {outcome}")


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Bound the address space of this process to what it has and MORE_BYTES."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MORE_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def interrupted_after(seconds: int) -> Iterator[None]:
    """Raise HangError in the block after a while."""

    def interrupt(*_: object) -> None:
        raise HangError(f"more than {seconds} s")

    signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def _say(out: Any, value: dict[str, Any]) -> None:
    out.write(json.dumps(value) + "\n")
    out.flush()
