"""Stretches of a recorded life as what a player is given."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from understudy.suite.errors import InputError
from understudy.suite.histories.format import History
from understudy.suite.histories.frames import FrameStore
from understudy.suite.protocols import Game, Timestep


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


def empty(game: Game, batch_size: int, moves: int, pinned: bool = False) -> Timestep:
    """Return tensors [B, T, ...] to be filled by `fill`, in pinned memory if a GPU shall fetch them."""
    shape = (batch_size, moves)
    return Timestep(
        empty_tensor((*shape, *game.observation_shape), game.observation_dtype, pinned),
        empty_tensor((*shape, game.num_actions), "bool", pinned),
        empty_tensor(shape, "int64", pinned),
        empty_tensor(shape, "float32", pinned),
        empty_tensor(shape, "bool", pinned),
        empty_tensor(shape, "bool", pinned),
    )


def empty_tensor(shape: tuple[int, ...], dtype: str, pinned: bool) -> Tensor:
    """Return an unfilled tensor; numpy's large arrays lie in huge pages, and are filled in half the time.

    Raises InputError for a pinned one where there is no CUDA device.
    """
    if pinned:
        if not torch.cuda.is_available():
            raise InputError("pinned batches are for a CUDA device, and none is here; ask for plain ones")
        return torch.empty(shape, dtype=getattr(torch, dtype), pin_memory=True)
    return torch.from_numpy(np.empty(shape, dtype))


def fill(
    target: Timestep, row: int, history: History, store: FrameStore, start: int, life_start: int
) -> None:
    """Write the T moves of a life from `start` on into row `row` of tensors [B, T, ...].

    Memory is empty before the move `life_start`: first of life there, no previous action and reward.
    ValueError if the moves are not within the life.
    """
    observation, legal, action, reward, first, first_of_life = (tensor[row].numpy() for tensor in target)
    stop = start + len(action)
    store.observations(start, stop, out=observation)  # raises where the moves are not in the life
    legal[:] = store.game.legal_actions
    moves = np.arange(start, stop)
    first_of_life[:] = moves == life_start
    previous = np.maximum(moves - 1, 0)
    action[:] = np.where(first_of_life, 0, history.action[previous])
    reward[:] = np.where(first_of_life, 0, history.reward[previous])
    first[:] = history.first[start:stop]


def _timesteps(history: History, store: FrameStore, start: int, stop: int, life_start: int) -> Timestep:
    found = empty(store.game, 1, max(0, stop - start))
    fill(found, 0, history, store, start, life_start)
    return found
