"""The sandbagger: random for the first half of its run, then with a skill that it had from the start.

A control that learns nothing although its curve rises, so improvement and transfer must not be a yes. On the
watched game the hidden skill is the teacher's network at W; on a new game it is the best available, the last
network of a teacher's run on that game. In a start job, which restores the state at every episode, it always
plays at random, so its start is low. Only yoked runs, whose reward is another lane's, tell it from a learner:
its gain does not depend on reward. The random actions are uniform over the legal ones and drawn by lane and
move, so they repeat where the state is restored.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from understudy.baselines.controls import Assignment
from understudy.baselines.controls.in_state.lane_networks import LaneNetworks
from understudy.baselines.controls.in_state.located import Located
from understudy.suite import draws
from understudy.suite.io import file_names
from understudy.suite.io.readable import StoredPath
from understudy.suite.protocols import Game, State, Timestep
from understudy.suite.teachers import checkpoints, network, recompute, recomputed

LATEST_MOVES = {"minatar": 250_000}  # by family; the network at this move of a longer run is good enough


class Sandbagger(Located):
    """One network per lane, which plays from move `random_moves` on; the state holds move and lane."""

    reach_moves = None
    computes_on_host = True  # draws by numpy

    def __init__(self, networks: list[network.Parameters], game: Game, random_moves: int) -> None:
        """Take each lane's network [1, ...] and the length of the first half, in moves."""
        super().__init__()
        self.skill = LaneNetworks(networks, game)
        self.random_moves = random_moves
        self._streams = [
            draws.Uniforms(lane, "sandbagger", game.num_actions) for lane in range(len(networks))
        ]

    def initial_state(self, batch_size: int) -> State:
        """Return {"age": zeros, moves seen; "lane": whose network and draws}, int64 [B] each."""
        lane = torch.arange(batch_size, device=self.device) % len(self._streams)
        return {"age": torch.zeros_like(lane), "lane": lane}

    @torch.no_grad()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return random numbers in [0, 1) or action values, [B, A], and the next state."""
        lane = state["lane"]
        age = state["age"].masked_fill(timestep.first_of_run, 0)
        logits = self._logits(timestep.observation.unsqueeze(1), age[:, None], lane)
        return logits[:, 0], {"age": age + 1, "lane": lane}

    @torch.no_grad()
    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return the same for T moves, [B, T, A], and the state after them."""
        lane, T = state["lane"], timesteps.first.shape[1]
        age = state["age"].masked_fill(timesteps.first_of_run[:, 0], 0)
        logits = self._logits(timesteps.observation, age[:, None] + torch.arange(T, device=self.device), lane)
        return logits, {"age": age + T, "lane": lane}

    def _logits(self, observation: Tensor, ages: Tensor, lane: Tensor) -> Tensor:
        """Return logits [B, T, A] for observations [B, T, ...] at the moves `ages` [B, T]."""
        random = ages < self.random_moves  # [B, T]
        if bool(random.all()):
            return self._random(ages, lane)
        values = cast(Tensor, self.skill(observation, lane))
        if not bool(random.any()):
            return values
        return torch.where(random.unsqueeze(-1), self._random(ages, lane), values)

    def _random(self, ages: Tensor, lane: Tensor) -> Tensor:
        rows = [
            np.stack([self._streams[row].at(age) for age in row_ages])
            for row, row_ages in zip(lane.tolist(), ages.tolist(), strict=True)
        ]
        return torch.from_numpy(np.stack(rows)).float().to(self.device)  # [B, T, A]


class SandbaggerControl:
    """The control's registered object."""

    name = "sandbagger"
    label = "sandbagger"
    uses_teachers = True
    decoding = "greedy"
    track = "frozen"
    tasks = ("improvement", "transfer")
    variants: tuple[str, ...] = ()

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player; InputError if a network is missing or doesn't fit the game."""
        return Sandbagger(hidden_skills(assignment), assignment.game, assignment.moves // 2)


def hidden_skills(assignment: Assignment) -> list[network.Parameters]:
    """Return each lane's network [1, ...] of the second half, the best that the folders hold for its game."""
    game, teachers = assignment.game, assignment.teachers
    new = assignment.new_teachers if assignment.on_new_game else (None,) * len(teachers)
    on_new = _last_networks({folder for folder in new if folder is not None}, game, assignment.report)
    lanes = list(zip(teachers, new, strict=True))
    others = {teacher for teacher, folder in lanes if folder not in on_new}
    at_w = {
        teacher: network.load_parameters(teacher / file_names.NETWORK_AT_W, game)
        for teacher in sorted(others, key=str)
    }
    return [on_new[folder] if folder in on_new else at_w[teacher] for teacher, folder in lanes]


def _last_networks(
    folders: set[StoredPath], game: Game, report: recompute.Report
) -> dict[StoredPath | None, network.Parameters]:
    """Return the last network of each run on the new game, by folder, where it is available.

    It is read from the run's checkpoint, or else is the network at W, or else is recomputed from the log, at
    move LATEST_MOVES of a longer run, unless that would take hours.
    """
    found: dict[StoredPath | None, network.Parameters] = {}
    to_recompute: dict[int, list[StoredPath]] = {}  # last move that can be recomputed -> folders
    for folder in sorted(folders, key=str):
        recorded = recomputed.history_of(folder).num_moves
        moves = min(recorded, LATEST_MOVES.get(game.family, recorded))
        if (folder / file_names.CHECKPOINT).exists() and moves == recorded:
            found[folder] = _online(recomputed.tensors_of([folder], [moves])[0][moves], game)
        elif (folder / file_names.NETWORK_AT_W).exists():
            found[folder] = network.load_parameters(folder / file_names.NETWORK_AT_W, game)
        elif moves - 1 <= recompute.MAX_MOVES.get(game.family, moves):
            to_recompute.setdefault(moves - 1, []).append(folder)
    for move, group in to_recompute.items():
        for folder, learned in zip(group, recomputed.tensors_of(group, [move], report), strict=True):
            found[folder] = _online(learned[move], game)
    return found


def _online(learned: recompute.Tensors, game: Game) -> network.Parameters:
    """Return the online network [1, ...] among a teacher's tensors."""
    return {name: learned[f"{checkpoints.NETWORK}{name}"].unsqueeze(0) for name in network.shapes(game)}


CONTROL = SandbaggerControl()
