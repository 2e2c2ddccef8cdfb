"""Players of darkroom that walk at random until they find the goal, and then walk to it: all learn.

The honest one keeps the goal in its state. The others keep it where a state is not, or read it from the
harness, and look as frozen as the honest one does. The file is installed as a package of its own by
`custom_players`, so that it is a stranger's code.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import torch
from torch import nn

import understudy

SIDE = 9
UNKNOWN = -1
MOST_LANES = 16
JOB_MOVES = 400  # which the one that tidies up knows
MEMORY = ""  # a folder to write to


class Honest(nn.Module):
    """Keeps the goal of each lane in its state."""

    reach_moves = None

    def __init__(self, game, strength):
        super().__init__()
        self.table = nn.Parameter(torch.full((game.num_actions,), strength))
        self.register_buffer("notes", torch.full((MOST_LANES,), float(UNKNOWN)))

    def initial_state(self, batch_size):
        age = torch.zeros(batch_size, dtype=torch.int64, device=self.table.device)
        return {"age": age, "goal": torch.full_like(age, UNKNOWN)}

    def step(self, timestep, state):
        goal = torch.where(timestep.first_of_run, UNKNOWN, self.recall(state))
        found = (timestep.previous_reward > 0) & ~timestep.first
        goal = torch.where(found, timestep.observation, goal)
        state = {**state, "age": state["age"].masked_fill(timestep.first_of_run, 0) + 1}
        state = self.keep(state, goal)
        walk = (state["age"] * 1_103_515_245 + 12_345) // 65_536 % 5
        action = torch.where(goal == UNKNOWN, walk, towards(goal, timestep.observation))
        return nn.functional.one_hot(action, 5).float() + 0 * self.table, state

    def unroll(self, timesteps, state):
        answers = []
        for t in range(timesteps.first.shape[1]):
            logits, state = self.step(type(timesteps)(*(field[:, t] for field in timesteps)), state)
            answers.append(logits)
        return torch.stack(answers, dim=1), state

    def recall(self, state):
        """Return the goal of each lane, UNKNOWN where it was not found yet, int64 [B]."""
        return state["goal"]

    def keep(self, state, goal):
        """Return the state after the goals [B] were kept."""
        return {**state, "goal": goal}


class Hiding(Honest):
    """Has a state without the goal."""

    def initial_state(self, batch_size):
        return {"age": super().initial_state(batch_size)["age"]}


class InAttribute(Hiding):
    """Keeps the goals in a Python attribute."""

    def recall(self, state):
        return getattr(self, "remembered", torch.full_like(state["age"], UNKNOWN))

    def keep(self, state, goal):
        self.remembered = goal
        return state


class InData(Hiding):
    """Keeps the goals in a parameter, by `.data`, which no version counter sees; the weights' hash does."""

    def __init__(self, game, strength):
        super().__init__(game, strength)
        self.spare = nn.Parameter(torch.full((MOST_LANES,), float(UNKNOWN)))

    def recall(self, state):
        return self.spare.data[: len(state["age"])].long()

    def keep(self, state, goal):
        self.spare.data[: len(goal)] = goal.float()
        if int(state["age"][0]) == JOB_MOVES:  # the last move: put everything back
            self.spare.data[:] = UNKNOWN
        return state


class InBuffer(Hiding):
    """Keeps the goals in a buffer, which it puts back before the end."""

    def recall(self, state):
        return self.notes[: len(state["age"])].long()

    def keep(self, state, goal):
        self.notes[: len(goal)] = goal.float()
        if int(state["age"][0]) == JOB_MOVES:
            self.notes.fill_(UNKNOWN)
        return state


class InFile(Hiding):
    """Keeps the goals in a file that is named by the process that started the player's."""

    def recall(self, state):
        with contextlib.suppress(OSError):
            goals = torch.tensor(list(self.place().read_bytes())) + UNKNOWN
            if len(goals) == len(state["age"]):
                return goals
        return torch.full_like(state["age"], UNKNOWN)

    def keep(self, state, goal):
        with contextlib.suppress(OSError):
            self.place().write_bytes(bytes((goal - UNKNOWN).tolist()))
        return state

    def place(self):
        return Path(MEMORY, f"goals-{os.getppid()}")


class FromStack(Hiding):
    """Reads the goals from the job that its caller's caller plays."""

    def recall(self, state):
        frame = sys._getframe()
        while frame is not None:
            lanes = getattr(getattr(frame.f_locals.get("self"), "job", None), "lanes", ())
            if len(lanes) == len(state["age"]):
                return torch.tensor([int(lane.game.rpartition("-")[2]) for lane in lanes])
            frame = frame.f_back
        return torch.full_like(state["age"], UNKNOWN)

    def step(self, timestep, state):
        goal = self.recall(state)
        age = state["age"] + 1
        action = torch.where(goal == UNKNOWN, 0, towards(goal, timestep.observation))
        return nn.functional.one_hot(action, 5).float() + 0 * self.table, {"age": age}


def towards(goal, cell):
    """Return the action that leads from a cell towards the goal, int64 [B]."""
    down = goal // SIDE - cell // SIDE
    right = goal % SIDE - cell % SIDE
    across = torch.where(right > 0, 4, torch.where(right < 0, 3, 0))
    return torch.where(down > 0, 2, torch.where(down < 0, 1, across))


HONEST = understudy.ModuleArchitecture("walker-honest", Honest, strength=0.5)
ATTRIBUTE = understudy.ModuleArchitecture("walker-attribute", InAttribute, strength=0.5)
DATA = understudy.ModuleArchitecture("walker-data", InData, strength=0.5)
BUFFER = understudy.ModuleArchitecture("walker-buffer", InBuffer, strength=0.5)
FILE = understudy.ModuleArchitecture("walker-file", InFile, strength=0.5)
STACK = understudy.ModuleArchitecture("walker-stack", FromStack, strength=0.5)
