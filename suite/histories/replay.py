"""Replay: a life played again from its log, compared with all that was logged; its observations come back."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from understudy.suite import games
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.histories import segments
from understudy.suite.histories.format import History
from understudy.suite.histories.segments import RUN_MOVES, Place, Report, Tick
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
    found = segments.over_segments(_differences, histories, places, processes, report)
    differences: list[list[str]] = [[] for _ in histories]
    for (life, _), difference in zip(places, found, strict=True):
        differences[life] += [difference] if difference else []
    return [
        f"{texts[0]}{f'; {len(texts)} segments differ in all' if texts[1:] else ''}" if texts else None
        for texts in differences
    ]


class Stretch(NamedTuple):
    """What a wave shows of one segment: its next moves, or what differs from the record."""

    place: int  # position in the wave
    frames: (
        np.ndarray
    )  # [n, *frame_shape], the newest frame before each of the moves; overwritten by the next run
    difference: str | None  # what differs first; the segment is played no further


def play(histories: Sequence[History], wave: Sequence[Place]) -> Iterator[Stretch]:
    """Play segments in lock-step, one a lane, and check all that was logged.

    Each segment's stretches come in order, RUN_MOVES moves long, the last one shorter. Where something
    differs a last, empty one says so. The wave's games are of one environment (`segments.waves`).

    Raises InputError where one was recorded under settings that this installation doesn't have.
    """
    lanes = [_Lane(histories[life], index) for life, index in wave]
    for position, lane in enumerate(lanes):
        if difference := lane.forbidden_action():
            yield Stretch(position, lane.no_frames, difference)
    longest = max(lane.segment.length for lane in lanes)
    game = lanes[0].game
    buffer = np.empty((len(lanes), RUN_MOVES, *game.frame_shape), game.observation_dtype)
    env = games.make([lane.game for lane in lanes])
    try:
        observation, _ = env.reset(seed=np.array([lane.segment.seed for lane in lanes], np.int64))
        for begin in range(0, longest, RUN_MOVES):
            if not any(lane.playing for lane in lanes):
                return
            n = min(RUN_MOVES, longest - begin)
            actions = np.stack([lane.actions(begin, n) for lane in lanes], axis=1)  # [n, B]
            outcomes = []
            for move in range(n):
                buffer[:, move] = game.newest_frame(observation)
                observation, *outcome, _ = env.step(actions[move])
                outcomes.append(outcome)
            found = [np.stack(column, axis=1) for column in zip(*outcomes, strict=True)]  # 3 x [B, n]
            for position, lane in enumerate(lanes):
                if lane.playing and begin < lane.segment.length:
                    yield from _compared(
                        position, lane, begin, buffer[position], [c[position] for c in found]
                    )
    finally:
        env.close()


def require_comparable(history: History) -> None:
    """Raise InputError if a history's game is unknown here or has other settings than it was recorded with.

    Package versions may differ: the checksums tell whether the frames do.
    """
    if not history.has_seeds:
        origin = history.header.fingerprint.get("imported_from", "elsewhere")
        raise InputError(
            f"a life of {history.header.game} imported from {origin} has no seeds: it can't be replayed, and "
            "its frames come from the import alone; import it again if they are gone"
        )
    game = games.load(history.header.game)
    differing = games.family(game.family).comparable(history.header.fingerprint, game.fingerprint)
    if differing:
        raise InputError(
            f"{game.name} was recorded with {'; '.join(differing)} here; use the version of understudy that "
            "recorded it, or record it anew"
        )


def _differences(histories: Sequence[History], wave: Sequence[Place], tick: Tick) -> list[str | None]:
    """Replay a wave of segments; return what differs first from the record of each."""
    found: list[str | None] = [None] * len(wave)
    for stretch in play(histories, wave):
        found[stretch.place] = stretch.difference
        tick(len(stretch.frames))
    return found


class _Lane:
    """One segment being played again."""

    def __init__(self, history: History, index: int) -> None:
        self.history, self.index = history, index
        self.segment = history.header.segments[index]
        self.game = games.load(history.header.game)
        self.no_frames = np.empty((0, *self.game.frame_shape), self.game.observation_dtype)
        self.playing = True
        self.crc = 0
        self._moves = slice(self.segment.first_move, self.segment.first_move + self.segment.length)
        self._idle_action = self.game.legal_actions.index(True)

    def actions(self, begin: int, n: int) -> np.ndarray:
        """Return the actions of its moves [begin, begin + n), int64 [n]; a legal one after its end."""
        if not self.playing:
            return np.full(n, self._idle_action, np.int64)
        held = self.history.action[self._moves][begin : begin + n].astype(np.int64)
        return np.pad(held, (0, n - len(held)), constant_values=self._idle_action)

    def forbidden_action(self) -> str | None:
        """Return where the first action is that the game doesn't have or doesn't allow, and stop playing."""
        allowed = np.zeros(256, bool)
        allowed[: self.game.num_actions] = self.game.legal_actions
        actions = self.history.action[self._moves]
        for offset in np.flatnonzero(~allowed[actions])[:1]:
            self.playing = False
            return (
                f"{self.place}, differs at move {self.segment.first_move + offset}: "
                f"action {actions[offset]}, expected one of {', '.join(map(str, np.flatnonzero(allowed)))}; "
                "the log was altered"
            )
        return None

    def other_outcome(self, begin: int, found: Sequence[np.ndarray]) -> tuple[int, str] | None:
        """Return the first move found, of 3 x [n], whose reward or end is not the logged one, in words."""
        start = self.segment.first_move + begin
        moves = slice(start, start + len(found[0]))
        logged = [
            column[moves] for column in (self.history.reward, self.history.terminated, self.history.truncated)
        ]
        differs = np.any([one != other for one, other in zip(found, logged, strict=True)], axis=0)
        for offset in np.flatnonzero(differs)[:1]:
            shown, expected = (_shown([column[offset].item() for column in part]) for part in (found, logged))
            return int(offset), (
                f"{self.place}, differs at move {start + offset}: reward, terminated, truncated are {shown}, "
                f"logged {expected}; {_cause(self.game, self.history)}"
            )
        return None

    def other_frames(self) -> str | None:
        """Return how the checksum of all frames differs from the recorded one."""
        if self.crc == self.segment.crc32:
            return None
        return (
            f"{self.place}, shows other frames: CRC-32 {self.crc:08x}, recorded {self.segment.crc32:08x}; "
            f"{_cause(self.game, self.history)}"
        )

    @property
    def place(self) -> str:
        """The segment in words."""
        first = self.segment.first_move
        return f"segment {self.index} (moves {first} to {first + self.segment.length - 1}), played again"


def _compared(
    position: int, lane: _Lane, begin: int, frames: np.ndarray, outcomes: Sequence[np.ndarray]
) -> Iterator[Stretch]:
    """Yield what a run [RUN_MOVES, ...] from move `begin` of a lane's segment on shows, outcomes 3 x [n]."""
    held = min(len(outcomes[0]), lane.segment.length - begin)
    reward, terminated, truncated = (column[:held] for column in outcomes)
    differing = lane.other_outcome(begin, (reward.astype(np.float32), terminated, truncated))
    if differing is None:
        lane.crc = zlib.crc32(frames[:held].data, lane.crc)
        yield Stretch(position, frames[:held], None)
        difference = lane.other_frames() if begin + held == lane.segment.length else None
    else:
        offset, difference = differing
        yield Stretch(position, frames[: offset + 1], None)
    if difference:
        lane.playing = False
        yield Stretch(position, lane.no_frames, difference)


def _shown(outcome: Sequence[Any]) -> str:
    reward, *flags = outcome
    return f"{reward:g}, {', '.join(str(flag).lower() for flag in flags)}"


def _cause(game: Game, history: History) -> str:
    differing = games.differing_settings(history.header.fingerprint, game.fingerprint)
    return f"it was recorded with {'; '.join(differing)} here" if differing else "the log was altered"
