"""Windows of a recorded run as the timesteps that a player is given."""

from __future__ import annotations

import itertools
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from understudy.suite.errors import InputError
from understudy.suite.histories.frame_store import FrameStore
from understudy.suite.histories.history_format import History
from understudy.suite.protocols import Game, Timestep


class Observations(Protocol):
    """The observations of a run, as a `FrameStore` has them."""

    @property
    def game(self) -> Game:
        """The run's game."""

    def observations(self, start: int, stop: int, out: np.ndarray) -> np.ndarray:
        """Write the observations [T, *observation_shape] before the moves [start, stop) into `out`."""


def timesteps(history: History, store: FrameStore, start: int, stop: int) -> Timestep:
    """Return the timesteps of the moves [start, stop) as they were played, tensors [1, T, ...].

    `first_of_run` is true at move 0 of the run only. Raises ValueError if the moves are not within the run.
    """
    return _timesteps(history, store, start, stop, run_start=0)


def timesteps_with_empty_memory(history: History, store: FrameStore, start: int, stop: int) -> Timestep:
    """Return the timesteps of the moves [start, stop) for a player with empty memory, tensors [1, T, ...].

    `first_of_run` is true at the first timestep, where previous action and reward are 0; `first` is true
    where an episode began. Raises ValueError if the moves are not within the run.
    """
    return _timesteps(history, store, start, stop, run_start=start)


def empty(game: Game, batch_size: int, moves: int, pinned: bool = False) -> Timestep:
    """Return uninitialised timesteps [B, T, ...] for `fill`, in pinned memory if `pinned`."""
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
    """Return an uninitialised tensor, allocated by numpy: huge pages halve the time to fill a large one.

    Raises InputError if it shall be pinned and there is no CUDA device.
    """
    if pinned:
        if not torch.cuda.is_available():
            raise InputError("pinned batches need a CUDA device, found none; use pinned=False")
        return torch.empty(shape, dtype=getattr(torch, dtype), pin_memory=True)
    return torch.from_numpy(np.empty(shape, dtype))


def fill(
    target: Timestep, row: int, history: History, store: Observations, moves: np.ndarray, run_start: int
) -> None:
    """Write the moves int [T] of a run, in ascending order, into row `row` of tensors [B, T, ...].

    Moves that are left out are as if they had not been played: previous action and reward are those of the
    move before in `moves`. The memory is empty before the move `run_start`: `first_of_run` is true there, and
    previous action and reward are 0. Raises ValueError if the moves are not within the run.
    """
    observation, legal, action, reward, first, first_of_run = (tensor[row].numpy() for tensor in target)
    breaks = np.flatnonzero(np.diff(moves) != 1) + 1
    for begin, end in itertools.pairwise((0, *breaks.tolist(), len(moves))):
        if begin < end:
            start = int(moves[begin])
            store.observations(start, start + end - begin, out=observation[begin:end])  # raises outside
    legal[:] = store.game.legal_actions
    first_of_run[:] = moves == run_start
    previous = np.concatenate((np.maximum(moves[:1] - 1, 0), moves[:-1]))
    action[:] = np.where(first_of_run, 0, history.action[previous])
    reward[:] = np.where(first_of_run, 0, history.reward[previous])
    first[:] = history.first[moves]


def _timesteps(history: History, store: FrameStore, start: int, stop: int, run_start: int) -> Timestep:
    if not 0 <= start <= stop <= history.num_moves:
        raise ValueError(f"moves [{start}, {stop}) are not within this run of {history.num_moves} moves")
    found = empty(store.game, 1, stop - start)
    fill(found, 0, history, store, np.arange(start, stop), run_start)
    return found
