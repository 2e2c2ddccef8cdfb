"""Stretches of a recorded life as the tensors that a player is given."""

from __future__ import annotations

import numpy as np
import torch

from understudy.suite.histories.format import History
from understudy.suite.histories.frames import FrameStore
from understudy.suite.protocols import Timestep


def timesteps(history: History, store: FrameStore, start: int, stop: int) -> Timestep:
    """Return the moves [start, stop) of a life as they were lived, tensors [1, T, ...].

    `first_of_life` is true at move 0 of the life only. ValueError if the moves are not within the life.
    """
    return _timesteps(history, store, start, stop, life_start=0)


def timesteps_of_new_memory(history: History, store: FrameStore, start: int, stop: int) -> Timestep:
    """Return the moves [start, stop) for a player whose memory is empty before them, tensors [1, T, ...].

    `first_of_life` is true at the first timestep, where previous action and reward are 0; `first` is true
    where an episode began. ValueError if the moves are not within the life.
    """
    return _timesteps(history, store, start, stop, life_start=start)


def _timesteps(history: History, store: FrameStore, start: int, stop: int, life_start: int) -> Timestep:
    moves = np.arange(start, stop)
    observation = store.observations(start, stop)  # [T, ...]; raises where the moves are not in the life
    legal = np.array(store.game.legal_actions)
    first_of_life = moves == life_start
    previous = np.maximum(moves - 1, 0)
    columns = (
        observation,
        np.broadcast_to(legal, (len(moves), len(legal))).copy(),
        np.where(first_of_life, 0, history.action[previous].astype(np.int64)),
        np.where(first_of_life, np.float32(0), history.reward[previous]),
        history.first[start:stop].copy(),
        first_of_life,
    )
    return Timestep(*(torch.from_numpy(column)[None] for column in columns))
