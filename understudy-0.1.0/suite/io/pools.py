"""Pools: calls made in worker processes, which Ctrl-C ends in order, and a second Ctrl-C at once.

While a pool is open, Ctrl-C is only noted, and acted on between two looks at the results. Raised anywhere, it
could leave a lock held that the workers or the pool's own thread wait for, and the process would never end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from understudy.suite.io import interrupts, workers
from understudy.suite.io.workers import WorkerContext

REPORT_SECONDS = 0.5  # between two looks at the results, and at Ctrl-C
CLOSING_SECONDS = 0.1  # between two looks at Ctrl-C while workers end
GRACE_SECONDS = 5.0  # for workers to end in order, where both Ctrl-C came before they were asked to


def run(
    context: WorkerContext,
    processes: int,
    calls: Sequence[tuple[Any, ...]],
    begin: tuple[Any, ...],
    stop: Callable[[], None],
    report: Callable[[], None],
    max_tasks: int | None = None,
) -> list[Any]:
    """Make calls in worker processes and return their results, in order.

    Args:
        context: of the processes.
        processes: how many.
        calls: (function, *arguments); functions of modules.
        begin: (function, *arguments), called first in each process; it calls `workers.begin`.
        stop: asks the calls in progress to end soon. It must not wait for a lock that a worker can hold:
            a worker may have been killed while it held it.
        report: called now and then; the same holds for it.
        max_tasks: calls that one process makes; None: any number.

    What a call or `report` raises ends the others and is raised here, and so is KeyboardInterrupt. After a
    second Ctrl-C the workers are killed, whatever they do. Raises BrokenProcessPool if one was killed from
    outside.
    """
    with interrupts.deferred_interrupts() as interrupted:
        pool = ProcessPoolExecutor(
            processes, context, begin[0], tuple(begin[1:]), max_tasks_per_child=max_tasks
        )
        try:
            futures = [pool.submit(*call) for call in calls]
            _follow(futures, report, interrupted)
        except BaseException as error:
            stop()
            if isinstance(error, BrokenProcessPool):  # perhaps by the signal that is noted here
                interrupts.raise_if_interrupted(interrupted)
            raise
        finally:
            _close(pool, interrupted)
    return [future.result() for future in futures]


def _follow(futures: Sequence[Future[Any]], report: Callable[[], None], interrupted: list[int]) -> None:
    """Wait for all calls, reporting; raise the first error."""
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=REPORT_SECONDS, return_when=FIRST_EXCEPTION)
        report()
        for future in done:
            future.result()
        interrupts.raise_if_interrupted(interrupted)


def _close(pool: ProcessPoolExecutor, interrupted: list[int]) -> None:
    """Wait for the calls in progress and the processes; kill them after a second Ctrl-C."""
    heard, began = len(interrupted), time.monotonic()
    closing = threading.Thread(
        target=pool.shutdown, kwargs={"wait": True, "cancel_futures": True}, daemon=True
    )
    closing.start()
    while closing.is_alive():
        closing.join(CLOSING_SECONDS)
        grace_is_over = time.monotonic() - began > GRACE_SECONDS
        if len(interrupted) > heard or (heard > 1 and grace_is_over):
            workers.kill()
