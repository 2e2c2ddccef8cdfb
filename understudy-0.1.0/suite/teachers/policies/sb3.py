"""Stable-Baselines3's DQN: a zip in which `policy.pth` holds the policy's state dict.

The zip's `data`, JSON with pickles inside, is not read.
Source: stable_baselines3/common/save_util.py, dqn/policies.py and common/torch_layers.py in
https://github.com/DLR-RM/stable-baselines3
"""

from __future__ import annotations

from pathlib import Path

from understudy.suite.errors import InputError
from understudy.suite.protocols import Game
from understudy.suite.teachers.network import Parameters
from understudy.suite.teachers.policies import _layers, _state_dicts, _zips

POLICY_FILE = "policy.pth"
ONLINE = "q_net."  # beside q_net_target


class StableBaselines3:
    """Zips written by DQN.save."""

    def load(self, path: Path, game: Game) -> Parameters:
        """Return the online Q-network of a saved DQN."""
        state = _state_dicts.read(_policy_bytes(path), f"{path}: {POLICY_FILE}")
        layers = [
            name.removesuffix(".weight")
            for name in state
            if name.startswith(ONLINE) and name.endswith(".weight")
        ]
        if not layers:
            raise InputError(
                f"{path}: no {ONLINE}* in {POLICY_FILE}, found {', '.join(list(state)[:3])}; "
                "expected the zip of a DQN"
            )
        return _layers.parameters(game, state, layers, path)


def _policy_bytes(path: Path) -> bytes:
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected the zip that DQN.save writes")
    if path.stat().st_size > _state_dicts.TENSOR_BYTES:
        raise InputError(f"{path}: {path.stat().st_size:,} bytes, far more than a network's")
    with _zips.opened(path.read_bytes(), path) as archive:
        if POLICY_FILE not in archive.namelist():
            raise InputError(f"{path}: no {POLICY_FILE} in it; expected the zip that DQN.save writes")
        info = archive.getinfo(POLICY_FILE)
        if info.file_size > _state_dicts.TENSOR_BYTES:
            raise InputError(f"{path}: {POLICY_FILE} has {info.file_size:,} bytes, far more than a network's")
        return archive.read(info)


POLICY = StableBaselines3()
