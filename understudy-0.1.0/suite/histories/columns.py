"""A history's columns as numpy arrays and as a pandas frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from understudy.suite.histories.history_format import COLUMNS, History

if TYPE_CHECKING:
    import pandas as pd

NAMES = (*COLUMNS, "first")


def arrays(history: History, stop: int | None = None) -> dict[str, np.ndarray]:
    """Return the columns of the moves [0, stop) as read-only arrays [n], and `first`, bool, of each episode.

    `stop` is the run's end if None; give W for the watched moves.
    """
    found = {}
    for name in NAMES:
        found[name] = getattr(history, name)[:stop].copy()  # no view: its base has the later moves
        found[name].flags.writeable = False
    return found


def frame(history: History, stop: int | None = None) -> pd.DataFrame:
    """Return the columns of the moves [0, stop) as a frame, a row a move, with the number of its episode."""
    import pandas as pd

    columns = arrays(history, stop)
    found = pd.DataFrame({name: column.copy() for name, column in columns.items()})
    found.insert(0, "episode", np.cumsum(columns["first"]) - 1)
    found.index.name = "move"
    return found
