"""Isolation: no information may leak between the rows of a batch.

If memory leaked between lanes, one run could profit from another's reward.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from understudy.suite.harness import records, states
from understudy.suite.harness.jobs import Job
from understudy.suite.harness.recheck import Feed
from understudy.suite.harness.rollout import StartState
from understudy.suite.histories.history_format import History
from understudy.suite.protocols import State


def first_difference(
    job: Job,
    player: nn.Module,
    start_state: StartState,
    histories: Sequence[History],
    lane: int,
    moves: int = records.CHECKED_MOVES,
) -> int | None:
    """Return the first move, among a run's first `moves`, at which the player chooses otherwise, or None.

    The batch has the job's size; row `lane` is fed its own log, the others those of `fed_lanes`.
    Moves that exploration replaced are not compared.
    """
    fed = [histories[row] for row in fed_lanes(len(histories), lane)]
    end = min(moves, min(history.num_moves for history in histories))
    return _first_difference(
        Feed(job, player, start_state, fed), histories[lane], lane, 0, end, start_state.state
    )


def last_difference(
    job: Job,
    player: nn.Module,
    start_state: StartState,
    histories: Sequence[History],
    kept: State,
    begin: int,
) -> int | None:
    """Return the first move from `begin` on at which the player chooses otherwise in lane 0, or None.

    Lane 0 starts from its stored state at move `begin`, `kept`, of one row. The other rows start from the
    start state and are fed other runs.
    """
    rows = len(histories)
    state = states.join([kept, states.take(start_state.state, range(1, rows))])
    fed = [histories[row] for row in fed_lanes(rows, 0)]
    feed = Feed(job, player, start_state, fed)
    return _first_difference(feed, histories[0], 0, begin, histories[0].num_moves, state)


def fed_lanes(num_lanes: int, lane: int) -> list[int]:
    """Return which lane's log is fed to each row: only row `lane` gets its own, and one log is left out.

    If the other logs were only exchanged, a leak of their sum or mean would not be detected.
    """
    others = [other for other in range(num_lanes) if other != lane]
    feeds = dict(zip(others, [lane, *others], strict=False)) | {lane: lane}
    return [feeds[row] for row in range(num_lanes)]


def _first_difference(feed: Feed, own: History, lane: int, begin: int, end: int, state: State) -> int | None:
    for move, logits in feed.decisions(state, begin, end):
        if not own.explored[move] and feed.values(move, logits)[lane].argmax() != own.action[move]:
            return move
    return None
