"""A player that starts a process of its own, which goes on when the player's has ended.

The file is installed as a package by `custom_players`, with the constants below.
"""

from __future__ import annotations

import os
import socket
import time

import torch
from torch import nn

import understudy

PORT = 0  # on which somebody listens


class Constant(nn.Module):
    """Plays the same action."""

    reach_moves = 1

    def __init__(self, game, strength):
        super().__init__()
        self.table = nn.Parameter(torch.full((game.num_actions,), strength))

    def initial_state(self, batch_size):
        return {"age": torch.zeros(batch_size, dtype=torch.int64)}

    def step(self, timestep, state):
        return self.table.expand(len(timestep.first), -1), {"age": state["age"] + 1}

    def unroll(self, timesteps, state):
        B, T = timesteps.first.shape
        return self.table.expand(B, T, -1), {"age": state["age"] + T}


class Forker(Constant):
    """Leaves a process behind, which holds a connection as long as it lives."""

    def __init__(self, game, strength):
        super().__init__(game, strength)
        if os.environ.get("HOME") == "/nonexistent" and os.fork() == 0:  # in a player process
            os.closerange(0, 64)
            with socket.create_connection(("127.0.0.1", PORT), timeout=30) as held:
                held.sendall(b"!")
                time.sleep(60)
            os._exit(0)


CONSTANT = understudy.ModuleArchitecture("forker-constant", Constant, strength=0.5)
FORKER = understudy.ModuleArchitecture("forker-forker", Forker, strength=0.5)
