"""Teachers' networks in a control: one per lane, evaluated for rows in any order of lanes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from understudy.suite.protocols import Game
from understudy.suite.teachers import network


class LaneNetworks(nn.Module):
    """Evaluates each row's own network; a network that all lanes share is stored and evaluated once."""

    def __init__(self, networks: Sequence[network.Parameters], game: Game) -> None:
        """Take each lane's network [1, ...]; lanes that share a network pass the same object."""
        super().__init__()
        self.game = game
        shared = all(each is networks[0] for each in networks)
        held = networks[:1] if shared else networks
        self._names = {name: name.replace(".", "_") for name in networks[0]}
        for name, buffer in self._names.items():
            self.register_buffer(buffer, torch.cat([each[name] for each in held]))  # [S, ...]
        self._in_order = list(range(len(held)))

    def forward(self, observation: Tensor, lane: Tensor) -> Tensor:
        """Return outputs [B, T, A] for observations [B, T, ...] of the lanes [B], int64."""
        held = {name: self.get_buffer(buffer) for name, buffer in self._names.items()}
        if len(self._in_order) == 1:
            B, T = observation.shape[:2]
            return network.q_values(self.game, held, observation.flatten(0, 1).unsqueeze(0)).view(B, T, -1)
        if lane.device.type != "cpu" or lane.tolist() != self._in_order:  # elsewhere, reading it would wait
            held = {name: tensor[lane] for name, tensor in held.items()}
        return network.q_values(self.game, held, observation)
