"""Dark room: a 9x9 grid with a hidden goal, where in-context learning is known to be possible.

A player observes its cell but not the goal; each move that ends on the goal is worth a point.
Source: Laskin et al., In-context reinforcement learning with algorithm distillation (ICLR 2023); there
each episode starts in the middle, here in a uniformly drawn cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from understudy.suite import registry
from understudy.suite.errors import InputError
from understudy.suite.games import differing_settings
from understudy.suite.games._seeding import lanes_and_seeds
from understudy.suite.protocols import Game

SIDE = 9
NUM_CELLS = SIDE * SIDE
ACTIONS = ("stay", "up", "down", "left", "right")
EPISODE_CAP_MOVES = 20
EXPLORATION = 0.1
RULES_VERSION = 1  # increase it with any change of dynamics, rewards or draws, which breaks replays


class DarkRoom:
    """The family: one game per goal cell, `goal-00` ... `goal-80`, numbered row by row from the top left."""

    mixes_variants = True

    def variants(self) -> tuple[str, ...]:
        """Return the names of the 81 goals."""
        return tuple(f"goal-{cell:02d}" for cell in range(NUM_CELLS))

    def game(self, variant: str) -> Game:
        """Return one game; its fingerprint holds every constant of the rules."""
        return Game(
            name=f"darkroom/{variant}",
            observation_shape=(),
            observation_dtype="int64",
            observation_values=NUM_CELLS,
            stacked_frames=1,
            num_actions=len(ACTIONS),
            legal_actions=(True,) * len(ACTIONS),
            episode_cap_moves=EPISODE_CAP_MOVES,
            exploration=EXPLORATION,
            fingerprint={
                "game": f"darkroom/{variant}",
                "rules_version": RULES_VERSION,
                "side": SIDE,
                "goal": self._goal(variant),
                "actions": ",".join(ACTIONS),
                "episode_cap_moves": EPISODE_CAP_MOVES,
                "start": "uniform, splitmix64 of (seed, episode)",
            },
            action_names=ACTIONS,
        )

    def make(self, variants: Sequence[str], threads: int) -> DarkRoomVectorEnv:
        """Return one lane per variant; lanes may have different goals. `threads` has no effect."""
        return DarkRoomVectorEnv(np.array([self._goal(variant) for variant in variants]))

    def comparable(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
        """Return every differing setting; each of them changes the game."""
        return differing_settings(one, other)

    def _goal(self, variant: str) -> int:
        return int(registry.choose(variant, self.variants(), "darkroom game").removeprefix("goal-"))


class DarkRoomVectorEnv(gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """All lanes at once in numpy; a lane's run is a function of its goal, its seed and its actions."""

    metadata = {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}  # noqa: RUF012 - gymnasium's form

    def __init__(self, goals: np.ndarray) -> None:
        """Take the goal cells, int64 [B]."""
        self.num_envs = len(goals)
        self.single_observation_space = gymnasium.spaces.Discrete(NUM_CELLS)
        self.single_action_space = gymnasium.spaces.Discrete(len(ACTIONS))
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, len(goals))
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, len(goals))
        self._goals = goals
        self._seeds = np.full(len(goals), -1)  # -1: not seeded yet
        self._episodes = np.zeros(len(goals), dtype=np.int64)
        self._moves = np.zeros(len(goals), dtype=np.int64)  # since the episode's start
        self._cells = np.full(len(goals), NUM_CELLS)  # no cell, so that step before reset is an IndexError

    def reset(
        self, *, seed: int | np.ndarray | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode in all lanes or the masked ones; reseed them if seeds are given.

        Returns the cells of all lanes, int64 [B]. Raises InputError for bad seeds, or a lane never seeded.
        """
        lanes, seeds = lanes_and_seeds(self.num_envs, seed, options)
        if seeds is not None:
            self._seeds[lanes] = seeds
            self._episodes[lanes] = -1
        if (self._seeds < 0).any():
            raise InputError("the first reset must give every lane a seed; found lanes that never had one")
        self._start_episode(lanes)
        return self._cells.copy(), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Make one move in each lane: actions int [B].

        Returns cells int64 [B], rewards float32 [B], terminated (never) and truncated bool [B]. Where an
        episode ends, the cell is the next episode's start and `info["final_obs"]` int64 [B] holds the last.
        """
        if len(actions) != self.num_envs or actions.min() < 0 or actions.max() >= len(ACTIONS):
            raise InputError(f"expected {self.num_envs} actions in [0, {len(ACTIONS)}); found {actions!r}")
        self._cells = NEXT_CELL[actions, self._cells]  # [B]
        rewards = (self._cells == self._goals).astype(np.float32)
        self._moves += 1
        truncated = self._moves == EPISODE_CAP_MOVES
        info: dict[str, Any] = {}
        if truncated.any():
            info = {"final_obs": np.where(truncated, self._cells, 0), "_final_obs": truncated.copy()}
            self._start_episode(np.flatnonzero(truncated))
        return self._cells.copy(), rewards, np.zeros(self.num_envs, dtype=np.bool_), truncated, info

    def _start_episode(self, lanes: np.ndarray) -> None:
        self._episodes[lanes] += 1
        self._moves[lanes] = 0
        self._cells[lanes] = start_cells(self._seeds[lanes], self._episodes[lanes])


def start_cells(seeds: np.ndarray, episodes: np.ndarray) -> np.ndarray:
    """Return the start cells int64 [...] of episodes (0, 1, 2, ...) of lanes, uniform over the grid.

    The high 32 bits of a hash of (seed, episode) are scaled to a cell; the bias is below 2e-8.
    """
    keys = _splitmix64(seeds.astype(np.uint64)) + episodes.astype(np.uint64)
    high_bits = _splitmix64(keys) >> np.uint64(32)
    return ((high_bits * np.uint64(NUM_CELLS)) >> np.uint64(32)).astype(np.int64)


def _splitmix64(numbers: np.ndarray) -> np.ndarray:
    """Return SplitMix64's output for each state, uint64 [...], modulo 2^64.

    Source: Steele, Lea and Flood, Fast splittable pseudorandom number generators (OOPSLA 2014);
    constants of https://prng.di.unimi.it/splitmix64.c
    """
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _next_cells() -> np.ndarray:
    """Return the cell after each action in each cell, int64 [A, 81]; a move into a wall has no effect."""
    row, column = np.divmod(np.arange(NUM_CELLS), SIDE)
    steps = {"stay": (0, 0), "up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
    moved = [
        (np.clip(row + steps[name][0], 0, SIDE - 1), np.clip(column + steps[name][1], 0, SIDE - 1))
        for name in ACTIONS
    ]
    return np.stack([new_row * SIDE + new_column for new_row, new_column in moved])


NEXT_CELL = _next_cells()
FAMILY = DarkRoom()
