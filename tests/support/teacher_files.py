"""Write the files in a teacher's folder that controls read: a log of given actions, a network at W."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from understudy.suite.histories import history_format
from understudy.suite.histories.history_format import Header, History, Segment
from understudy.suite.protocols import Game
from understudy.suite.teachers import network


def write_log(folder: Path, game: Game, actions: Sequence[int]) -> Path:
    """Write a run of these actions, without rewards and ends of episodes; return its folder."""
    n = len(actions)
    header = Header(game.name, {}, {"kind": "teacher"}, {}, (Segment(0, n, None, 0),), {})
    no = np.zeros(n, bool)
    history = History(header, np.array(actions, np.uint8), np.zeros(n, np.float32), no, no, no)
    history_format.write(folder / "history.parquet", history)
    return folder


def store_network(folder: Path, game: Game, seed: int) -> network.Parameters:
    """Write an initial network as the network at W; return its parameters [1, ...]."""
    parameters = network.initial_parameters(game, [seed])
    save_file({k: v[0].contiguous() for k, v in parameters.items()}, folder / "network_at_w.safetensors")
    return parameters
