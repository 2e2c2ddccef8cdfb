"""Distribute work on segments of histories over processes: each segment replays on its own, in any order.

Segments are played in waves: several in lock-step, one in each lane of one environment.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from itertools import groupby
from typing import Any, TypeVar

import numpy as np

from understudy.suite import games
from understudy.suite.errors import MachineError
from understudy.suite.histories.history_format import History
from understudy.suite.io import pools, workers
from understudy.suite.protocols import Game

Result = TypeVar("Result")
RunSegment = tuple[int, int]  # index of the history in a list, index of the segment in the history
Report = Callable[[int, int], None]  # called with the moves done and all moves
Tick = Callable[[int], None]  # called with the number of moves done since the last call
Work = Callable[[Sequence[History], Sequence[RunSegment], Tick], list[Result]]  # may be sent to a process

ONE_PROCESS_MOVES = 20_000  # fewer are done in this process: starting others takes a second or two
CHUNK_MOVES = 256  # moves of a wave between two comparisons with the log
# Frame bytes of a chunk of a wave. An interrupted wave is lost, so games with large frames get small waves.
WAVE_BYTES = 2**21
WAVE_LANES = 64


def map_segments(
    work: Work[Result],
    histories: Sequence[History],
    wanted: Sequence[RunSegment],
    processes: int | None = None,
    report: Report = lambda done, total: None,
) -> list[Result]:
    """Return the result of `work` for each wanted segment, in the order of `wanted`.

    Args:
        work: called with all histories, a wave of segments, and a callback; returns one result per segment.
            What it raises is raised here.
        histories: of the runs.
        wanted: the segments.
        processes: how many to use; the cores that this process may use if None.
        report: called with the moves done and all moves.
    """
    total = sum(_length(histories, segment) for segment in wanted)
    count = min(processes or available_cores(), len(wanted))
    if count <= 1 or total < ONE_PROCESS_MOVES:
        done = waves(histories, wanted, 1)
        results = _in_this_process(work, histories, done, lambda moves: report(moves, total))
    else:
        done = waves(histories, wanted, count)
        results = _in_processes(work, histories, done, count, lambda moves: report(moves, total))
    report(total, total)
    segments = [segment for wave in done for segment in wave]
    found = dict(zip(segments, [result for of_wave in results for result in of_wave], strict=True))
    return [found[segment] for segment in wanted]


def waves(
    histories: Sequence[History], wanted: Sequence[RunSegment], processes: int
) -> list[list[RunSegment]]:
    """Group the wanted segments into waves, each of one environment; long waves come first.

    The segments of a wave are of similar length, because all its lanes play until the longest has ended.
    """
    described = [games.load(history.header.game) for history in histories]
    keys = [_environment(game) for game in described]

    def key(segment: RunSegment) -> str:
        return keys[segment[0]]

    found = []
    for _, group in groupby(sorted(wanted, key=key), key):
        segments = sorted(group, key=lambda segment: -_length(histories, segment))
        game = described[segments[0][0]]
        size = max(1, min(_wave_lanes(game), math.ceil(len(segments) / processes)))
        found += [segments[start : start + size] for start in range(0, len(segments), size)]
    return sorted(found, key=lambda wave: -_length(histories, wave[0]) * len(wave))


def overlapping(history: History, start: int, stop: int) -> list[int]:
    """Return the indices of the segments that hold moves of [start, stop)."""
    return [
        index
        for index, segment in enumerate(history.header.segments)
        if segment.first_move < stop and segment.first_move + segment.length > start
    ]


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _length(histories: Sequence[History], segment: RunSegment) -> int:
    run, index = segment
    return histories[run].header.segments[index].length


def _environment(game: Game) -> str:
    """Return what the games of one environment must share: the family, or the game itself."""
    return game.family if games.family(game.family).mixes_variants else game.name


def _wave_lanes(game: Game) -> int:
    chunk_bytes = CHUNK_MOVES * math.prod(game.frame_shape) * np.dtype(game.observation_dtype).itemsize
    return max(1, min(WAVE_LANES, WAVE_BYTES // chunk_bytes))


def _in_this_process(
    work: Work[Result],
    histories: Sequence[History],
    todo: Sequence[Sequence[RunSegment]],
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
    todo: Sequence[Sequence[RunSegment]],
    count: int,
    report: Callable[[int], None],
) -> list[list[Result]]:
    context = workers.context()
    played, stop = context.Value("q", 0), context.Value("b", 0, lock=False)

    def set_stop() -> None:
        stop.value = 1

    try:
        return pools.run(
            context,
            count,
            [(_in_worker, work, wave) for wave in todo],
            (_start_worker, list(histories), played, stop),
            set_stop,
            lambda: report(played.get_obj().value),  # without its lock, which a killed worker may hold
        )
    except BrokenProcessPool as error:
        raise MachineError(
            "a worker process that replays was killed: out of memory, or the script starts it outside "
            "its `if __name__ == '__main__':`; try again with processes=1"
        ) from error


_histories: list[History]  # of a worker process
_played: Any  # moves done by all workers, shared
_stop: Any  # whether to stop, shared


def _start_worker(histories: list[History], played: Any, stop: Any) -> None:
    global _histories, _played, _stop
    workers.begin()
    _histories, _played, _stop = histories, played, stop


def _in_worker(work: Work[Result], wave: Sequence[RunSegment]) -> list[Result]:
    def tick(moves: int) -> None:
        if _stop.value:
            raise InterruptedError("cancelled")
        with _played.get_lock():
            _played.value += moves

    return work(_histories, wave, tick)
