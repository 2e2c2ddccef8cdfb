"""Work over segments of histories, in this process or in several: segments replay alone, in any order.

Segments are played in waves: several in lock-step, one a lane of one environment.
"""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import groupby
from typing import Any, TypeVar

import numpy as np

from understudy.suite import games, workers
from understudy.suite.errors import MachineError
from understudy.suite.histories.format import History
from understudy.suite.protocols import Game

Result = TypeVar("Result")
Place = tuple[int, int]  # position of the history in a list of them, position of the segment in the history
Report = Callable[[int, int], None]  # moves done, moves in all
Tick = Callable[[int], None]  # so many moves more are done
Work = Callable[[Sequence[History], Sequence[Place], Tick], list[Result]]  # may be sent to a process

ALONE_MOVES = 20_000  # fewer are done in this process: starting others takes a second or two
RUN_MOVES = 256  # that a wave plays between two looks at what it has played
WAVE_BYTES = 2**21  # of the frames of one run: an interrupted wave is lost, so large frames go in small waves
WAVE_LANES = 64
_CANCELLED = -(2**60)


def over_segments(
    work: Work[Result],
    histories: Sequence[History],
    wanted: Sequence[Place],
    processes: int | None = None,
    report: Report = lambda done, total: None,
) -> list[Result]:
    """Return `work`'s result for each wanted segment, in the order of `wanted`.

    `work` is called with a wave of places and returns one result a place. `processes` defaults to the cores
    this process may use. What a call of `work` raises is raised here.
    """
    total = sum(_length(histories, place) for place in wanted)
    count = min(processes or available_cores(), len(wanted))
    if count <= 1 or total < ALONE_MOVES:
        done = waves(histories, wanted, 1)
        results = _in_this_process(work, histories, done, lambda moves: report(moves, total))
    else:
        done = waves(histories, wanted, count)
        results = _in_processes(work, histories, done, count, lambda moves: report(moves, total))
    report(total, total)
    places = [place for wave in done for place in wave]
    found = dict(zip(places, [result for row in results for result in row], strict=True))
    return [found[place] for place in wanted]


def waves(histories: Sequence[History], wanted: Sequence[Place], processes: int) -> list[list[Place]]:
    """Return the wanted segments in waves of one environment each, long ones first.

    The segments of a wave are about equally long, for its lanes go on until the longest has ended.
    """
    described = [games.load(history.header.game) for history in histories]
    keys = [_environment(game) for game in described]

    def key(place: Place) -> str:
        return keys[place[0]]

    found = []
    for _, group in groupby(sorted(wanted, key=key), key):
        places = sorted(group, key=lambda place: -_length(histories, place))
        game = described[places[0][0]]
        size = max(1, min(_wave_lanes(game), math.ceil(len(places) / processes)))
        found += [places[start : start + size] for start in range(0, len(places), size)]
    return sorted(found, key=lambda wave: -_length(histories, wave[0]) * len(wave))


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


def _length(histories: Sequence[History], place: Place) -> int:
    life, index = place
    return histories[life].header.segments[index].length


def _environment(game: Game) -> str:
    """Return what the lanes of one environment have in common: the family, or the one game."""
    return game.family if games.family(game.family).mixes_variants else game.name


def _wave_lanes(game: Game) -> int:
    run_bytes = RUN_MOVES * math.prod(game.frame_shape) * np.dtype(game.observation_dtype).itemsize
    return max(1, min(WAVE_LANES, WAVE_BYTES // run_bytes))


def _in_this_process(
    work: Work[Result],
    histories: Sequence[History],
    todo: Sequence[Sequence[Place]],
    report: Callable[[int], None],
) -> list[list[Result]]:
    done = 0

    def tick(moves: int) -> None:
        nonlocal done
        done += moves
        report(done)

    return [work(histories, wave, tick) for wave in todo]


def _in_processes(
    work: Work[Result],
    histories: Sequence[History],
    todo: Sequence[Sequence[Place]],
    count: int,
    report: Callable[[int], None],
) -> list[list[Result]]:
    context = multiprocessing.get_context("spawn")  # a fork would copy an emulator's or torch's threads
    played = context.Value("q", 0)
    with ProcessPoolExecutor(count, context, _start_worker, (list(histories), played)) as pool:
        futures = [pool.submit(_in_worker, work, wave) for wave in todo]
        try:
            _follow(futures, lambda: report(max(0, played.value)))
        except BrokenProcessPool as error:
            raise MachineError(
                "a replaying process died: out of memory, or a script that starts processes without "
                "`if __name__ == '__main__':`; try again with processes=1"
            ) from error
        except BaseException:
            with played.get_lock():  # or a worker that is adding to it would write over it
                played.value = _CANCELLED
            pool.shutdown(wait=True, cancel_futures=True)  # or a worker's counter is the next pool's
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
    workers.begin()
    _histories, _played = histories, played


def _in_worker(work: Work[Result], wave: Sequence[Place]) -> list[Result]:
    def tick(moves: int) -> None:
        with _played.get_lock():
            if _played.value < 0:
                raise InterruptedError("cancelled")
            _played.value += moves

    return work(_histories, wave, tick)
