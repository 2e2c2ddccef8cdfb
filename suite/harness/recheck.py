"""Recheck: gives the logged observations of stored runs to a player again and compares its moves.

Weights other than those that played choose other moves. A move may differ only where two actions are nearly
equal, within the rounding of logits on another machine, and a run may have hardly any such move: otherwise
whoever writes the log could choose among them, and tell the player something by each choice.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from understudy.suite.harness.child_player import ChildPlayer
from understudy.suite.harness.drawn_windows import Windows
from understudy.suite.harness.feed import Feed, fed_runs, start_state_of
from understudy.suite.harness.jobs import Job
from understudy.suite.harness.rollout import StartState
from understudy.suite.histories.history_format import History

# Largest distance of a move's value from the highest: of the spread of the legal logits, or of 1 if that is
# less. Between batch sizes, and `unroll` and `step`, logits of spread 4 to 7 differ by 5e-6 or less.
ROUNDING = 1e-5
MOVES_A_DIFFERING = 100_000  # of a run, for each that may differ besides the first
MOVES_A_NEAR_TIE = 1_000  # of a run, for each choice within rounding that it may have besides the first
RELOADS = 3  # in a job, where its player is in a process of its own


@dataclass(frozen=True)
class Rechecked:
    """How many of a job's chosen moves its player chooses again, given the log."""

    moves: int  # number of moves that the player chose, not exploration
    differing: int
    largest_gap: float  # largest distance of a differing move below the highest, relative as `ROUNDING`
    excess: int  # moves that differ by more than rounding, and in each run those over its bounds
    reloaded_at: tuple[int, ...] = ()  # moves before which the player was loaded afresh
    state_bytes: int = 0  # size of all runs' state that were given to it, the largest after any move

    @property
    def holds(self) -> bool:
        """Whether the log is this player's, apart from rounding."""
        return self.excess == 0


def recheck(
    job: Job,
    player: nn.Module,
    start_state: StartState,
    histories: Sequence[History],
    windows: Windows | None = None,
    reload_at: Sequence[int] = (),
) -> Rechecked:
    """Give a player the runs of a job in lock-step, as they were played, and compare its choices.

    Before the moves `reload_at` a player in a process of its own is loaded afresh, and goes on from the
    tensors of its state alone: what it kept elsewhere is lost, and if that mattered, its choices differ.

    Args:
        job: of the runs, with its intervention.
        player: that is asked, with the parameters of the intervention.
        start_state: of the job's lanes.
        histories: the logs, one for each lane.
        windows: the moves and lanes that are given to it; None: all, from move 0.
        reload_at: moves, as `drawn_reloads` draws them.
    """
    runs = fed_runs(job, histories)
    spans: tuple[tuple[int, int], ...] = ((0, job.moves),)
    if windows is not None:
        runs, spans = [runs[lane] for lane in windows.lanes], windows.spans
        start_state = start_state_of(start_state, windows.lanes)
    feed = Feed(job, player, start_state, runs)
    tally = Tally(len(runs))
    for begin, end in spans:
        for move, logits in feed.decisions(feed.state_before(begin), begin, end, reload_at):
            tally.add(
                logits, feed.values(move, logits), feed.legal, feed.chosen[:, move], feed.explored[:, move]
            )
    return replace(tally.result(), reloaded_at=tuple(reload_at), state_bytes=feed.largest_bytes)


def drawn_reloads(player: nn.Module, job: Job, windows: Windows | None = None) -> tuple[int, ...]:
    """Return the moves before which a player is loaded afresh while its runs are rechecked.

    One is drawn in each of RELOADS equal parts of the moves that are given to it, from the system's
    generator: nobody can know them when the runs are played. None for a player in this process, and none on
    the learning track, where parameters may change.
    """
    if not isinstance(player, ChildPlayer) or job.player.get("track") == "learning":
        return ()
    spans = ((0, job.moves),) if windows is None else windows.spans
    moves = [move for begin, end in spans for move in range(max(begin, 1), end)]
    bounds = np.linspace(0, len(moves), RELOADS + 1).astype(int).tolist()
    return tuple(secrets.choice(moves[a:b]) for a, b in itertools.pairwise(bounds) if b > a)


class Tally:
    """Counts, run by run, the moves that a player would choose otherwise, and how far from it they are."""

    def __init__(self, num_runs: int) -> None:
        self.moves = np.zeros(num_runs, np.int64)
        self.differing = np.zeros(num_runs, np.int64)
        self.beyond = np.zeros(num_runs, np.int64)  # differing by more than rounding
        self.near_ties = np.zeros(num_runs, np.int64)
        self.largest_gap = 0.0

    def add(
        self,
        logits: np.ndarray,
        values: np.ndarray,
        legal: np.ndarray,
        chosen: np.ndarray,
        explored: np.ndarray,
    ) -> np.ndarray:
        """Count one move of each run; return bool [B], where it differs by more than rounding.

        Args:
            logits: float [B, A].
            values: float [B, A], whose maximum is chosen; minus infinity where illegal.
            legal: bool [B, A].
            chosen: int [B], as logged.
            explored: bool [B]; such moves are not compared.
        """
        own = ~explored
        gaps, runner_up = relative_gaps(logits, values, legal, chosen)
        differs = own & (values.argmax(axis=1) != chosen)
        # An exact tie goes to the lowest action on every machine, so another one was not chosen by rounding.
        tolerated = np.isfinite(gaps) & (gaps > 0) & (gaps <= ROUNDING)
        beyond: np.ndarray = differs & ~tolerated
        self.moves += own
        self.differing += differs
        self.beyond += beyond
        self.near_ties += own & (runner_up > 0) & (runner_up <= ROUNDING)
        if (differs & np.isfinite(gaps)).any():
            self.largest_gap = max(self.largest_gap, float(gaps[differs & np.isfinite(gaps)].max()))
        return beyond

    def result(self) -> Rechecked:
        """Return the sums over runs, after applying each run's bounds."""
        most_differing = 1 + self.moves // MOVES_A_DIFFERING
        most_ties = 1 + self.moves // MOVES_A_NEAR_TIE
        over = np.maximum(0, self.differing - self.beyond - most_differing)
        over += np.maximum(0, self.near_ties - most_ties)
        return Rechecked(
            int(self.moves.sum()),
            int(self.differing.sum()),
            self.largest_gap,
            int(self.beyond.sum() + over.sum()),
        )


def relative_gaps(
    logits: np.ndarray, values: np.ndarray, legal: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much the chosen action, and the second best, are below the best, float64 [B] each.

    They are relative to the spread of the legal logits, or to 1 if that is less: one action that is far below
    the others must not make these nearly equal. An illegal action is infinitely far below.
    """
    finite = values.astype(np.float64)
    ordered = np.sort(finite, axis=1)
    best = ordered[:, -1]
    spread = np.where(legal, logits, -np.inf).max(axis=1) - np.where(legal, logits, np.inf).min(axis=1)
    scale = np.minimum(spread.astype(np.float64), 1.0)
    taken = np.take_along_axis(finite, chosen[:, None], axis=1)[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        gaps, runner_up = ((best - other) / scale for other in (taken, ordered[:, -2]))
    return np.where(best == taken, 0.0, gaps), np.where(best == ordered[:, -2], 0.0, runner_up)
