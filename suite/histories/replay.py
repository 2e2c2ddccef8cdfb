"""Replay: play a run again from its log, compare everything that was logged, and yield its observations."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from understudy.suite import games
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.histories import segments
from understudy.suite.histories.history_format import History
from understudy.suite.histories.segments import CHUNK_MOVES, Report, RunSegment, Tick
from understudy.suite.protocols import Game


def verify(history: History, processes: int | None = None, report: Report = lambda done, total: None) -> None:
    """Replay every segment of a run in `processes` processes (default: all cores).

    Raises:
        InputError: the run was recorded under settings that this installation doesn't have.
        CheckFailed: rewards, ends or frames differ from the record; names segment, move, expected and found.
    """
    require_comparable(history)
    (difference,) = verify_runs([history], processes, report)
    if difference:
        raise CheckFailed(difference)


def verify_runs(
    histories: Sequence[History],
    processes: int | None = None,
    report: Report = lambda done, total: None,
) -> list[str | None]:
    """Replay every segment of several runs; return for each run its first difference from the log, or None.

    Of a run that cannot be replayed here it is why.
    """
    refused = [_why_not_comparable(history) for history in histories]
    wanted = [
        (run, index)
        for run, history in enumerate(histories)
        if refused[run] is None
        for index in segments.overlapping(history, 0, history.num_moves)
    ]
    found = segments.map_segments(_differences, histories, wanted, processes, report)
    differences = [[why] if why else [] for why in refused]
    for (run, _), difference in zip(wanted, found, strict=True):
        differences[run] += [difference] if difference else []
    return [
        f"{texts[0]}{f'; {len(texts)} segments differ in all' if texts[1:] else ''}" if texts else None
        for texts in differences
    ]


class ReplayedMoves(NamedTuple):
    """Consecutive moves of one segment of a wave, or how the segment differs from the log."""

    lane: int  # position of the segment in the wave
    frames: np.ndarray  # [n, *frame_shape], the newest frame before each move; overwritten by the next chunk
    difference: str | None  # the first difference from the log; the segment is not played further


def play(histories: Sequence[History], wave: Sequence[RunSegment]) -> Iterator[ReplayedMoves]:
    """Play segments in lock-step, one in each lane, and compare everything that was logged.

    Yields each segment's moves in order, in chunks of CHUNK_MOVES, the last one shorter. After a difference
    from the log, one last, empty chunk describes it. The segments must fit one environment, as those of a
    wave from `segments.waves` do.

    Raises InputError if a run was recorded under settings that this installation doesn't have.
    """
    lanes = [_SegmentLane(histories[run], index) for run, index in wave]
    for position, lane in enumerate(lanes):
        if difference := lane.forbidden_action():
            yield ReplayedMoves(position, lane.no_frames, difference)
    longest = max(lane.segment.length for lane in lanes)
    game = lanes[0].game
    buffer = np.empty((len(lanes), CHUNK_MOVES, *game.frame_shape), game.observation_dtype)
    env = games.make([lane.game for lane in lanes])
    try:
        observation, _ = env.reset(seed=np.array([lane.segment.seed for lane in lanes], np.int64))
        for begin in range(0, longest, CHUNK_MOVES):
            if not any(lane.playing for lane in lanes):
                return
            n = min(CHUNK_MOVES, longest - begin)
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
    """Raise InputError unless a history has seeds and this installation's game has comparable settings.

    Package versions may differ, because the checksums show whether the frames do.
    """
    if not history.has_seeds:
        origin = history.header.fingerprint.get("imported_from", "elsewhere")
        raise InputError(
            f"a run of {history.header.game} imported from {origin} has no seeds, so it can't be replayed, "
            "and its segments follow no rule; if its frames are missing, import it again"
        )
    game = games.load(history.header.game)
    differing = games.family(game.family).comparable(history.header.fingerprint, game.fingerprint)
    if differing:
        raise InputError(
            f"{game.name} was recorded with {'; '.join(differing)} here; use the version of understudy that "
            "recorded it, or record it again"
        )


def _why_not_comparable(history: History) -> str | None:
    try:
        require_comparable(history)
    except InputError as error:
        return str(error)
    return None


def _differences(histories: Sequence[History], wave: Sequence[RunSegment], tick: Tick) -> list[str | None]:
    """Replay a wave of segments; return each one's first difference from the log, or None."""
    found: list[str | None] = [None] * len(wave)
    for part in play(histories, wave):
        found[part.lane] = part.difference
        tick(len(part.frames))
    return found


class _SegmentLane:
    """One segment that is being replayed."""

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
        """Return the segment's actions [begin, begin + n), int64 [n]; after its end a legal one."""
        if not self.playing:
            return np.full(n, self._idle_action, np.int64)
        held = self.history.action[self._moves][begin : begin + n].astype(np.int64)
        return np.pad(held, (0, n - len(held)), constant_values=self._idle_action)

    def forbidden_action(self) -> str | None:
        """If the log holds an action that is not legal, stop playing and return a message about the first."""
        allowed = np.zeros(256, bool)
        allowed[: self.game.num_actions] = self.game.legal_actions
        actions = self.history.action[self._moves]
        for offset in np.flatnonzero(~allowed[actions])[:1]:
            self.playing = False
            return (
                f"{self.label}, differs at move {self.segment.first_move + offset}: "
                f"action {actions[offset]}, expected one of {', '.join(map(str, np.flatnonzero(allowed)))}; "
                "the log was altered"
            )
        return None

    def other_outcome(self, begin: int, found: Sequence[np.ndarray]) -> tuple[int, str] | None:
        """Return the offset of the first move whose reward or end differs from the log, and a message.

        Args:
            begin: of the segment's moves, the first of these.
            found: reward, terminated and truncated, each [n].
        """
        start = self.segment.first_move + begin
        moves = slice(start, start + len(found[0]))
        logged = [
            column[moves] for column in (self.history.reward, self.history.terminated, self.history.truncated)
        ]
        differs = np.any([one != other for one, other in zip(found, logged, strict=True)], axis=0)
        for offset in np.flatnonzero(differs)[:1]:
            shown, expected = (_shown([column[offset].item() for column in part]) for part in (found, logged))
            return int(offset), (
                f"{self.label}, differs at move {start + offset}: reward, terminated, truncated are {shown}, "
                f"logged {expected}; {_cause(self.game, self.history)}"
            )
        return None

    def other_frames(self) -> str | None:
        """Return a message if the checksum of all frames differs from the logged one."""
        if self.crc == self.segment.crc32:
            return None
        return (
            f"{self.label}, shows other frames: CRC-32 {self.crc:08x}, recorded {self.segment.crc32:08x}; "
            f"{_cause(self.game, self.history)}"
        )

    @property
    def label(self) -> str:
        """The segment's name in messages."""
        first = self.segment.first_move
        return f"segment {self.index} (moves {first} to {first + self.segment.length - 1}), replayed"


def _compared(
    position: int, lane: _SegmentLane, begin: int, frames: np.ndarray, outcomes: Sequence[np.ndarray]
) -> Iterator[ReplayedMoves]:
    """Compare a chunk with the log and yield it.

    Args:
        position: of the lane in the wave.
        lane: the segment.
        begin: of the segment's moves, the chunk's first.
        frames: [CHUNK_MOVES, *frame_shape], before each move.
        outcomes: reward, terminated and truncated, each [n].
    """
    held = min(len(outcomes[0]), lane.segment.length - begin)
    reward, terminated, truncated = (column[:held] for column in outcomes)
    differing = lane.other_outcome(begin, (reward.astype(np.float32), terminated, truncated))
    if differing is None:
        lane.crc = zlib.crc32(frames[:held].data, lane.crc)
        yield ReplayedMoves(position, frames[:held], None)
        difference = lane.other_frames() if begin + held == lane.segment.length else None
    else:
        offset, difference = differing
        yield ReplayedMoves(position, frames[: offset + 1], None)
    if difference:
        lane.playing = False
        yield ReplayedMoves(position, lane.no_frames, difference)


def _shown(outcome: Sequence[Any]) -> str:
    reward, *flags = outcome
    return f"{reward:g}, {', '.join(str(flag).lower() for flag in flags)}"


def _cause(game: Game, history: History) -> str:
    differing = games.differing_settings(history.header.fingerprint, game.fingerprint)
    return f"it was recorded with {'; '.join(differing)} here" if differing else "the log was altered"
