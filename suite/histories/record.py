"""Recording: lives played in lock-step, every move logged, lanes reseeded at segment boundaries."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from understudy.suite import draws, games
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.histories import format as history_format
from understudy.suite.histories.format import Header, History, Segment
from understudy.suite.histories.journal import EXPLORED, ROW, TERMINATED, TRUNCATED, Journal, rows_of
from understudy.suite.protocols import Game

FLUSH_MOVES = 4096


@dataclass(frozen=True)
class SegmentRule:
    """A new segment starts at the first episode start at or after each boundary."""

    every_moves: int  # boundaries at its multiples
    also_at: tuple[int, ...] = ()  # further boundaries, in moves of the life

    def next_boundary(self, first_move: int) -> int:
        """Return the first boundary after the move at which the current segment began."""
        regular = (first_move // self.every_moves + 1) * self.every_moves
        return min([regular, *(move for move in self.also_at if move > first_move)])


@dataclass(frozen=True)
class Life:
    """One life to record: where it goes and what determines it."""

    path: Path  # of the finished history; the journal lies beside it
    game: Game
    seed: int  # of the life: exploration and the segments' emulator seeds derive from it
    header: Header  # segments empty

    @property
    def journal(self) -> Journal:
        """The life's journal."""
        return Journal(self.path.with_name(self.path.name + ".journal"))

    def recorded(self, num_moves: int) -> History:
        """Return the life's record up to a checkpoint, from its journal or its finished file.

        Raises:
            InputError: no such checkpoint is recorded.
        """
        history = self.journal.load(num_moves) if self.journal.exists else history_format.read(self.path)
        if history.num_moves != num_moves:
            raise InputError(
                f"{self.path}: {history.num_moves} moves recorded, the checkpoint is at {num_moves}; "
                "restore the files that belong together, or start anew in another folder"
            )
        return history


class Recorder:
    """Plays one lane a life; `observation`, `first` and `move` describe the move to come."""

    def __init__(self, lives: Sequence[Life], rule: SegmentRule, threads: int = 1) -> None:
        """Make the environments. Call `start` or `resume` before the first `step`."""
        self.lives = list(lives)
        self._journals = [life.journal for life in self.lives]
        self.move = 0  # moves played so far, the same in every lane
        self.first = np.ones(len(self.lives), bool)  # [B], the move to come starts an episode
        self.observation: np.ndarray  # [B, *observation_shape], before the move to come
        self._rule = rule
        self._game = self.lives[0].game
        self._env = games.make([life.game for life in self.lives], threads)
        self._segments: list[list[Segment]] = [[] for _ in self.lives]  # of each lane; the last one is open
        self._crc = [0] * len(self.lives)
        self._boundary = np.zeros(len(self.lives), np.int64)  # [B]
        self._rows = np.zeros((FLUSH_MOVES, len(self.lives)), ROW)  # not yet in the journals
        self._pending = 0

    def start(self) -> None:
        """Begin the lives at move 0 with empty journals."""
        for life, journal in zip(self.lives, self._journals, strict=True):
            journal.create(life.header)
        self._begin_segments(np.ones(len(self.lives), bool))
        self.checkpoint()

    def resume(self, histories: Sequence[History]) -> None:
        """Continue after the last move of `histories`, one a lane, all of one length.

        Each lane's open segment is replayed, so the emulator is where it was.

        Raises:
            CheckFailed: the replayed frames are not those that were recorded.
        """
        lengths = {history.num_moves for history in histories}
        assert len(lengths) == 1, "lanes are in lock-step"
        self.move = lengths.pop()
        for lane, (journal, history) in enumerate(zip(self._journals, histories, strict=True)):
            self._segments[lane] = list(history.header.segments)
            self._boundary[lane] = self._rule.next_boundary(self._segments[lane][-1].first_move)
            if journal.exists:
                journal.cut(self.move)
            else:
                journal.create(self.lives[lane].header)
                journal.append(rows_of(history))
                journal.checkpoint(self._segments[lane])
        self._replay_open_segments(histories)

    def step(self, actions: np.ndarray, explored: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Execute int64 actions [B]; return reward float32 [B], terminated and truncated bool [B]."""
        self._advance_checksums()
        self.observation, reward, terminated, truncated, _ = self._env.step(actions)
        row = self._rows[self._pending]
        row["action"] = actions
        row["reward"] = reward
        row["flags"] = terminated * TERMINATED + truncated * TRUNCATED + explored * EXPLORED
        self._pending += 1
        self.move += 1
        if self._pending == FLUSH_MOVES:
            self._flush()
        self.first = terminated | truncated
        if self.first.any():
            due = self.first & (self._boundary <= self.move)
            if due.any():
                self._begin_segments(due)
        return reward.astype(np.float32), terminated, truncated

    def checkpoint(self) -> None:
        """Sync the journals: from here on a crash loses nothing before this move."""
        self._flush()
        for lane, journal in enumerate(self._journals):
            journal.checkpoint(self.segments(lane))

    def segments(self, lane: int) -> list[Segment]:
        """Return a lane's segments so far, the open one with its length and checksum up to now."""
        *closed, last = self._segments[lane]
        return [*closed, replace(last, length=self.move - last.first_move, crc32=self._crc[lane])]

    def finish(self) -> list[Path]:
        """Write each life as a history file and drop its journal; return the files."""
        self.checkpoint()
        for life, journal in zip(self.lives, self._journals, strict=True):
            history_format.write(life.path, journal.load())
            journal.remove()
        self.close()
        return [life.path for life in self.lives]

    def close(self) -> None:
        """Release the emulators."""
        self._env.close()

    def _begin_segments(self, due: np.ndarray) -> None:
        """Close the open segments of the lanes in `due` [B] and reseed these lanes."""
        seeds = []
        for lane in np.flatnonzero(due).tolist():
            if self._segments[lane]:
                self._segments[lane] = self.segments(lane)
            seed = draws.environment_seed(self.lives[lane].seed, len(self._segments[lane]))
            seeds.append(seed)
            self._segments[lane].append(Segment(self.move, 0, seed, 0))
            self._crc[lane] = 0
            self._boundary[lane] = self._rule.next_boundary(self.move)
        options = None if due.all() else {"reset_mask": due}
        self.observation, _ = self._env.reset(seed=np.array(seeds, np.int64), options=options)

    def _replay_open_segments(self, histories: Sequence[History]) -> None:
        """Bring every lane to the present: each enters, reseeded, when its open segment's turn comes."""
        opened = [segments[-1] for segments in self._segments]
        start = min(segment.first_move for segment in opened)
        self._env.reset(seed=np.array([segment.seed for segment in opened], np.int64))
        for move in range(start, self.move + 1):
            due = np.array([segment.first_move == move for segment in opened])
            if due.any():
                seeds = np.array([s.seed for s in opened if s.first_move == move], np.int64)
                self.observation, _ = self._env.reset(seed=seeds, options={"reset_mask": due})
                for lane in np.flatnonzero(due).tolist():
                    self._crc[lane] = 0
            if move < self.move:
                self._advance_checksums()
                actions = np.array([history.action[move] for history in histories], np.int64)
                self.observation, *_ = self._env.step(actions)
        for lane, segment in enumerate(opened):
            if self._crc[lane] != segment.crc32:
                raise CheckFailed(
                    f"{self.lives[lane].path}: replay of the segment at move {segment.first_move} "
                    f"shows other frames (CRC-32 {self._crc[lane]:08x}, recorded {segment.crc32:08x}); "
                    "the emulator differs from the one that recorded it"
                )
        self.first = np.array([h.num_moves == 0 or bool(h.ended[-1]) for h in histories])

    def _advance_checksums(self) -> None:
        frames = self._game.newest_frame(self.observation)
        crc = self._crc
        for lane in range(len(crc)):
            crc[lane] = zlib.crc32(frames[lane], crc[lane])

    def _flush(self) -> None:
        for lane, journal in enumerate(self._journals):
            journal.append(self._rows[: self._pending, lane])
        self._pending = 0
