"""Measuring agreement: an imitator's teacher-forced predictions of the teacher's next moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from understudy.suite import exploration, games
from understudy.suite.harness import transfers
from understudy.suite.harness.player_checks import PlayerChecks
from understudy.suite.harness.rollout import PRIMING_CHUNK_MOVES, StartState
from understudy.suite.histories.frame_store import FrameStore
from understudy.suite.histories.history_format import History
from understudy.suite.histories.timesteps import timesteps, timesteps_with_empty_memory
from understudy.suite.io.readable import Readable
from understudy.suite.protocols import Timestep


@dataclass(frozen=True)
class Continuation:
    """A teacher's run, whose moves after W are predicted."""

    name: str  # of the run, e.g. "breakout/seed-0"
    history: History
    store: FrameStore  # of the moves that are predicted
    network_path: Readable  # of the teacher's network at W


def measure(
    player: str,
    imitator: Any,
    start_state: StartState,
    teachers: Sequence[Continuation],
    start: int,
    moves: int,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[dict[str, np.ndarray]]:
    """Return predictions on the moves [start, start + moves) of each teacher's run, columns [moves].

    The columns of `teachers_columns`, and: predicted int64, the most likely legal action; loss_nats float64,
    the loss on the executed action. The runs are the lanes of one batch, given to `step` move by move, as
    `rollout` plays: what predicts is what plays, even if `unroll` is something else.

    Args:
        player: its name, for messages.
        imitator: the player.
        start_state: before the move `start`, one row for each run.
        teachers: the runs [B], of one family of games.
        start: the first move.
        moves: how many, T.
        report: called with the moves done and T.

    Raises PlayerRefused if logits or state have not the declared form at some move.
    """
    own = [teachers_columns(each.history, each.store, start, moves, each.network_path) for each in teachers]
    legal = np.array([each.store.game.legal_actions for each in teachers])  # [B, A]
    executed = np.stack([columns["chosen"] for columns in own])  # [B, T]
    predicted, losses = np.empty(executed.shape, np.int64), np.empty(executed.shape)
    state, lanes = start_state.state, [each.name for each in teachers]
    device = start_state.device
    checks = PlayerChecks(player, lanes, legal.shape[1], state, "teacher's move", device)
    for begin in range(0, moves, PRIMING_CHUNK_MOVES):
        report(begin, moves)
        end = min(begin + PRIMING_CHUNK_MOVES, moves)
        fresh = begin == 0 and bool(start_state.first_of_run.all())
        chunk = transfers.timesteps_to(_moves_first(teachers, start + begin, start + end, fresh), device)
        for t in range(begin, end):
            timestep = Timestep(*(column[t - begin] for column in chunk))
            with torch.inference_mode():
                answer = imitator.step(timestep, state)
            logits, state = checks.step(answer, start + t)
            predicted[:, t] = exploration.greedy_actions(logits, legal)
            losses[:, t] = _losses(logits, legal, executed[:, t])
    report(moves, moves)
    return [
        {**columns, "predicted": predicted[row], "loss_nats": losses[row]} for row, columns in enumerate(own)
    ]


def _moves_first(teachers: Sequence[Continuation], start: int, stop: int, fresh: bool) -> Timestep:
    """Return the timesteps of the moves [start, stop) of all runs, tensors [T, B, ...]."""
    window = timesteps_with_empty_memory if fresh else timesteps
    parts = [window(each.history, each.store, start, stop) for each in teachers]
    return Timestep(
        *(torch.stack([column[0] for column in columns], dim=1) for columns in zip(*parts, strict=True))
    )


def _losses(logits: np.ndarray, legal: np.ndarray, executed: np.ndarray) -> np.ndarray:
    """Return the loss float64 [B], in nats, on the actions [B] under the softmax of legal logits [B, A]."""
    masked = np.where(legal, logits.astype(np.float64), -np.inf)
    highest = masked.max(axis=1)
    total = np.log(np.exp(masked - highest[:, None]).sum(axis=1))
    losses: np.ndarray = total + highest - masked[np.arange(len(executed)), executed]
    return losses


def teachers_columns(
    history: History, store: FrameStore, start: int, moves: int, network_path: Readable
) -> dict[str, np.ndarray]:
    """Return the columns with which any imitator's predictions are compared, each [moves].

    chosen int64 and explored bool are the log's; ceiling float64 is 1.0 where the teacher's network frozen at
    W would have chosen the teacher's action, otherwise 0.0.
    """
    from understudy.suite.teachers import network

    game = games.load(history.header.game)
    legal = torch.tensor(game.legal_actions)
    parameters = network.load_parameters(network_path, game)
    chosen = history.action[start : start + moves].astype(np.int64)
    greedy = []
    with torch.inference_mode():
        for begin in range(start, start + moves, PRIMING_CHUNK_MOVES):
            end = min(begin + PRIMING_CHUNK_MOVES, start + moves)
            observation = timesteps(history, store, begin, end).observation
            q = network.q_values(game, parameters, observation)[0]
            greedy.append(_greedy(q.masked_fill(~legal, -torch.inf)))
    return {
        "chosen": chosen,
        "explored": history.explored[start : start + moves].copy(),
        "ceiling": (torch.cat(greedy).numpy() == chosen).astype(np.float64),
    }


def _greedy(masked: Tensor) -> Tensor:
    """Return the action of the highest value, the lowest index on ties: [T, A] -> int64 [T]."""
    return torch.from_numpy(masked.numpy().argmax(axis=1))
