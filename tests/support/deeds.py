"""A player that tries, at each of its moves, something that a player process must not do.

`DEEDS` has them in order; the logit of action 1 is 1 where it worked. The file is installed as a package by
`custom_players`, with the constants below.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
from pathlib import Path

import torch
from torch import nn

import understudy

COMMAND = b""  # line of its parent
PORT = 0  # on which somebody listens
SUBMISSION = ""  # its folder, beside which a file lies


def reads_its_own_files():
    return Path(SUBMISSION, "all", "config.json").read_bytes()


def reads_beside_its_files():
    return Path(SUBMISSION).parent.joinpath("secret").read_bytes()


def reads_teachers_runs():
    import understudy.suite

    return os.listdir(Path(understudy.suite.__file__).parent / "data")


def reads_variables():
    return os.environ["HF_TOKEN"]


def sees_its_parent():
    commands = (Path("/proc", number, "cmdline") for number in os.listdir("/proc") if number.isdecimal())
    return any(command.read_bytes() == COMMAND for command in commands)


def connects():
    with socket.create_connection(("127.0.0.1", PORT), timeout=5):
        return True


def writes_a_file():
    return Path(SUBMISSION).parent.joinpath("written").write_bytes(b"done")


def writes_beside_its_weights():
    return Path(SUBMISSION, "written").write_bytes(b"done")


def raises_a_limit():
    resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 14, 1 << 14))
    return True


def takes_memory():
    return torch.ones(20 << 30, dtype=torch.uint8).numel()


def prints_a_lot():
    return os.write(2, b"x" * 100_000) + os.write(2, b"x" * 100_000) > 150_000


def opens_many_files():
    return [os.open(os.devnull, os.O_RDONLY) for _ in range(1_000)]


DEEDS = (
    reads_its_own_files,
    reads_beside_its_files,
    reads_teachers_runs,
    reads_variables,
    sees_its_parent,
    connects,
    writes_a_file,
    writes_beside_its_weights,
    raises_a_limit,
    takes_memory,
    prints_a_lot,
    opens_many_files,
)


class Doer(nn.Module):
    """Does one deed a move."""

    reach_moves = None

    def __init__(self, game, strength):
        super().__init__()
        self.table = nn.Parameter(torch.full((game.num_actions,), strength))

    def initial_state(self, batch_size):
        return {"age": torch.zeros(batch_size, dtype=torch.int64)}

    def step(self, timestep, state):
        worked = False
        with contextlib.suppress(Exception):
            worked = bool(DEEDS[int(state["age"][0])]())
        logits = torch.zeros(len(timestep.first), 5)
        logits[:, 1] = float(worked)
        return logits, {"age": state["age"] + 1}

    def unroll(self, timesteps, state):
        raise NotImplementedError


DOER = understudy.ModuleArchitecture("doer", Doer, strength=0.5)
