"""Engines run a list of jobs, in this process or in several; the bytes written are the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from understudy.suite import registry
from understudy.suite.errors import MachineError
from understudy.suite.histories.segments import available_cores
from understudy.suite.io import pools, workers

Job = TypeVar("Job")
Note = TypeVar("Note")
Work = Callable[[Job, Callable[[Note], None]], None]  # a module's function, so that a process can import it

ENGINES = ("serial", "process")
NOTE_SECONDS = 0.5  # between progress notes of one process
_shared: dict[str, Any] = {}  # of a worker process: the queue of notes, whether to stop


def run(engine: str, jobs: Sequence[Job], work: Work[Job, Note], report: Callable[[Note], None]) -> None:
    """Call `work(job, report)` for every job; an exception stops the other jobs and is raised here.

    Raises:
        InputError: no such engine.
        MachineError: a worker process was killed from outside, perhaps for memory.
    """
    require_engine(engine)
    count = min(available_cores(), len(jobs))
    if engine == "serial" or count < 2:
        for job in jobs:
            work(job, report)
    else:
        _in_processes(jobs, work, report, count)


def require_engine(name: str) -> None:
    """Raise InputError, with a suggestion, unless there is an engine of this name."""
    registry.choose(name, ENGINES, "engine")


def run_fresh(jobs: Sequence[Job], work: Work[Job, Note], report: Callable[[Note], None]) -> None:
    """Call `work(job, report)` for every job, each in a new process; raises as `run`."""
    if jobs:
        _in_processes(jobs, work, report, min(available_cores(), len(jobs)), max_tasks=1)


def _in_processes(
    jobs: Sequence[Job],
    work: Work[Job, Note],
    report: Callable[[Note], None],
    count: int,
    max_tasks: int | None = None,
) -> None:
    context = workers.context()
    notes, stop = context.SimpleQueue(), context.Value("b", 0, lock=False)

    def set_stop() -> None:
        stop.value = 1

    def pass_notes() -> None:
        while not notes.empty():
            report(notes.get())

    calls = [(_do, work, job) for job in jobs]
    try:
        pools.run(context, count, calls, (_begin, notes, stop), set_stop, pass_notes, max_tasks)
    except BrokenProcessPool as error:
        raise MachineError(
            "a worker process was killed from outside, perhaps for memory; the same command resumes"
        ) from error


def _begin(notes: Any, stop: Any) -> None:
    """Prepare a worker process: only the parent handles Ctrl-C, and it signals the workers to stop."""
    workers.begin()
    _shared.update(notes=notes, stop=stop)


def _do(work: Work[Job, Note], job: Job) -> None:
    last = 0.0

    def report(note: Note) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > NOTE_SECONDS:
            if _shared["stop"].value:
                raise KeyboardInterrupt
            _shared["notes"].put(note)
            last = now

    work(job, report)
