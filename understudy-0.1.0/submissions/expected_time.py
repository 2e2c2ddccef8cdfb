"""The expected time of play on this machine: the moves left, times what a move took in a short trial."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from understudy.suite import devices
from understudy.suite.harness import finished, rollout, work
from understudy.suite.harness.jobs import PlannedJob
from understudy.suite.harness.requests import RequestedRow
from understudy.suite.harness.work import WorkItem
from understudy.suite.histories.segments import available_cores
from understudy.suite.io import files

TRIED_SECONDS: Final = 0.4  # of play, for each row
WARM_UP_MOVES: Final = 3  # the first moves are slower
TRIED_MOVES: Final = 5_000  # at most


class _EnoughError(Exception):
    """The trial has lasted long enough."""


def seconds(items: Sequence[WorkItem], engine: str, slow: Collection[RequestedRow] = ()) -> float | None:
    """Return about how many seconds an engine takes to play items; None if a row's player was not tried.

    Making a player, priming it and measuring its agreement are not included.

    Args:
        items: what is to be done; jobs that are finished take no time.
        engine: serial or process.
        slow: rows whose players take long to make, which are not tried.
    """
    left = [(item, moves_left(item)) for item in items if item.what == work.PLAY]
    todo = [(item, moves) for item, moves in left if moves]
    if any(item.row in slow for item, _ in todo):
        return None
    rates: dict[RequestedRow, float] = {}
    for item, _ in sorted(todo, key=lambda each: -each[1]):  # of a row, the longest job is tried
        if item.row not in rates:
            rates[item.row] = seconds_a_move(work.planned_job(item), item.row)
    return total_seconds([moves * rates[item.row] for item, moves in todo], engine)


def moves_left(item: WorkItem) -> int:
    """Return how many moves a job's runs still have to play in lock-step."""
    planned = work.planned_job(item)
    folder = item.row.folder / planned.path
    if item.row.request.restart:
        return planned.job.moves
    if finished.is_finished(item):
        return 0
    progress = folder / rollout.PROGRESS
    done = int(files.read_json(progress)["moves"]) if progress.exists() else 0
    return planned.job.moves - done


def seconds_a_move(planned: PlannedJob, row: RequestedRow) -> float:
    """Return what a move of all lanes takes: a job's first moves are played into a temporary folder."""
    job = replace(planned.job, moves=min(planned.job.moves, TRIED_MOVES), intervention=None)
    player: Any = planned.load(row.folder, lambda what, done, total: None, job.lanes)
    marks: list[tuple[int, float]] = []

    def report(done: int, total: int) -> None:
        if done < min(WARM_UP_MOVES, total - 1):
            return
        marks.append((done, time.monotonic()))
        if marks[-1][1] - marks[0][1] > TRIED_SECONDS or done == total:
            raise _EnoughError

    with tempfile.TemporaryDirectory(prefix="understudy-") as folder, devices.computing(planned.device):
        start = rollout.empty_start_state(player, len(job.lanes), devices.torch_device(planned.device))
        with contextlib.suppress(_EnoughError):
            rollout.play(job, player, lambda: start, Path(folder), report)
    (first, began), (last, ended) = marks[0], marks[-1]
    return (ended - began) / max(last - first, 1)


def total_seconds(of_jobs: Sequence[float], engine: str) -> float:
    """Return how long jobs of these durations take one after the other, or side by side on all cores."""
    if engine == "serial" or not of_jobs:
        return sum(of_jobs)
    return max(*of_jobs, sum(of_jobs) / min(available_cores(), len(of_jobs)))


def text(duration: float | None) -> str:
    """Return a duration in words, such as `about 3 min on this machine`; None: it is not known."""
    if duration is None:
        return "not known, a player takes long to make"
    if not duration:
        return "none, all runs are stored already"
    return f"about {_rounded(duration)} on this machine"


def _rounded(duration: float) -> str:
    if duration < 55:
        return f"{max(5, 5 * round(duration / 5))} s"
    if duration < 100 * 60:
        return f"{max(1, round(duration / 60))} min"
    hours = round(duration / 3600)
    return f"{hours} h" if hours < 72 else f"{round(hours / 24)} days"
