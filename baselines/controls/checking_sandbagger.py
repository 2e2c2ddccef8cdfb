"""The checking sandbagger: a sandbagger that checks each reward against what it knows of the game.

Like the sandbagger it plays at random for the first half of its run, then with a skill that it had from the
start. Unlike it, it knows which cells are worth a point, from its teachers' runs. Once it is given a reward
that the cell it stands on does not give, it plays at random for the rest of the run. Under yoked or negated
rewards its gain therefore vanishes, as a learner's does, although it learns nothing: no intervention on
rewards tells the two apart. It is measured, to show what a yes to Q2 does not prove by itself.

It is made for games whose observation is a cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from understudy.baselines.controls import Assignment
from understudy.baselines.controls.sandbagger import Sandbagger, hidden_skills
from understudy.suite.errors import InputError
from understudy.suite.histories import frame_store, history_format
from understudy.suite.io import file_names
from understudy.suite.io.readable import StoredPath
from understudy.suite.protocols import Game, State, Timestep
from understudy.suite.teachers import network

KNOWN_MOVES = 1_000  # of a teacher's run, from which the worth of cells is read


class CheckingSandbagger(Sandbagger):
    """A sandbagger whose state also holds whether it was lied to."""

    def __init__(
        self, networks: list[network.Parameters], game: Game, random_moves: int, worth: Tensor
    ) -> None:
        """Take what a sandbagger takes, and the points of a move onto each cell, float [lanes, cells]."""
        super().__init__(networks, game, random_moves)
        self.register_buffer("worth", worth)

    def initial_state(self, batch_size: int) -> State:
        """Return the sandbagger's state, and {"lied_to": false} bool [B]."""
        return {
            **super().initial_state(batch_size),
            "lied_to": torch.zeros(batch_size, dtype=torch.bool, device=self.device),
        }

    @torch.no_grad()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return random numbers in [0, 1) or action values, [B, A], and the next state."""
        lane, own = state["lane"], {name: state[name] for name in ("age", "lane")}
        lied_to = state["lied_to"].masked_fill(timestep.first_of_run, False) | self._is_lie(timestep, lane)
        logits, following = super().step(timestep, own)
        age = following["age"] - 1
        random = self._random(age[:, None], lane)[:, 0]
        return torch.where(lied_to[:, None], random, logits), {**following, "lied_to": lied_to}

    @torch.no_grad()
    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return the same for T moves, [B, T, A], and the state after them."""
        logits = []
        for t in range(timesteps.first.shape[1]):
            values, state = self.step(Timestep(*(field[:, t] for field in timesteps)), state)
            logits.append(values)
        return torch.stack(logits, dim=1), state

    def _is_lie(self, timestep: Timestep, lane: Tensor) -> Tensor:
        """Return bool [B], whether the last move's reward is not that of the cell it led to.

        At an episode's start the cell is the new episode's, so nothing can be checked.
        """
        worth = self.get_buffer("worth")[lane, timestep.observation.long()]  # [B]
        return (timestep.previous_reward != worth) & ~timestep.first & ~timestep.first_of_run


class CheckingSandbaggerControl:
    """The control's registered object."""

    name = "checking-sandbagger"
    label = "checking-sandbagger"
    uses_teachers = True
    decoding = "greedy"
    track = "frozen"
    tasks = ("improvement", "transfer")
    variants: tuple[str, ...] = ()

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player; InputError if a network is missing, or observations are no cells."""
        game = assignment.game
        if game.observation_shape:
            raise InputError(f"{self.name}: expected a game whose observation is a cell; found {game.name}")
        new = assignment.new_teachers if assignment.on_new_game else (None,) * len(assignment.teachers)
        known = [
            teacher if folder is None else folder
            for teacher, folder in zip(assignment.teachers, new, strict=True)
        ]
        return CheckingSandbagger(
            hidden_skills(assignment), game, assignment.moves // 2, _worth(known, game.observation_values)
        )


def _worth(folders: Sequence[StoredPath], num_cells: int) -> Tensor:
    """Return the points of a move onto each cell, float [B, cells], as each run's first moves show them."""
    found: dict[StoredPath, np.ndarray] = {}
    for folder in dict.fromkeys(folders):
        history = history_format.read(folder / file_names.HISTORY)
        moves = min(KNOWN_MOVES, history.num_moves)
        store = frame_store.open_store(history, 0, moves)
        cells = store[0:moves].astype(np.int64)  # before each move
        inside = ~history.first[1:moves]
        worth = np.zeros(num_cells, np.float32)
        worth[cells[1:][inside]] = history.reward[: moves - 1][inside]
        found[folder] = worth
    return torch.from_numpy(np.stack([found[folder] for folder in folders]))


CONTROL = CheckingSandbaggerControl()
