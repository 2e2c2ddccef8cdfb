"""Work over segments of histories, in this process or in several: segments replay alone, in any order."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from understudy.suite.errors import MachineError
from understudy.suite.histories.format import History

Result = TypeVar("Result")
Report = Callable[[int, int], None]  # moves done, moves in all
Tick = Callable[[], None]  # a move is done
Work = Callable[[History, int, Tick], Result]  # history, index of the segment; may be sent to a process

ALONE_MOVES = 20_000  # fewer are done in this process: starting others takes a second or two
REPORT_MOVES = 512
_CANCELLED = -(2**60)


def over_segments(
    work: Work[Result],
    histories: Sequence[History],
    wanted: Sequence[tuple[int, int]],
    processes: int | None = None,
    report: Report = lambda done, total: None,
) -> list[Result]:
    """Return `work` of each wanted segment, a pair of positions (in `histories`, in its segments), in order.

    `processes` defaults to the cores this process may use. What a call of `work` raises is raised here.
    """
    total = sum(histories[life].header.segments[index].length for life, index in wanted)
    count = min(processes or available_cores(), len(wanted))
    if count <= 1 or total < ALONE_MOVES:
        results = _in_this_process(work, histories, wanted, lambda done: report(done, total))
    else:
        results = _in_processes(work, histories, wanted, count, lambda done: report(done, total))
    report(total, total)
    return results


def overlapping(history: History, start: int, stop: int) -> list[int]:
    """Return the positions of the segments that hold moves of [start, stop)."""
    return [
        index
        for index, segment in enumerate(history.header.segments)
        if segment.length and segment.first_move < stop and segment.first_move + segment.length > start
    ]


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_this_process(
    work: Work[Result],
    histories: Sequence[History],
    wanted: Sequence[tuple[int, int]],
    report: Callable[[int], None],
) -> list[Result]:
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if done % REPORT_MOVES == 0:
            report(done)

    return [work(histories[life], index, tick) for life, index in wanted]


def _in_processes(
    work: Work[Result],
    histories: Sequence[History],
    wanted: Sequence[tuple[int, int]],
    count: int,
    report: Callable[[int], None],
) -> list[Result]:
    context = multiprocessing.get_context("spawn")  # a fork would copy an emulator's or torch's threads
    played = context.Value("q", 0)
    with ProcessPoolExecutor(count, context, _start_worker, (list(histories), played)) as pool:
        futures = [pool.submit(_in_worker, work, life, index) for life, index in wanted]
        try:
            _follow(futures, lambda: report(max(0, played.value)))
        except BrokenProcessPool as error:
            raise MachineError(
                "a replaying process died: out of memory, or a script that starts processes without "
                "`if __name__ == '__main__':`; try again with processes=1"
            ) from error
        except BaseException:
            played.value = _CANCELLED
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def _follow(futures: Sequence[Future[Any]], report: Callable[[], None]) -> None:
    """Wait for all, reporting as they go; raise the first error."""
    pending = set(futures)
    while pending:
        finished, pending = wait(pending, timeout=0.5, return_when=FIRST_EXCEPTION)
        for future in finished:
            future.result()
        report()


_histories: list[History]  # of a worker process
_played: Any  # moves done by all workers, shared


def _start_worker(histories: list[History], played: Any) -> None:
    global _histories, _played
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it and cancels
    _histories, _played = histories, played


def _in_worker(work: Work[Result], life: int, index: int) -> Result:
    pending = 0

    def tick() -> None:
        nonlocal pending
        pending += 1
        if pending == REPORT_MOVES:
            pending = 0
            with _played.get_lock():
                if _played.value < 0:
                    raise InterruptedError("cancelled")
                _played.value += REPORT_MOVES

    return work(_histories[life], index, tick)
