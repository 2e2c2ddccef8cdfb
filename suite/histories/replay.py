"""Replay: a history's observations, rebuilt by playing its logged actions through the emulator."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
from understudy.suite import games
from understudy.suite.errors import CheckFailed
from understudy.suite.histories.format import History
from understudy.suite.protocols import Game


def segment_frames(history: History, index: int) -> Iterator[np.ndarray]:
    """Yield the newest frame [*frame_shape] before each move of one segment, checking all that was logged.

    Raises:
        CheckFailed: the emulator's rewards, ends or frames differ from the record; names the place.
    """
    game = games.load(history.header.game)
    segment = history.header.segments[index]
    env = games.make([game])
    observation, _ = env.reset(seed=np.array([segment.seed], np.int64))
    crc = 0
    try:
        for move in range(segment.first_move, segment.first_move + segment.length):
            frame = game.newest_frame(observation)[0]
            crc = zlib.crc32(frame, crc)
            yield frame
            action = history.action[move : move + 1].astype(np.int64)
            observation, reward, terminated, truncated, _ = env.step(action)
            found = (float(np.float32(reward[0])), bool(terminated[0]), bool(truncated[0]))
            logged = (
                float(history.reward[move]),
                bool(history.terminated[move]),
                bool(history.truncated[move]),
            )
            if found != logged:
                raise CheckFailed(
                    f"replay of {game.name} differs at move {move} (segment {index}): reward, terminated, "
                    f"truncated are {found}, logged {logged}"
                )
    finally:
        env.close()
    if crc != segment.crc32:
        raise CheckFailed(
            f"replay of {game.name}, segment {index} (moves {segment.first_move} to "
            f"{segment.first_move + segment.length}), shows other frames: CRC-32 {crc:08x}, recorded "
            f"{segment.crc32:08x}; {_emulator_hint(game, history)}"
        )


def _emulator_hint(game: Game, history: History) -> str:
    differing = games.differing_settings(game.fingerprint, history.header.fingerprint)
    return f"emulator here has {'; '.join(differing)}" if differing else "the log was altered"
