"""MinAtar: five miniature Atari games from the package `minatar`; a move takes microseconds on a CPU.

The six actions (none, left, up, right, down, fire) mean the same in all games; channels are padded to ten.
Source: Young and Tian, MinAtar: an Atari-inspired testbed (2019), https://github.com/kenjyoung/MinAtar
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from understudy.suite import registry
from understudy.suite.errors import InputError
from understudy.suite.games import differing_settings
from understudy.suite.games._seeding import lanes_and_seeds
from understudy.suite.protocols import Game

OBSERVATION_SHAPE = (10, 10, 10)  # channel, row, column
ACTIONS = ("n", "l", "u", "r", "d", "f")  # the package's letters
ACTION_NAMES = ("none", "left", "up", "right", "down", "fire")
STICKY_ACTION_PROBABILITY = 0.1
EPISODE_CAP_MOVES = 2_500
EXPLORATION = 0.01
# Number of planes that each game uses, of ten. Source: `state_shape()` in the package minatar 1.0.15.
SHOWN_PLANES = {"asterix": 4, "breakout": 4, "freeway": 7, "seaquest": 10, "space_invaders": 6}
# Letters of the actions in each game's minimal set, in the order that `MinAtar/<Game>-v1` numbers them.
# Source: `minimal_action_set()` in the package minatar 1.0.15.
MINIMAL_ACTIONS = {
    "asterix": "nlurd",
    "breakout": "nlr",
    "freeway": "nud",
    "seaquest": "nlurdf",
    "space_invaders": "nlrf",
}
VARIANTS = tuple(SHOWN_PLANES)


class MinAtar:
    """The MinAtar family: the package's five games."""

    mixes_variants = True

    def variants(self) -> tuple[str, ...]:
        """Return the games' names, as in the package."""
        return VARIANTS

    def game(self, variant: str) -> Game:
        """Return one game; its fingerprint holds the package versions and all arguments.

        All six actions are legal in every game, as in the published returns of a random player.
        """
        registry.choose(variant, VARIANTS, "minatar game")
        return Game(
            name=f"minatar/{variant}",
            observation_shape=OBSERVATION_SHAPE,
            observation_dtype="bool",
            observation_values=2,
            stacked_frames=1,
            num_actions=len(ACTIONS),
            legal_actions=(True,) * len(ACTIONS),
            episode_cap_moves=EPISODE_CAP_MOVES,
            exploration=EXPLORATION,
            fingerprint={
                "game": f"minatar/{variant}",
                "minatar": version("minatar"),
                "numpy": version("numpy"),
                "actions": ",".join(ACTIONS),
                "sticky_action_prob": STICKY_ACTION_PROBABILITY,
                "sticky_action_at_start": "n",
                "difficulty_ramping": True,
                "episode_cap_moves": EPISODE_CAP_MOVES,
                "observation": "channel,row,column padded to 10",
            },
            action_names=ACTION_NAMES,
            shown_planes=SHOWN_PLANES[variant],
            package_actions=tuple(map(ACTIONS.index, MINIMAL_ACTIONS[variant])),
        )

    def make(self, variants: Sequence[str], threads: int) -> MinAtarVectorEnv:
        """Return one lane per variant; lanes may play different games. `threads` has no effect."""
        return MinAtarVectorEnv(variants)

    def comparable(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
        """Return every differing setting but the packages' versions.

        Versions may differ because numpy's `RandomState` is frozen, and because the checksum of each segment
        shows whether the frames differ.
        """
        hidden = {"minatar", "numpy"}
        strip = [{k: v for k, v in f.items() if k not in hidden} for f in (one, other)]
        return differing_settings(*strip)


class MinAtarVectorEnv(gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """A vector environment of the package's games: one object per lane, stepped one after another."""

    metadata = {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}  # noqa: RUF012 - gymnasium's form

    def __init__(self, variants: Sequence[str]) -> None:
        """Make one lane per variant; raise InputError for an unknown one."""
        self.num_envs = len(variants)
        self.single_observation_space = gymnasium.spaces.Box(0, 1, OBSERVATION_SHAPE, np.bool_)
        self.single_action_space = gymnasium.spaces.Discrete(len(ACTIONS))
        self.observation_space = gymnasium.vector.utils.batch_space(
            self.single_observation_space, self.num_envs
        )
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, self.num_envs)
        self._lanes = [_Lane(_game_class(variant)) for variant in variants]
        self._lanes_of_game = [
            [lane for lane, v in enumerate(variants) if v == game] for game in set(variants)
        ]

    def reset(
        self, *, seed: int | np.ndarray | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode in all lanes or the masked ones; reseed them if seeds are given.

        Returns the observations of all lanes, bool [B, 10, 10, 10]. Raises InputError for bad seeds, or a
        lane never seeded.
        """
        chosen, seeds = lanes_and_seeds(self.num_envs, seed, options)
        if seeds is not None:
            for lane, lane_seed in zip(chosen, seeds, strict=True):
                self._lanes[lane].seed(int(lane_seed))
        if not all(lane.seeded for lane in self._lanes):
            raise InputError("the first reset must give every lane a seed; found lanes that never had one")
        for lane in chosen:
            self._lanes[lane].start_episode()
        return self._observations(), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Make one move in each lane: actions int [B].

        Returns observations bool [B, 10, 10, 10], rewards float32 [B], terminated and truncated bool [B].
        Where an episode ends, the observation is the next episode's first and `info["final_obs"]` holds the
        last.
        """
        B = self.num_envs
        chosen = actions.tolist()
        if len(chosen) != B or min(chosen) < 0 or max(chosen) >= len(ACTIONS):
            raise InputError(f"expected {B} actions in [0, {len(ACTIONS)}); found {actions!r}")
        rewards = np.zeros(B, dtype=np.float32)
        terminated = np.zeros(B, dtype=np.bool_)
        truncated = np.zeros(B, dtype=np.bool_)
        info: dict[str, Any] = {}
        for i, lane in enumerate(self._lanes):
            reward, over = lane.act(chosen[i])
            if reward:
                rewards[i] = reward
            if over or lane.moves == EPISODE_CAP_MOVES:
                terminated[i], truncated[i] = over, not over
                final_obs = info.setdefault("final_obs", np.zeros((B, *OBSERVATION_SHAPE), dtype=np.bool_))
                lane.write(final_obs[i])
                lane.start_episode()
        if info:
            info["_final_obs"] = terminated | truncated
        return self._observations(), rewards, terminated, truncated, info

    def _observations(self) -> np.ndarray:
        """Return the observations of all lanes, bool [B, 10, 10, 10]."""
        if len(self._lanes_of_game) == 1:
            return _channels_first([lane.state() for lane in self._lanes])
        observations = np.empty((self.num_envs, *OBSERVATION_SHAPE), dtype=np.bool_)
        for lanes in self._lanes_of_game:
            observations[lanes] = _channels_first([self._lanes[lane].state() for lane in lanes])
        return observations


def _channels_first(states: Sequence[np.ndarray]) -> np.ndarray:
    """Return states of one game, each bool [10, 10, C], as one padded batch, bool [B, 10, 10, 10].

    Joining the states' bytes takes a third of the time of `np.stack`.
    """
    rows, columns, channels = states[0].shape
    joined = np.frombuffer(b"".join([state.tobytes() for state in states]), dtype=np.bool_)
    observations = np.zeros((len(states), *OBSERVATION_SHAPE), dtype=np.bool_)
    observations[:, :channels] = joined.reshape(-1, rows, columns, channels).transpose(0, 3, 1, 2)
    return observations


class _Lane:
    """One game with sticky actions, drawn from the game's generator as the package's `Environment` does.

    Unlike there, the last action is cleared at each episode's start: in the package it survives `seed` and
    `reset`, so that a reseeded game depends on the moves before.
    """

    def __init__(self, game_class: Callable[..., Any]) -> None:
        self._game_class = game_class
        self.seeded = False

    def seed(self, seed: int) -> None:
        """Make a new game object, so that no state survives."""
        self._game = self._game_class(ramping=True)
        self._game.random = np.random.RandomState(seed)
        self._draw = self._game.random.random_sample
        self.state: Callable[[], np.ndarray] = self._game.state  # bool [10, 10, C], newly allocated
        self.seeded = True

    def start_episode(self) -> None:
        self._game.reset()
        self._last_action = 0
        self.moves = 0

    def act(self, action: int) -> tuple[float, bool]:
        """Make one move; return its reward and whether the game is over."""
        if self._draw() >= STICKY_ACTION_PROBABILITY:
            self._last_action = action
        self.moves += 1
        reward, over = self._game.act(self._last_action)
        return reward, over

    def write(self, observation: np.ndarray) -> None:
        """Write the state, channels first, into a zeroed bool [10, 10, 10]."""
        state = self.state()
        observation[: state.shape[2]] = state.transpose(2, 0, 1)


@cache
def _game_class(variant: str) -> Callable[..., Any]:
    """Return the package's class of one game without running the package's `__init__`.

    `__init__` imports pyplot and seaborn for a display that isn't used here, which takes seconds.
    """
    registry.choose(variant, VARIANTS, "minatar game")
    package = importlib.util.find_spec("minatar")
    if package is None or not package.submodule_search_locations:
        raise InputError("the package minatar isn't installed; pip install minatar")
    path = Path(package.submodule_search_locations[0]) / "environments" / f"{variant}.py"
    spec = importlib.util.spec_from_file_location(f"minatar.environments.{variant}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise InputError(f"minatar {version('minatar')} has no game {variant!r} at {path}; reinstall minatar")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    game_class: Callable[..., Any] = module.Env
    return game_class


FAMILY = MinAtar()
