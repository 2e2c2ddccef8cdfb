"""Isolation: no information may leak between the rows of a batch.

If memory leaked between lanes, one run could profit from another's reward. In windows that the verifier
draws, all lanes are fed their logs three times: in the order in which they were played, in another order of
the rows, and each lane alone, with batch size 1. Logits must be the same within rounding, and choose the
logged moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from understudy.suite import draws
from understudy.suite.harness.drawn_windows import Windows
from understudy.suite.harness.feed import FedRun, Feed, fed_runs, start_state_of
from understudy.suite.harness.jobs import Job
from understudy.suite.harness.recheck import Tally
from understudy.suite.harness.rollout import StartState
from understudy.suite.histories.history_format import History

# Largest difference of a logit between batches, of the legal logits' spread, which counts as 1 to 100.
# Between batch sizes, logits of spread 4 to 7 differ by 5e-6 or less; a state that was unrolled may add to
# that.
LOGITS_DIFFER = 1e-3
WINDOWS_ALONE = 2  # of each lane


@dataclass(frozen=True)
class Difference:
    """The first sign of a leak."""

    move: int
    lane: int


def first_difference(
    job: Job,
    player: nn.Module,
    start_state: StartState,
    histories: Sequence[History],
    windows: Windows,
) -> Difference | None:
    """Return the first difference between the batches that is found, or None.

    Moves that exploration replaced are compared by their logits alone.
    """
    runs = fed_runs(job, histories)
    order = _reordered(windows.salt, len(runs))
    tallies = [Tally(1) for _ in runs]
    for number, (begin, end) in enumerate(windows.spans):
        together = _Fed(job, player, start_state, runs, range(len(runs)), begin, end)
        batches = [_Fed(job, player, start_state, runs, order, begin, end)]
        for lane in range(len(runs)):
            if (number - lane) % len(windows.spans) < WINDOWS_ALONE:
                batches.append(_Fed(job, player, start_state, runs, [lane], begin, end))
        found = [_compared(together, batch, tallies) for batch in batches]
        differing = [each for each in found if each is not None]
        if differing:
            return min(differing, key=lambda each: (each.move, each.lane))
    over = [lane for lane, tally in enumerate(tallies) if not tally.result().holds]
    return Difference(windows.spans[0][0], over[0]) if over else None


class _Fed:
    """The logits of some lanes, in one batch, over one window."""

    def __init__(
        self,
        job: Job,
        player: nn.Module,
        start_state: StartState,
        runs: Sequence[FedRun],
        lanes: Sequence[int],
        begin: int,
        end: int,
    ) -> None:
        self.lanes = list(lanes)
        self.feed = Feed(
            job, player, start_state_of(start_state, self.lanes), [runs[lane] for lane in self.lanes]
        )
        self.begin = begin
        state = self.feed.state_before(begin)
        self.logits = [logits.copy() for _, logits in self.feed.decisions(state, begin, end)]  # T x [R, A]


def _compared(together: _Fed, apart: _Fed, tallies: Sequence[Tally]) -> Difference | None:
    """Return the first move and lane at which a batch differs from the whole one, or from the log."""
    differences = (Difference(move, lane) for move, lane in _differences(together, apart, tallies))
    return next(differences, None)


def _differences(together: _Fed, apart: _Fed, tallies: Sequence[Tally]) -> Iterator[tuple[int, int]]:
    feed = apart.feed
    for offset, logits in enumerate(apart.logits):
        move = apart.begin + offset
        values = feed.values(move, logits)
        for row, lane in enumerate(apart.lanes):
            one = slice(row, row + 1)
            beyond = tallies[lane].add(
                logits[one], values[one], feed.legal[one], feed.chosen[one, move], feed.explored[one, move]
            )
            legal = feed.legal[row]
            expected, found = together.logits[offset][lane][legal], logits[row][legal]
            scale = np.clip(expected.max() - expected.min(), 1, 100)
            if beyond.any() or not np.abs(expected - found).max() <= LOGITS_DIFFER * scale:
                yield move, lane


def _reordered(salt: str, num_lanes: int) -> list[int]:
    """Return the lanes in an order in which none is in its own row, drawn from the salt."""
    rng = np.random.Generator(np.random.Philox(key=draws.derive("order of rows", salt)))
    cycle = rng.permutation(num_lanes)
    order = np.empty(num_lanes, np.int64)
    order[cycle] = np.roll(cycle, -1)
    return [int(lane) for lane in order]
