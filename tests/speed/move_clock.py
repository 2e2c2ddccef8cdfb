"""A timer for pytest-benchmark that counts only a job's moves, not its start nor its end."""

from __future__ import annotations

from collections.abc import Callable


class MoveClock:
    """Seconds between the report of a first move and of the last one, added up over rounds.

    `train_teacher.train` and `rollout.play` are one call each, which reports every move; what they do before
    and after the moves would weigh too much in a measurement of a few hundred.
    """

    def __init__(self, timer: Callable[[], float]) -> None:
        """Count the seconds of `time.perf_counter` or `time.process_time`."""
        self.__name__ = timer.__name__  # in pytest-benchmark's report
        self._timer = timer
        self._seconds = 0.0
        self._last = 0.0

    def __call__(self) -> float:
        """Return what has been counted so far: `pytest.mark.benchmark(timer=clock)`."""
        return self._seconds

    def report(self, move: int, first_move: int) -> None:
        """Count the time since the report before, if that was `first_move` or a later one."""
        now = self._timer()
        if move > first_move:
            self._seconds += now - self._last
        self._last = now
