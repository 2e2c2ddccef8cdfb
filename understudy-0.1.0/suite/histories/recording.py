"""Recording: play runs in lock-step, log every move, and reseed lanes at segment boundaries."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from understudy.suite import draws, games
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.histories import history_format
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.histories.history_format import Header, History, Segment
from understudy.suite.histories.journal import EXPLORED, ROW, TERMINATED, TRUNCATED, Journal, rows_of
from understudy.suite.protocols import Game

FLUSH_MOVES = 4096


@dataclass(frozen=True)
class Run:
    """One run to record: the file to write and what determines the run."""

    path: Path  # of the finished history; the journal lies beside it
    game: Game
    seed: int  # of the run: exploration and the emulator seeds of segments derive from it
    header: Header  # without segments

    @property
    def journal(self) -> Journal:
        """The run's journal."""
        return Journal(self.path.with_name(self.path.name + ".journal"))

    def recorded(self, num_moves: int) -> History:
        """Return the run's history up to a checkpoint, from its journal or its finished file.

        Raises InputError if there is no such checkpoint.
        """
        history = self.journal.load(num_moves) if self.journal.exists else history_format.read(self.path)
        if history.num_moves != num_moves:
            raise InputError(
                f"{self.path}: {history.num_moves} moves recorded, the checkpoint is at {num_moves}; "
                "restore the files that belong together, or start again in another folder"
            )
        return history


class Recorder:
    """Plays runs, one in each lane; `observation`, `first` and `move` describe the next move."""

    def __init__(self, runs: Sequence[Run], rule: SegmentRule, threads: int = 1) -> None:
        """Make the environments. Call `start` or `resume` before the first `step`."""
        self.runs = list(runs)
        self._journals = [run.journal for run in self.runs]
        self.move = 0  # moves played so far, the same in every lane
        self.first = np.ones(len(self.runs), bool)  # [B], whether the next move starts an episode
        self.observation: np.ndarray  # [B, *observation_shape], before the next move
        self._rule = rule
        self._game = self.runs[0].game
        self._env = games.make([run.game for run in self.runs], threads)
        self._segments: list[list[Segment]] = [[] for _ in self.runs]  # of each lane; the last is open
        self._crc = [0] * len(self.runs)
        self._boundary = np.zeros(len(self.runs), np.int64)  # [B]
        self._rows = np.zeros((FLUSH_MOVES, len(self.runs)), ROW)  # not yet in the journals
        self._pending = 0

    def start(self) -> None:
        """Begin all runs at move 0 with empty journals."""
        for run, journal in zip(self.runs, self._journals, strict=True):
            journal.create(run.header)
        self._begin_segments(np.ones(len(self.runs), bool))
        self.checkpoint()

    def resume(self, histories: Sequence[History]) -> None:
        """Continue after the last move of `histories`, one for each lane, all of the same length.

        Replays each lane's open segment to restore the emulator's state.

        Raises CheckFailed if the replayed frames differ from the recorded ones.
        """
        lengths = {history.num_moves for history in histories}
        assert len(lengths) == 1, "lanes are in lock-step"
        self.move = lengths.pop()
        for lane, (journal, history) in enumerate(zip(self._journals, histories, strict=True)):
            self._take_segments(lane, history)
            if journal.exists:
                journal.truncate(self.move)
            else:
                journal.create(self.runs[lane].header)
                journal.append(rows_of(history))
                journal.checkpoint(list(history.header.segments))
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
        """Sync the journals; a later crash loses no move before this point."""
        self._flush()
        for lane, journal in enumerate(self._journals):
            journal.checkpoint(self.segments(lane))

    def segments(self, lane: int) -> list[Segment]:
        """Return a lane's segments so far; the open one has its current length and checksum.

        The open one is left out while it holds no move: whether the next move begins it follows from the
        moves and the rule.
        """
        *closed, last = self._segments[lane]
        if last.first_move == self.move:
            return closed
        return [*closed, replace(last, length=self.move - last.first_move, crc32=self._crc[lane])]

    def finish(self) -> list[Path]:
        """Write each run's history file, remove its journal, and return the files."""
        self.checkpoint()
        for run, journal in zip(self.runs, self._journals, strict=True):
            history_format.write(run.path, journal.load())
            journal.remove()
        self.close()
        return [run.path for run in self.runs]

    def close(self) -> None:
        """Release the emulators."""
        self._env.close()

    def _begin_segments(self, due: np.ndarray) -> None:
        """Close the open segments of the lanes in `due`, bool [B], and reseed these lanes."""
        seeds = []
        for lane in np.flatnonzero(due).tolist():
            if self._segments[lane]:
                self._segments[lane] = self.segments(lane)
            seeds.append(self._open_segment(lane).seed)
        options = None if due.all() else {"reset_mask": due}
        self.observation, _ = self._env.reset(seed=np.array(seeds, np.int64), options=options)

    def _open_segment(self, lane: int) -> Segment:
        """Open a lane's next segment at the present move and return it; the emulator is not reseeded."""
        seed = draws.environment_seed(self.runs[lane].seed, len(self._segments[lane]))
        opened = Segment(self.move, 0, seed, 0)
        self._segments[lane].append(opened)
        self._crc[lane] = 0
        self._boundary[lane] = self._rule.next_boundary(self.move)
        return opened

    def _take_segments(self, lane: int, history: History) -> None:
        """Take a lane's segments from its history, and open the one that its next move begins, if any."""
        self._segments[lane] = list(history.header.segments)
        if history.num_moves:
            self._boundary[lane] = self._rule.next_boundary(self._segments[lane][-1].first_move)
        if not history.num_moves or (history.ended[-1] and self._boundary[lane] <= self.move):
            self._open_segment(lane)

    def _replay_open_segments(self, histories: Sequence[History]) -> None:
        """Replay every lane from the start of its open segment, all ending at the current move."""
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
                    f"{self.runs[lane].path}: replay of the segment at move {segment.first_move} "
                    f"shows other frames (CRC-32 {self._crc[lane]:08x}, recorded {segment.crc32:08x}); "
                    "the emulator differs from the one that recorded them"
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
