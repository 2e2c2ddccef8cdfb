"""Measuring agreement: an imitator's teacher-forced predictions of the teacher's next moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from understudy.suite import games
from understudy.suite.harness.rollout import PRIMING_CHUNK_MOVES, StartState
from understudy.suite.histories.frame_store import FrameStore
from understudy.suite.histories.history_format import History
from understudy.suite.histories.timesteps import timesteps, timesteps_with_empty_memory
from understudy.suite.protocols import Timestep


def measure(
    imitator: Any,
    start_state: StartState,
    history: History,
    store: FrameStore,
    start: int,
    moves: int,
    network_path: Path,
) -> dict[str, np.ndarray]:
    """Return predictions on the moves [start, start + moves) of a teacher's run, each column [moves].

    The columns of `teachers_columns`, and: predicted int64, the most likely legal action; loss_nats float64,
    the loss on the executed action.
    """
    game = games.load(history.header.game)
    fresh = bool(start_state.first_of_run.all())
    window = (timesteps_with_empty_memory if fresh else timesteps)(history, store, start, start + moves)
    legal = torch.tensor(game.legal_actions)
    own = teachers_columns(history, store, start, moves, network_path)
    state, executed = start_state.state, torch.from_numpy(own["chosen"])
    predicted, losses = [], []
    with torch.inference_mode():
        for begin in range(0, moves, PRIMING_CHUNK_MOVES):
            chunk = Timestep(*(column[:, begin : begin + PRIMING_CHUNK_MOVES] for column in window))
            target = executed[begin : begin + PRIMING_CHUNK_MOVES]
            logits, state = imitator.unroll(chunk, state)
            masked = logits[0].masked_fill(~legal, -torch.inf)
            predicted.append(_greedy(masked))
            losses.append(-masked.double().log_softmax(1).gather(1, target[:, None])[:, 0])
    return {**own, "predicted": torch.cat(predicted).numpy(), "loss_nats": torch.cat(losses).numpy()}


def teachers_columns(
    history: History, store: FrameStore, start: int, moves: int, network_path: Path
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
