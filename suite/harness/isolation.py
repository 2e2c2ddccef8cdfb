"""Isolation: no information may leak between the rows of a batch.

If memory leaked between lanes, one run could profit from another's reward. In windows that the verifier
draws, all lanes are fed their logs three times: in the order in which they were played, in another order of
the rows, and each lane alone, with batch size 1. Logits must be the same within rounding, and choose the
logged moves.

A control may have one network for each row, and draws that go by the row. Of two lanes that are drawn, each
stays in its row, and the other rows are fed other runs. Controls come with the package.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from understudy.suite import draws
from understudy.suite.harness.drawn_windows import Windows
from understudy.suite.harness.feed import Feed, fed_runs, start_state_of
from understudy.suite.harness.jobs import Job
from understudy.suite.harness.recheck import Tally
from understudy.suite.harness.rollout import StartState
from understudy.suite.histories.history_format import History

# Largest difference of a logit between batches, of the legal logits' spread, which counts as 1 to 100.
# Between batch sizes, logits of spread 4 to 7 differ by 5e-6 or less; a state that was unrolled may add to
# that.
LOGITS_DIFFER = 1e-3
WINDOWS_ALONE = 2  # of each lane
LANES_IN_PLACE = 2  # of a control


@dataclass(frozen=True)
class Difference:
    """The first sign of a leak."""

    move: int
    lane: int


@dataclass(frozen=True, eq=False)
class _Batch:
    """Rows that are fed together, and the lanes among them whose own log they are fed, by row."""

    feed: Feed
    own: dict[int, int]  # row -> lane

    def logits(self, begin: int, end: int) -> np.ndarray:
        """Return the logits [T, R, A] before the moves [begin, end)."""
        state = self.feed.state_before(begin)
        return np.stack([logits.copy() for _, logits in self.feed.decisions(state, begin, end)])


def first_difference(
    job: Job,
    player: nn.Module,
    start_state: StartState,
    histories: Sequence[History],
    windows: Windows,
    in_place: bool = False,
) -> Difference | None:
    """Return the first difference between batches in the first window that has one, or None.

    Moves that exploration replaced are compared by their logits alone. With `in_place`, rows are not
    reordered and no lane is alone: for players that differ from row to row.
    """
    runs = fed_runs(job, histories)

    def batch(fed: Sequence[int], rows: Sequence[int], own: dict[int, int]) -> _Batch:
        chosen = [runs[lane] for lane in fed]
        return _Batch(Feed(job, player, start_state_of(start_state, rows), chosen), own)

    every = range(len(runs))
    together = batch(every, every, {lane: lane for lane in every})
    apart: list[tuple[int | None, _Batch]] = []  # the lane that is alone, if any
    order = _reordered(windows.salt, len(runs))
    if in_place:
        for lane in order[:LANES_IN_PLACE]:
            apart.append((lane, batch(fed_lanes(len(runs), lane), every, {lane: lane})))
    else:
        apart.append((None, batch(order, order, dict(enumerate(order)))))
        apart += [(lane, batch([lane], [lane], {0: lane})) for lane in every]
    tallies = [Tally(1) for _ in runs]
    for number, (begin, end) in enumerate(windows.spans):
        expected = together.logits(begin, end)
        due = [
            each
            for lane, each in apart
            if lane is None or (number - lane) % len(windows.spans) < WINDOWS_ALONE
        ]
        found = [next(_differences(expected, each, begin, end, tallies), None) for each in due]
        differing = [each for each in found if each is not None]
        if differing:
            return min(differing, key=lambda each: (each.move, each.lane))
    over = [lane for lane, tally in enumerate(tallies) if not tally.result().holds]
    return Difference(windows.spans[0][0], over[0]) if over else None


def fed_lanes(num_lanes: int, lane: int) -> list[int]:
    """Return which lane's log is fed to each row: only row `lane` gets its own, and one log is left out.

    If the other logs were only exchanged, a leak of their sum or mean would not be detected.
    """
    others = [other for other in range(num_lanes) if other != lane]
    feeds = dict(zip(others, [lane, *others], strict=False)) | {lane: lane}
    return [feeds[row] for row in range(num_lanes)]


def _differences(
    expected: np.ndarray, apart: _Batch, begin: int, end: int, tallies: Sequence[Tally]
) -> Iterator[Difference]:
    """Yield each move and lane at which a batch differs from the whole one, [T, B, A], or from the log."""
    feed = apart.feed
    for move, logits in enumerate(apart.logits(begin, end), start=begin):
        values = feed.values(move, logits)
        for row, lane in apart.own.items():
            one = slice(row, row + 1)
            chosen, explored = feed.chosen[one, move], feed.explored[one, move]
            beyond = tallies[lane].add(logits[one], values[one], feed.legal[one], chosen, explored)
            legal = feed.legal[row]
            whole, found = expected[move - begin, lane][legal], logits[row][legal]
            scale = np.clip(whole.max() - whole.min(), 1, 100)
            if beyond.any() or not np.abs(whole - found).max() <= LOGITS_DIFFER * scale:
                yield Difference(move, lane)


def _reordered(salt: str, num_lanes: int) -> list[int]:
    """Return the lanes in an order in which none is in its own row, drawn from the salt."""
    rng = np.random.Generator(np.random.Philox(key=draws.derive("order of rows", salt)))
    cycle = rng.permutation(num_lanes)
    order = np.empty(num_lanes, np.int64)
    order[cycle] = np.roll(cycle, -1)
    return [int(lane) for lane in order]
