"""Feed: gives a player the timesteps of stored runs again, as they were played, and yields its logits.

From move 0 the player's own `step` makes every state. At a later move the state is made by `unroll` over the
log: over the moves in the player's reach, or over all moves before where nothing bounds it. No stored state
is used, since whoever wrote the log could have written that too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import nn

from understudy.suite import exploration, games
from understudy.suite.harness import permuted_actions, player_checks, states, transfers
from understudy.suite.harness.child_player import ChildPlayer
from understudy.suite.harness.feedback import Feedback
from understudy.suite.harness.jobs import Job
from understudy.suite.harness.player_checks import PlayerChecks
from understudy.suite.harness.rollout import PRIMING_CHUNK_MOVES, StartState
from understudy.suite.histories import timesteps
from understudy.suite.histories.frame_store import FrameStore, open_store
from understudy.suite.histories.history_format import History
from understudy.suite.protocols import Game, Imitator, State, Timestep


@dataclass(frozen=True, eq=False)
class FedRun:
    """A stored run with the feedback that its player was given, which an intervention changes."""

    log: History  # as executed
    received: History  # the same with the rewards that the player received, and its own numbers of actions
    seed: int  # of the run
    lane: int  # position among its job's lanes


class Feed:
    """Gives a player the timesteps of stored runs, one run per row, and yields its logits."""

    def __init__(self, job: Job, player: nn.Module, start_state: StartState, runs: Sequence[FedRun]) -> None:
        """Take the runs of the rows, and a start state with one row for each."""
        self.job, self.start_state, self.runs = job, start_state, list(runs)
        self.player, self.imitator = player, cast(Imitator, player)
        self.games = [games.load(run.log.header.game) for run in self.runs]
        self.legal = np.array([game.legal_actions for game in self.games])  # [B, A]
        self.chosen = np.stack([run.received.action for run in self.runs]).astype(np.int64)  # [B, T]
        self.explored = np.stack([run.log.explored for run in self.runs])  # [B, T]
        seeds = [run.seed for run in self.runs]
        self.sampler = exploration.Sampler(seeds, self.legal.shape[1]) if job.decoding == "sample" else None
        self._feedback = Feedback(job.intervention.reward if job.intervention else "own", self.games)
        rows = [f"row {row} ({game.name})" for row, game in enumerate(self.games)]
        name = player_checks.name_of(job.labels)
        form, device = start_state.state, start_state.device
        self._cursor: tuple[int, State] | None = None  # the last state made of all moves before a move
        # Apart, since a state that `unroll` made is none that the run had.
        self._steps, self._unrolls = (
            PlayerChecks(name, rows, self.legal.shape[1], form, "repeated move", device) for _ in range(2)
        )

    @property
    def largest_bytes(self) -> int:
        """Size of all rows' state, the largest after any `step`."""
        return self._steps.largest_bytes

    def decisions(
        self, state: State, begin: int, end: int, reload_at: Collection[int] = ()
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each move in [begin, end) and the player's logits [B, A] before it; `state` is left alone.

        A player in a process of its own is loaded afresh before the moves `reload_at`.
        Raises PlayerRefused if logits or state have not the declared form at some move.
        """
        state = states.clone(state)
        stores = [open_store(run.log, begin, end) for run in self.runs]
        for start in range(begin, end, PRIMING_CHUNK_MOVES):
            stop = min(end, start + PRIMING_CHUNK_MOVES)
            here = self._timesteps(stores, start, stop)
            chunk = transfers.timesteps_to(
                Timestep(*(column.transpose(0, 1) for column in here)), self.start_state.device
            )  # [T, B, ...]
            for move in range(start, stop):
                if move in reload_at and isinstance(self.player, ChildPlayer):
                    self.player.reload()
                timestep = Timestep(*(column[move - start] for column in chunk))
                if self.job.kind == "start" and move and bool(here.first[:, move - start].any()):
                    state = states.copy_rows(state, self.start_state.state, here.first[:, move - start])
                with torch.inference_mode():
                    answer = self.imitator.step(timestep, state)
                logits, state = self._steps.step(answer, move)
                yield move, logits

    def state_before(self, move: int) -> State:
        """Return the state of all rows before a move, made from the log and the start state alone."""
        if move == 0:
            return self.start_state.state
        if self.job.kind != "start":
            return self._continued(move)
        begun = np.array([np.flatnonzero(run.log.first[: move + 1])[-1] for run in self.runs])
        state, at = states.clone(self.start_state.state), int(begun.min())
        for point in sorted(
            {int(each) for each in begun}
        ):  # where rows are put back; before it they don't count
            state = self._unrolled(state, at, point)
            state = states.copy_rows(state, self.start_state.state, torch.from_numpy(begun == point))
            at = point
        return self._unrolled(state, at, move)

    def values(self, move: int, logits: np.ndarray) -> np.ndarray:
        """Return the values [B, A] whose maximum is chosen: legal logits, plus Gumbel noise if sampled."""
        drawn = logits if self.sampler is None else logits + self.sampler.gumbel(move)
        masked: np.ndarray = np.where(self.legal, drawn, -np.inf)
        return masked

    def _continued(self, move: int) -> State:
        """Return the state before a move of runs; where all moves matter, on from the last that was made."""
        reach = self.imitator.reach_moves
        if reach is not None and reach < move:
            with torch.inference_mode():
                empty = self.imitator.initial_state(len(self.runs))
            return self._unrolled(empty, move - reach, move, is_empty=True)
        done, known = (
            self._cursor if self._cursor and self._cursor[0] <= move else (0, self.start_state.state)
        )
        made = self._unrolled(states.clone(known), done, move)
        if reach is None:
            self._cursor = move, states.clone(made)
        return made

    def _unrolled(self, state: State, begin: int, end: int, is_empty: bool = False) -> State:
        """Return the state before move `end` from the one before move `begin`, which may be empty."""
        stores = [open_store(run.log, begin, end) for run in self.runs]
        for start in range(begin, end, PRIMING_CHUNK_MOVES):
            here = self._timesteps(stores, start, min(end, start + PRIMING_CHUNK_MOVES))
            here.first_of_run[:, 1:] = False
            if start == begin and is_empty:
                here.first_of_run[:, 0] = True
                here.previous_action[:, 0], here.previous_reward[:, 0] = 0, 0
            with torch.inference_mode():
                chunk = transfers.timesteps_to(here, self.start_state.device)
                answer = self.imitator.unroll(chunk, state)
            _, state = self._unrolls.unroll(answer, start, here.first.shape[1])
        return state

    def _timesteps(self, stores: Sequence[FrameStore], start: int, stop: int) -> Timestep:
        """Return the timesteps [B, T, ...] as the player was given them, on the CPU."""
        parts = [
            timesteps.timesteps(run.received, store, start, stop)
            for run, store in zip(self.runs, stores, strict=True)
        ]
        here = Timestep(*(torch.cat(columns) for columns in zip(*parts, strict=True)))
        self._feedback.blank(here.observation.numpy(), range(len(self.runs)))
        restored = here.first.clone() if self.job.kind == "start" else torch.zeros_like(here.first)
        if start == 0:
            restored[:, 0] = True
        began = self.start_state
        for column, values in (
            (here.previous_action, began.previous_action),
            (here.previous_reward, began.previous_reward),
            (here.first_of_run, began.first_of_run),
        ):
            of_rows = torch.from_numpy(values)[:, None].expand_as(column)
            column[restored] = of_rows[restored]
        here.first_of_run[~restored] = False
        return here


def fed_runs(job: Job, histories: Sequence[History]) -> list[FedRun]:
    """Return the runs of all lanes of a job, in order, with the feedback that its player was given."""
    lane_games = [games.load(history.header.game) for history in histories]
    feedback = Feedback(job.intervention.reward if job.intervention else "own", lane_games)
    received = feedback.reward(np.stack([history.reward for history in histories], axis=1))  # [T, B]
    return [
        FedRun(
            history, _as_received(job, index, history, game, np.ascontiguousarray(received[..., index])),
            job.lanes[index].seed, index,
        )
        for index, (history, game) in enumerate(zip(histories, lane_games, strict=True))
    ]  # fmt: skip


def _as_received(job: Job, index: int, history: History, game: Game, received: np.ndarray) -> History:
    """Return a run with the rewards that its player received and the actions in its own numbers."""
    permutation = permuted_actions.of_lane(job, index, game)
    action = permuted_actions.inverse(permutation)[history.action].astype(history.action.dtype)
    return replace(history, reward=received.astype(np.float32), action=action)


def start_state_of(start_state: StartState, rows: Sequence[int]) -> StartState:
    """Return the start state of some rows, in the order given."""
    chosen = np.array(rows)
    return StartState(
        states.take(start_state.state, rows),
        start_state.previous_action[chosen],
        start_state.previous_reward[chosen],
        start_state.first_of_run[chosen],
        start_state.device,
    )
