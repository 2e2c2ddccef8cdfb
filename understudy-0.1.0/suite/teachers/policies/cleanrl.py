"""CleanRL's DQN: the state dict of a QNetwork, whose layers are in one Sequential called `network`.

Source: cleanrl/dqn_atari.py and cleanrl/dqn.py in https://github.com/vwxyzjn/cleanrl
"""

from __future__ import annotations

from pathlib import Path

from understudy.suite.errors import InputError
from understudy.suite.protocols import Game
from understudy.suite.teachers.network import Parameters
from understudy.suite.teachers.policies import _layers, _state_dicts

SEQUENTIAL = "network."


class CleanRL:
    """Files `<run>.cleanrl_model` or `.pth`, written by torch.save from q_network.state_dict()."""

    def load(self, path: Path, game: Game) -> Parameters:
        """Return the Q-network of a checkpoint."""
        if not path.is_file():
            raise InputError(f"{path}: no such file; expected a .cleanrl_model or .pth")
        if path.stat().st_size > _state_dicts.TENSOR_BYTES:
            raise InputError(f"{path}: {path.stat().st_size:,} bytes, far more than a network's")
        state = _state_dicts.read(path.read_bytes(), path)
        others = [name for name in state if not name.startswith(SEQUENTIAL)]
        if others:
            raise InputError(f"{path}: {others[0]!r} is not of a QNetwork; expected {SEQUENTIAL}<number>.*")
        layers = [name.removesuffix(".weight") for name in state if name.endswith(".weight")]
        return _layers.parameters(game, state, layers, path)


POLICY = CleanRL()
