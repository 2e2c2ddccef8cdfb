"""Windows of watched lives to train an imitator on, drawn at random, moves in order inside each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from understudy.suite.errors import InputError
from understudy.suite.histories.format import History
from understudy.suite.histories.frames import FrameStore
from understudy.suite.histories.timesteps import timesteps_of_new_memory
from understudy.suite.protocols import Timestep


class Windows(NamedTuple):
    """Stretches of histories, moves in order; `first_of_life` is true at each one's first move only."""

    timesteps: Timestep  # [B, T, ...]
    actions: Tensor  # [B, T] int64, as executed after each timestep
    explored: Tensor  # [B, T] bool, where exploration chose the action


class WatchedLives:
    """Lives of which the moves [0, watched_moves) may be seen, and no later one is ever read."""

    def __init__(
        self, histories: Sequence[History], stores: Sequence[FrameStore], watched_moves: int
    ) -> None:
        """Take lives of one game family, each with the store of its frames.

        Raises InputError where the lives are of several families, or there are none.
        """
        families = {store.game.family for store in stores}
        if len(families) != 1:
            raise InputError(
                f"watched lives are of one game family; found {', '.join(sorted(families)) or 'no life'}"
            )
        self._lives = list(zip(histories, stores, strict=True))
        self._moves = np.array([min(watched_moves, history.num_moves) for history in histories])  # [L]

    def sample(self, batch_size: int, window_moves: int, rng: np.random.Generator) -> Windows:
        """Return windows [B, T], a function of `rng` and the lives alone.

        Each stretch of T watched moves is equally likely, so lives weigh by their length. InputError if no
        life has so many watched moves.
        """
        starts = np.maximum(self._moves - window_moves + 1, 0)  # [L], possible first moves
        ends = np.cumsum(starts)
        if window_moves < 1 or not ends[-1]:
            raise InputError(
                f"windows of {window_moves} moves: the longest watched life has {self._moves.max()}; "
                "choose shorter windows"
            )
        drawn = rng.integers(ends[-1], size=batch_size)
        lives = np.searchsorted(ends, drawn, side="right")
        firsts = drawn - (ends - starts)[lives]
        return _joined([self._window(*place, window_moves) for place in zip(lives, firsts, strict=True)])

    def _window(self, life: int, start: int, window_moves: int) -> Windows:
        """Return one window [1, T] from move `start` on."""
        history, store = self._lives[life]
        stop = int(start) + window_moves
        return Windows(
            timesteps_of_new_memory(history, store, int(start), stop),
            torch.from_numpy(history.action[start:stop].astype(np.int64))[None],
            torch.from_numpy(history.explored[start:stop].copy())[None],
        )


def _joined(rows: Sequence[Windows]) -> Windows:
    """Return windows [1, T] as one batch [B, T]."""
    parts = zip(*(row.timesteps for row in rows), strict=True)
    return Windows(
        Timestep(*(torch.cat(column) for column in parts)),
        torch.cat([row.actions for row in rows]),
        torch.cat([row.explored for row in rows]),
    )
