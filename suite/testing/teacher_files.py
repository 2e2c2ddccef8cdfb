"""The files of a teacher's folder that a control reads: a log of given actions, a fresh network at W."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from understudy.suite.histories import format as history_format
from understudy.suite.histories.format import Header, History, Segment
from understudy.suite.protocols import Game
from understudy.suite.teachers import network


def write_log(folder: Path, game: Game, actions: Sequence[int]) -> Path:
    """Write a life of these actions, in which nothing is gained and nothing ends; return its folder."""
    n = len(actions)
    header = Header(game.name, {}, {"kind": "teacher"}, {}, (Segment(0, n, None, 0),), {})
    no = np.zeros(n, bool)
    history = History(header, np.array(actions, np.uint8), np.zeros(n, np.float32), no, no, no)
    history_format.write(folder / "history.parquet", history)
    return folder


def store_network(folder: Path, game: Game, seed: int) -> network.Parameters:
    """Write a fresh network as the one at W; return its parameters [1, ...]."""
    parameters = network.initial_parameters(game, [seed])
    save_file({k: v[0].contiguous() for k, v in parameters.items()}, folder / "network_at_w.safetensors")
    return parameters
