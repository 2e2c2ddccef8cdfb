"""The hash of a run's first moves, by which watched and pinned data are named."""

from __future__ import annotations

import hashlib

import numpy as np

from understudy.suite.histories import history_format
from understudy.suite.histories.history_format import History
from understudy.suite.io import files


def sha256(history: History, moves: int) -> str:
    """Return the SHA-256 of a run's moves [0, moves): the game, the number, each column's bytes in order.

    It stays the same when the run is continued beyond them, unlike `content_sha256`, and does not depend on
    the header: two runs of equal actions, rewards and ends have the same hash, whatever they are called.
    """
    digest = hashlib.sha256(files.canonical_json([history.header.game, moves]).encode())
    for name, dtype in history_format.COLUMNS.items():
        column = getattr(history, name)[:moves]
        digest.update(f"\n{name} {dtype}\n".encode())
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()
