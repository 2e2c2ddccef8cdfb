"""What a player decides, fed stored lives again: isolation of its lanes, and re-derivation of its moves.

A memory that leaks between lanes would let one life profit from another's reward; weights that are not the
ones that played would choose other moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import nn

from understudy.suite import exploration, games, records, states
from understudy.suite.harness import PRIMING_CHUNK_MOVES, Job, Outset
from understudy.suite.histories.format import History
from understudy.suite.histories.frames import frames
from understudy.suite.histories.timesteps import timesteps
from understudy.suite.protocols import Imitator, State, Timestep

REDERIVED_SHARE = 0.999  # of the chosen moves come out again ...
NEAR_THE_TOP = 1e-3  # ... and the others lie this near to the highest logit


def first_difference(
    job: Job,
    player: nn.Module,
    outset: Outset,
    histories: Sequence[History],
    lane: int,
    moves: int = records.CHECKED_MOVES,
) -> int | None:
    """Return the first of a life's first moves at which the player would choose otherwise, or None.

    The batch has the job's size; row `lane` is fed its own log, the others those of `fed_lanes`.
    Moves that exploration replaced are not compared.
    """
    fed = [histories[row] for row in fed_lanes(len(histories), lane)]
    end = min(moves, min(history.num_moves for history in histories))
    return _first_difference(_Feed(job, player, outset, fed), histories[lane], lane, 0, end, outset.state)


def last_difference(
    job: Job, player: nn.Module, outset: Outset, histories: Sequence[History], kept: State, begin: int
) -> int | None:
    """Return the same from move `begin` to the end, from lane 0's stored state `kept` there, one row.

    The other rows go on from the outset, fed from other lives.
    """
    rows = len(histories)
    state = {name: torch.cat([kept[name], tensor[1:]]) for name, tensor in outset.state.items()}
    fed = [histories[row] for row in fed_lanes(rows, 0)]
    feed = _Feed(job, player, outset, fed)
    return _first_difference(feed, histories[0], 0, begin, histories[0].num_moves, state)


@dataclass(frozen=True)
class Rederived:
    """How many of a job's chosen moves come out again when its player is fed the log."""

    moves: int  # that were the player's choice
    differing: int
    largest_gap: float  # of a differing move's logit below the highest; 0 where none differs

    @property
    def holds(self) -> bool:
        """Whether the log is this player's, but for rounding."""
        if self.moves == 0:
            return True
        return 1 - self.differing / self.moves >= REDERIVED_SHARE and self.largest_gap <= NEAR_THE_TOP


def rederive(job: Job, player: nn.Module, outset: Outset, histories: Sequence[History]) -> Rederived:
    """Return what a player decides, fed all lives of a job in lock-step as they were played."""
    moves = differing = 0
    largest = 0.0
    feed = _Feed(job, player, outset, list(histories))
    actions = np.stack([history.action for history in histories]).astype(np.int64)  # [B, T]
    explored = np.stack([history.explored for history in histories])
    for move, logits in feed.decisions(outset.state, 0, job.moves):
        values = feed.values(move, logits)  # [B, A]
        wrong = (values.argmax(axis=1) != actions[:, move]) & ~explored[:, move]
        moves += int((~explored[:, move]).sum())
        differing += int(wrong.sum())
        if wrong.any():
            taken = np.take_along_axis(values, actions[:, move : move + 1], axis=1)[:, 0]
            largest = max(largest, float((values.max(axis=1) - taken)[wrong].max()))
    return Rederived(moves, differing, largest)


def fed_lanes(num_lanes: int, lane: int) -> list[int]:
    """Return which lane's log feeds each row: no row but `lane` its own, and one log is left out.

    Were the other logs only exchanged, a leak of their sum or mean would stay unseen.
    """
    others = [other for other in range(num_lanes) if other != lane]
    feeds = dict(zip(others, [lane, *others], strict=False)) | {lane: lane}
    return [feeds[row] for row in range(num_lanes)]


class _Feed:
    """Feeds a player stored lives, one a row, and says what it would decide."""

    def __init__(self, job: Job, player: nn.Module, outset: Outset, histories: list[History]) -> None:
        self.job, self.outset, self.histories = job, outset, histories
        self.imitator = cast(Imitator, player)
        lane_games = [games.load(history.header.game) for history in histories]
        self.legal = np.array([game.legal_actions for game in lane_games])  # [B, A]
        seeds = [lane.seed for lane in job.lanes]
        self.sampler = exploration.Sampler(seeds, self.legal.shape[1]) if job.decoding == "sample" else None

    def decisions(self, state: State, begin: int, end: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each move in [begin, end) and the player's logits [B, A] before it."""
        state = states.clone(state)
        stores = {id(history): frames(history, begin, end) for history in self.histories}
        for start in range(begin, end, PRIMING_CHUNK_MOVES):
            stop = min(end, start + PRIMING_CHUNK_MOVES)
            parts = [timesteps(history, stores[id(history)], start, stop) for history in self.histories]
            chunk = Timestep(*(torch.cat(columns) for columns in zip(*parts, strict=True)))  # [B, T, ...]
            for move in range(start, stop):
                timestep = Timestep(*(column[:, move - start] for column in chunk))
                state, timestep = self._as_played(move, timestep, state)
                with torch.inference_mode():
                    logits, state = self.imitator.step(timestep, state)
                yield move, logits.numpy()

    def values(self, move: int, logits: np.ndarray) -> np.ndarray:
        """Return what the choice is the highest of, [B, A]: legal logits, with the draws of a sampled one."""
        drawn = logits if self.sampler is None else logits + self.sampler.gumbel(move)
        masked: np.ndarray = np.where(self.legal, drawn, -np.inf)
        return masked

    def _as_played(self, move: int, timestep: Timestep, state: State) -> tuple[State, Timestep]:
        """Begin as the outset, primed or not, makes it; a start job does so at every episode."""
        if move == 0:
            rows = torch.ones(len(self.histories), dtype=torch.bool)
        elif self.job.kind == "start" and bool(timestep.first.any()):
            rows = timestep.first
            state = states.copy_rows(state, self.outset.state, rows)
        else:
            return state, timestep
        outset = self.outset
        return state, timestep._replace(
            previous_action=torch.where(
                rows, torch.from_numpy(outset.previous_action), timestep.previous_action
            ),
            previous_reward=torch.where(
                rows, torch.from_numpy(outset.previous_reward), timestep.previous_reward
            ),
            first_of_life=rows & torch.from_numpy(outset.first_of_life),
        )


def _first_difference(feed: _Feed, own: History, lane: int, begin: int, end: int, state: State) -> int | None:
    for move, logits in feed.decisions(state, begin, end):
        if not own.explored[move] and feed.values(move, logits)[lane].argmax() != own.action[move]:
            return move
    return None
