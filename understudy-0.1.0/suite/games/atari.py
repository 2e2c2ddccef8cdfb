"""Atari 2600 through `ale_py.AtariVectorEnv`: 18 actions, sticky actions 0.25, raw points.

Settings as in Machado et al., Revisiting the Arcade Learning Environment (JAIR 2018), but without no-op
starts: the segment's seed determines all randomness.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

import gymnasium

from understudy.suite.errors import InputError
from understudy.suite.games import differing_settings
from understudy.suite.protocols import Game

FRAME_SKIP = 4
STACKED_FRAMES = 4
EPISODE_CAP_MOVES = 27_000
EXPLORATION = 0.01
NUM_ACTIONS = 18
ENVIRONMENT_ARGUMENTS: dict[str, Any] = {
    "max_num_frames_per_episode": EPISODE_CAP_MOVES * FRAME_SKIP,
    "repeat_action_probability": 0.25,
    "full_action_space": True,
    "img_height": 84,
    "img_width": 84,
    "grayscale": True,
    "stack_num": STACKED_FRAMES,
    "frameskip": FRAME_SKIP,
    "maxpool": True,
    "noop_max": 0,
    "episodic_life": False,
    "life_loss_info": False,
    "reward_clipping": False,
    "use_fire_reset": False,
    "autoreset_mode": "SameStep",
}
# Rows of an 84x84 frame in which a game shows its score, found as the rows that change with each reward;
# Breakout also shows the remaining balls there.
SCORE_ROWS = {"breakout": (2, 6), "space_invaders": (4, 8)}
VARIANTS = ("asterix", "breakout", "freeway", "pong", "seaquest", "space_invaders")


class Atari:
    """The Atari family: games whose ROMs come with the package ale-py."""

    mixes_variants = False

    def variants(self) -> tuple[str, ...]:
        """Return the names of the games."""
        return VARIANTS

    @staticmethod
    @cache
    def game(variant: str) -> Game:
        """Return one game; its fingerprint holds the package version, the ROM's MD5 and all arguments."""
        from ale_py import ALEInterface, LoggerMode, roms

        rom_path = roms.get_rom_path(variant)
        if rom_path is None:
            raise InputError(f"ale-py {version('ale-py')} has no ROM of {variant!r}; reinstall ale-py")
        ALEInterface.setLoggerMode(LoggerMode.Error)
        emulator = ALEInterface()
        emulator.loadROM(rom_path)
        minimal = {action.value for action in emulator.getMinimalActionSet()}
        return Game(
            name=f"atari/{variant}",
            observation_shape=(STACKED_FRAMES, 84, 84),
            observation_dtype="uint8",
            observation_values=256,
            stacked_frames=STACKED_FRAMES,
            num_actions=NUM_ACTIONS,
            legal_actions=tuple(action in minimal for action in range(NUM_ACTIONS)),
            episode_cap_moves=EPISODE_CAP_MOVES,
            exploration=EXPLORATION,
            fingerprint={
                "game": f"atari/{variant}",
                "ale-py": version("ale-py"),
                "rom_md5": hashlib.md5(rom_path.read_bytes()).hexdigest(),
                **ENVIRONMENT_ARGUMENTS,
            },
            action_names=tuple(action.name.lower() for action in emulator.getLegalActionSet()),
            score_rows=SCORE_ROWS.get(variant),
        )

    def make(self, variants: Sequence[str], threads: int) -> gymnasium.vector.VectorEnv[Any, Any, Any]:
        """Return one game's vector environment, run by `threads` threads."""
        from ale_py import ALEInterface, AtariVectorEnv, LoggerMode

        if len(set(variants)) != 1:
            raise InputError(
                f"the lanes of one Atari environment play one game; found {sorted(set(variants))}"
            )
        ALEInterface.setLoggerMode(LoggerMode.Error)
        env: gymnasium.vector.VectorEnv[Any, Any, Any] = AtariVectorEnv(
            variants[0], len(variants), num_threads=min(threads, len(variants)), **ENVIRONMENT_ARGUMENTS
        )
        return env

    def comparable(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
        """Return every differing setting but the package's version.

        The version may differ because the checksum of each segment shows whether the pixels do.
        """
        hidden = {"ale-py"}
        strip = [{k: v for k, v in f.items() if k not in hidden} for f in (one, other)]
        return differing_settings(*strip)


FAMILY = Atari()
