"""Recheck: gives the logged observations of stored runs to a player again and compares its moves.

Weights other than those that played choose other moves.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from understudy.suite import exploration, games
from understudy.suite.harness import player_checks, states, transfers
from understudy.suite.harness.child_player import ChildPlayer
from understudy.suite.harness.jobs import Job
from understudy.suite.harness.player_checks import PlayerChecks
from understudy.suite.harness.rollout import PRIMING_CHUNK_MOVES, StartState
from understudy.suite.histories.frame_store import open_store
from understudy.suite.histories.history_format import History
from understudy.suite.histories.timesteps import timesteps
from understudy.suite.protocols import Imitator, State, Timestep

SAME_SHARE = 0.999  # share of the chosen moves that must be chosen again ...
NEAR_THE_TOP = 1e-3  # ... and largest distance of the other moves' logits from the highest

RELOADS = 3  # in a job, where its player is in a process of its own


@dataclass(frozen=True)
class Rechecked:
    """How many of a job's chosen moves its player chooses again, given the log."""

    moves: int  # number of moves that the player chose, not exploration
    differing: int
    largest_gap: float  # largest distance of a differing move's logit below the highest; 0 if none differs
    reloaded_at: tuple[int, ...] = ()  # moves before which the player was loaded afresh

    @property
    def holds(self) -> bool:
        """Whether the log is this player's, apart from rounding."""
        if self.moves == 0:
            return True
        return 1 - self.differing / self.moves >= SAME_SHARE and self.largest_gap <= NEAR_THE_TOP


def recheck(
    job: Job,
    player: nn.Module,
    start_state: StartState,
    histories: Sequence[History],
    reload_at: Sequence[int] = (),
) -> Rechecked:
    """Give a player all runs of a job in lock-step, as they were played, and compare its choices.

    Before the moves `reload_at` a player in a process of its own is loaded afresh, and goes on from the
    tensors of its state alone: what it kept elsewhere is lost, and if that mattered, its choices differ.
    """
    moves = differing = 0
    largest = 0.0
    feed = Feed(job, player, start_state, list(histories))
    actions = np.stack([history.action for history in histories]).astype(np.int64)  # [B, T]
    explored = np.stack([history.explored for history in histories])
    for move, logits in feed.decisions(start_state.state, 0, job.moves, reload_at):
        values = feed.values(move, logits)  # [B, A]
        wrong = (values.argmax(axis=1) != actions[:, move]) & ~explored[:, move]
        moves += int((~explored[:, move]).sum())
        differing += int(wrong.sum())
        if wrong.any():
            taken = np.take_along_axis(values, actions[:, move : move + 1], axis=1)[:, 0]
            largest = max(largest, float((values.max(axis=1) - taken)[wrong].max()))
    return Rechecked(moves, differing, largest, tuple(reload_at))


def drawn_reloads(player: nn.Module, job: Job) -> tuple[int, ...]:
    """Return the moves before which a player is loaded afresh while its runs are rechecked.

    One is drawn in each of RELOADS equal parts of a run, from the system's generator: nobody can know them
    when the runs are played. None for a player in this process, and none on the learning track, where
    parameters may change.
    """
    if not isinstance(player, ChildPlayer) or job.player.get("track") == "learning":
        return ()
    bounds = np.linspace(0, job.moves, RELOADS + 1).astype(int).tolist()
    parts = [range(max(begin, 1), end) for begin, end in itertools.pairwise(bounds)]
    return tuple(secrets.choice(part) for part in parts if part)


class Feed:
    """Gives a player the timesteps of stored runs, one run per row, and yields its logits."""

    def __init__(
        self, job: Job, player: nn.Module, start_state: StartState, histories: list[History]
    ) -> None:
        self.job, self.start_state, self.histories = job, start_state, histories
        self.player, self.imitator = player, cast(Imitator, player)
        lane_games = [games.load(history.header.game) for history in histories]
        self.legal = np.array([game.legal_actions for game in lane_games])  # [B, A]
        seeds = [lane.seed for lane in job.lanes]
        self.sampler = exploration.Sampler(seeds, self.legal.shape[1]) if job.decoding == "sample" else None

    def decisions(
        self, state: State, begin: int, end: int, reload_at: Collection[int] = ()
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each move in [begin, end) and the player's logits [B, A] before it.

        A player in a process of its own is loaded afresh before the moves `reload_at`.
        Raises PlayerRefused if logits or state have not the declared form at some move.
        """
        state = states.clone(state)
        rows = [f"row {row} ({history.header.game})" for row, history in enumerate(self.histories)]
        name = player_checks.name_of(self.job.labels)
        device = self.start_state.device
        checks = PlayerChecks(name, rows, self.legal.shape[1], state, "repeated move", device)
        stores = {id(history): open_store(history, begin, end) for history in self.histories}
        for start in range(begin, end, PRIMING_CHUNK_MOVES):
            stop = min(end, start + PRIMING_CHUNK_MOVES)
            parts = [timesteps(history, stores[id(history)], start, stop) for history in self.histories]
            by_move = (torch.cat(columns).transpose(0, 1) for columns in zip(*parts, strict=True))
            here = Timestep(*by_move)  # [T, B, ...]
            chunk = transfers.timesteps_to(here, device)
            for move in range(start, stop):
                if move in reload_at and isinstance(self.player, ChildPlayer):
                    self.player.reload()
                timestep = Timestep(*(column[move - start] for column in chunk))
                state, timestep = self._as_played(move, here.first[move - start], timestep, state)
                with torch.inference_mode():
                    answer = self.imitator.step(timestep, state)
                logits, state = checks.step(answer, move)
                yield move, logits

    def values(self, move: int, logits: np.ndarray) -> np.ndarray:
        """Return the values [B, A] whose maximum is chosen: legal logits, plus Gumbel noise if sampled."""
        drawn = logits if self.sampler is None else logits + self.sampler.gumbel(move)
        masked: np.ndarray = np.where(self.legal, drawn, -np.inf)
        return masked

    def _as_played(
        self, move: int, first: Tensor, timestep: Timestep, state: State
    ) -> tuple[State, Timestep]:
        """Put rows into the start state at move 0; in a start job at every episode start.

        `first` [B] is the timestep's, on the CPU.
        """
        if move == 0:
            rows = torch.ones(len(self.histories), dtype=torch.bool)
        elif self.job.kind == "start" and bool(first.any()):
            rows = first
            state = states.copy_rows(state, self.start_state.state, rows)
        else:
            return state, timestep
        start_state = self.start_state
        there = rows.to(start_state.device)
        action, reward, first_of_run = (
            torch.from_numpy(each).to(start_state.device)
            for each in (
                start_state.previous_action,
                start_state.previous_reward,
                start_state.first_of_run,
            )
        )
        return state, timestep._replace(
            previous_action=torch.where(there, action, timestep.previous_action),
            previous_reward=torch.where(there, reward, timestep.previous_reward),
            first_of_run=there & first_of_run,
        )
