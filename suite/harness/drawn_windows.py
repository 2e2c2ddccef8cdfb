"""Windows of stored runs that a verifier draws afresh, to give them to a player again in part.

A job's runs are cut into equal strata of moves, and each has one window at a uniform place in it. Whoever
wrote the log could not know the windows: the salt is drawn after the log is there, and is recorded with
them. A longer slice is found for certain once it spans two strata.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import secrets
from dataclasses import dataclass

import numpy as np

from understudy.suite import draws

WINDOW_MOVES = 32
STEP_SHARE = 0.08  # of a run's moves: the time that windows may take, in moves played by `step`
UNROLL_COST = 0.3  # of a move by `unroll`, which makes a window's first state, in moves by `step`; measured
MOST_WINDOWS = 100  # opening a window takes a tenth of a second, whatever the player costs
UNBOUNDED_STEP_SHARE = 0.02  # where all moves before have to be unrolled, ...
UNBOUNDED_LANES = 0.25  # ... which is done for this share of the lanes


@dataclass(frozen=True)
class Windows:
    """What is given to a player again of a job's runs."""

    salt: str  # 32 hexadecimal digits
    spans: tuple[tuple[int, int], ...]  # [begin, end) of each window, in moves, ascending
    lanes: tuple[int, ...]  # positions of the runs, ascending


def new_salt() -> str:
    """Return a salt that nobody could know before."""
    return secrets.token_hex(16)


def count_of(moves: int, moves_before: int | None) -> int:
    """Return the number of windows that fit into the time.

    Args:
        moves: of each run.
        moves_before: to be unrolled before each window; None: all moves of the run before it.
    """
    if moves_before is None:
        fitting = UNBOUNDED_STEP_SHARE * moves / WINDOW_MOVES
    else:
        fitting = STEP_SHARE * moves / (WINDOW_MOVES + UNROLL_COST * moves_before)
    return max(1, int(min(fitting, moves / WINDOW_MOVES, MOST_WINDOWS)))


def drawn(salt: str, job: str, moves: int, num_lanes: int, moves_before: int | None) -> Windows:
    """Return the windows of a job, a function of the salt and the job's folder; arguments as of
    `count_of`."""
    rng = np.random.Generator(np.random.Philox(key=draws.derive("windows", salt, job)))
    spans = spans_of(moves, count_of(moves, moves_before), rng)
    chosen = num_lanes if moves_before is not None else -(-num_lanes * UNBOUNDED_LANES // 1)
    lanes = np.sort(rng.permutation(num_lanes)[: int(chosen)])
    return Windows(salt, spans, tuple(lanes.tolist()))


def spans_of(moves: int, count: int, rng: np.random.Generator) -> tuple[tuple[int, int], ...]:
    """Return one window [begin, end) at a uniform place in each of `count` equal strata of the moves."""
    found = []
    for begin, end in itertools.pairwise(_edges(moves, count)):
        length = min(WINDOW_MOVES, end - begin)
        start = begin + int(rng.integers(end - begin - length + 1))
        found.append((start, start + length))
    return tuple(found)


def missed(first: int, length: int, moves: int, count: int) -> float:
    """Return the probability that no window has a move of the altered moves [first, first + length).

    Each stratum's window is placed on its own, so it is the product over strata of the share of places of the
    window that lie before or behind the altered moves. It is of a lane whose windows are checked.
    """
    edges = _edges(moves, count)
    touched = slice(bisect.bisect_right(edges, first) - 1, bisect.bisect_left(edges, first + length))
    probability = 1.0
    for begin, end in zip(edges[touched], edges[1:][touched], strict=True):
        last = end - min(WINDOW_MOVES, end - begin)
        before = max(0, min(last, first - (end - last)) - begin + 1)
        behind = max(0, last - max(begin, first + length) + 1)
        probability *= (before + behind) / (last - begin + 1)
        if not probability:
            break
    return probability


def mean_missed(length: int, moves: int, count: int) -> float:
    """Return the mean of `missed` over all places of an altered slice of `length` moves."""
    places = np.unique(np.linspace(0, moves - length, 2001).astype(np.int64))
    return float(np.mean([missed(int(first), length, moves, count) for first in places]))


@functools.lru_cache(maxsize=16)
def _edges(moves: int, count: int) -> tuple[int, ...]:
    """Return where the strata begin, and the end of the last."""
    return tuple(np.linspace(0, moves, count + 1).astype(np.int64).tolist())
