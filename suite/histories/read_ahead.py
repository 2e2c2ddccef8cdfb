"""Read ahead in threads: the results of calls, in the order of the calls."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


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
            waiting.extend(threads.submit(call) for call in itertools.islice(coming, max(1, ahead)))
            while waiting:
                result = waiting.popleft().result()
                # Only now: a call that begins takes the interpreter's lock from whoever waits for a result.
                waiting.extend(threads.submit(call) for call in itertools.islice(coming, 1))
                yield result
        finally:
            for each in waiting:
                each.cancel()
