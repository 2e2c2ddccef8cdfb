"""Recorded runs' actions played through the emulator alone: what a replay can't do without."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from understudy.suite import games
from understudy.suite.histories.history_format import History


def one_after_another(histories: Sequence[History]) -> None:
    """Play each history's first segment in an environment of its own."""
    for history in histories:
        in_lock_step([history])


def in_lock_step(histories: Sequence[History]) -> None:
    """Play the first segments of all as lanes of one environment; a shorter one's last move is repeated."""
    lanes = [history.header.segments[0] for history in histories]
    env = games.make([games.load(history.header.game) for history in histories])
    env.reset(seed=np.array([segment.seed for segment in lanes]))
    for move in range(max(segment.length for segment in lanes)):
        rows = [min(move, segment.length - 1) for segment in lanes]
        env.step(np.array([h.action[row] for h, row in zip(histories, rows, strict=True)], np.int64))
    env.close()
