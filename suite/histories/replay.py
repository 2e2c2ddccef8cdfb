"""Replay: a life played again from its log, compared with all that was logged; its observations come back."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from understudy.suite import games
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.histories import segments
from understudy.suite.histories.format import History, Segment
from understudy.suite.histories.segments import Report, Tick
from understudy.suite.protocols import Game


def verify(history: History, processes: int | None = None, report: Report = lambda done, total: None) -> None:
    """Replay every segment of a life in `processes` processes (default: all cores).

    Raises:
        InputError: it was recorded under settings that this installation doesn't have.
        CheckFailed: rewards, ends or frames differ from the record; names segment, move, expected and found.
    """
    (difference,) = verify_lives([history], processes, report)
    if difference:
        raise CheckFailed(difference)


def verify_lives(
    histories: Sequence[History],
    processes: int | None = None,
    report: Report = lambda done, total: None,
) -> list[str | None]:
    """Replay every segment of several lives side by side; return for each what differs first, or None.

    Raises InputError where one was recorded under settings that this installation doesn't have.
    """
    for history in histories:
        require_comparable(history)
    places = [
        (life, index)
        for life, history in enumerate(histories)
        for index in segments.overlapping(history, 0, history.num_moves)
    ]
    found = segments.over_segments(_difference, histories, places, processes, report)
    differences: list[list[str]] = [[] for _ in histories]
    for (life, _), difference in zip(places, found, strict=True):
        differences[life] += [difference] if difference else []
    return [
        f"{texts[0]}{f'; {len(texts)} segments differ in all' if texts[1:] else ''}" if texts else None
        for texts in differences
    ]


def segment_frames(history: History, index: int) -> Iterator[np.ndarray]:
    """Yield the newest frame [*frame_shape] before each move of one segment, checking all that was logged.

    Raises:
        InputError: it was recorded under settings that this installation doesn't have.
        CheckFailed: the emulator's rewards, ends or frames differ from the record; names the place.
    """
    require_comparable(history)
    game = games.load(history.header.game)
    segment = history.header.segments[index]
    _check_actions(game, history, index)
    moves = slice(segment.first_move, segment.first_move + segment.length)
    actions = history.action[moves].astype(np.int64)
    logged = [column[moves].tolist() for column in (history.reward, history.terminated, history.truncated)]
    env = games.make([game])
    observation, _ = env.reset(seed=np.array([segment.seed], np.int64))
    crc = 0
    try:
        for offset, expected in enumerate(zip(*logged, strict=True)):
            frame = game.newest_frame(observation)[0]
            crc = zlib.crc32(frame.tobytes(), crc)
            yield frame
            observation, reward, *ended, _ = env.step(actions[offset : offset + 1])
            found = (reward.astype(np.float32).item(), *(flag.item() for flag in ended))
            if found != expected:
                raise CheckFailed(
                    f"{_place(index, segment)}, differs at move {segment.first_move + offset}: reward, "
                    f"terminated, truncated are {_shown(found)}, logged {_shown(expected)}; "
                    f"{_cause(game, history)}"
                )
    finally:
        env.close()
    if crc != segment.crc32:
        raise CheckFailed(
            f"{_place(index, segment)}, shows other frames: CRC-32 {crc:08x}, recorded {segment.crc32:08x}; "
            f"{_cause(game, history)}"
        )


def require_comparable(history: History) -> None:
    """Raise InputError if a history's game is unknown here or has other settings than it was recorded with.

    Package versions may differ: the checksums tell whether the frames do.
    """
    game = games.load(history.header.game)
    differing = games.family(game.family).comparable(history.header.fingerprint, game.fingerprint)
    if differing:
        raise InputError(
            f"{game.name} was recorded with {'; '.join(differing)} here; use the version of understudy that "
            "recorded it, or record it anew"
        )


def _difference(history: History, index: int, tick: Tick) -> str | None:
    """Replay one segment; return what differs from the record."""
    try:
        for _ in segment_frames(history, index):
            tick()
    except CheckFailed as difference:
        return str(difference)
    return None


def _check_actions(game: Game, history: History, index: int) -> None:
    """Raise CheckFailed at the first action that the game doesn't have or doesn't allow."""
    segment = history.header.segments[index]
    allowed = np.zeros(256, bool)
    allowed[: game.num_actions] = game.legal_actions
    actions = history.action[segment.first_move : segment.first_move + segment.length]
    for offset in np.flatnonzero(~allowed[actions])[:1]:
        raise CheckFailed(
            f"{_place(index, segment)}, differs at move {segment.first_move + offset}: action "
            f"{actions[offset]}, expected one of {', '.join(map(str, np.flatnonzero(allowed)))}; "
            "the log was altered"
        )


def _place(index: int, segment: Segment) -> str:
    last = segment.first_move + segment.length - 1
    return f"segment {index} (moves {segment.first_move} to {last}), played again"


def _shown(outcome: tuple[Any, ...]) -> str:
    reward, *flags = outcome
    return f"{reward:g}, {', '.join(str(flag).lower() for flag in flags)}"


def _cause(game: Game, history: History) -> str:
    differing = games.differing_settings(history.header.fingerprint, game.fingerprint)
    return f"it was recorded with {'; '.join(differing)} here" if differing else "the log was altered"
