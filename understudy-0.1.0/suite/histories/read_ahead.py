"""Read ahead in threads: the results of calls, in the order of the calls."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")
GIVE_WAY_SECONDS = 0.0005


def in_order(calls: Iterable[Callable[[], Result]], workers: int, ahead: int) -> Generator[Result]:
    """Yield the result of each call; up to `ahead` later ones are made or waiting meanwhile.

    The results and their order do not depend on `workers`, the number of threads; 0 makes each call when its
    result is asked for. An exception of a call is raised in its place. Closing the iterator waits for the
    calls being made.
    """
    if workers == 0:
        yield from (call() for call in calls)
        return
    coming = iter(calls)
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, "read-ahead") as threads:
        try:
            waiting.extend(threads.submit(_made, call) for call in itertools.islice(coming, max(1, ahead)))
            while waiting:
                result = waiting.popleft().result()
                # Only now: a call that begins takes the interpreter's lock from whoever waits for a result.
                waiting.extend(threads.submit(_made, call) for call in itertools.islice(coming, 1))
                yield result
        finally:
            for each in waiting:
                each.cancel()


def _made(call: Callable[[], Result]) -> Result:
    """Return a call's result, after giving way to the thread that asked for the one before.

    A thread that wakes takes the interpreter's lock and keeps it for up to 5 ms while that one waits for it:
    of a consumer's 50 ms a batch, 3 were lost so.
    """
    time.sleep(GIVE_WAY_SECONDS)
    return call()
