"""Read Dopamine's circular replay buffer as a run: which rows are moves, and their order.

The logger of the DQN Replay dataset writes its buffer of N rows as a shard whenever all but its last row
are new. The last row is filled afterwards and is stored in the *next* shard: in time, shard k begins with
its last row. Before each episode come three blank rows, padding for stacks of four frames.
Sources: dopamine/replay_memory/circular_replay_buffer.py in https://github.com/google/dopamine;
batch_rl/baselines/replay_memory/logged_replay_buffer.py in https://github.com/google-research/batch_rl
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from understudy.suite.errors import InputError
from understudy.suite.histories.imported import MoveBlock
from understudy.suite.histories.importers import _columns
from understudy.suite.protocols import Game

PADDING_ROWS = 3  # before each episode
FRAME_SHAPE = (84, 84)
LACKS = (
    "rewards are clipped to [-1, 1]: points and returns are not those of the game",
    "an older emulator and ROM recorded it: its screens may differ from those of this installation",
    "no seeds: it can't be replayed or verified, and never stands in a citable row",
    "which moves were exploration is not said",
    "an end by the episode cap is stored as a terminal; ends at just the cap are taken for it",
)


@dataclass(frozen=True)
class Shard:
    """One stored state of the buffer; its columns and frames are read when the callables are called."""

    number: int  # ascending in time
    paths: Mapping[str, Path]  # of action, reward, terminal, observation, for messages
    num_rows: int  # N, the buffer's capacity
    add_count: int | None  # rows written to the buffer so far, padding included; None without a file
    column: Callable[[str], np.ndarray]  # name -> [N]
    frames: Callable[[int, int], Iterator[np.ndarray]]  # rows [start, stop) -> uint8 [n, 84, 84] in blocks


class RowSlice(NamedTuple):
    """Rows [start, stop) of a shard, which in time follow those of the slice before."""

    shard: Shard
    start: int
    stop: int
    incomplete: bool = False  # whether moves are missing after the slice


def require_atari(game: Game, importer: str) -> None:
    """Raise InputError unless the game's frames have the shape and dtype of this dataset's."""
    if game.frame_shape != FRAME_SHAPE or game.observation_dtype != "uint8":
        raise InputError(
            f"{importer} data are of Atari games, uint8 {list(FRAME_SHAPE)}; found {game.name}, "
            f"{game.observation_dtype} {list(game.frame_shape)}; name one with --game, e.g. atari/breakout"
        )


def choose_shards(found: Iterable[int], wanted: range | None, folder: Path, what: str) -> list[int]:
    """Return the numbers of the shards to read, ascending; raise InputError if one of them is missing."""
    found = sorted(found)
    if not found:
        raise InputError(f"{folder}: expected {what}, found none")
    numbers = wanted or range(found[0], found[-1] + 1)
    for number in numbers:
        if number not in found:
            raise InputError(
                f"{folder}: shard {number} is missing (found {_ranges(found)}); fetch it, or name others "
                "with --shards"
            )
    return list(numbers)


def row_slices(shards: Sequence[Shard]) -> tuple[list[RowSlice], tuple[str, ...]]:
    """Return the rows to read, in the order in which they were written, and what the run lacks besides LACKS.

    Raises InputError if the shards don't follow each other.
    """
    _require_same_layout(shards)
    found: list[RowSlice] = []
    lacks: list[str] = []
    written: int | None = None  # rows of the run so far, padding included
    for shard in shards:
        size, total = shard.num_rows, _total_written(shard, written)
        oldest = max(0, total - size)
        if shard.add_count != total and shard.add_count is not None:
            lacks.append(
                f"shard {shard.number} ends the run: whether rows are missing before it can't be told"
            )
        if written is not None and total <= written:
            raise InputError(
                f"{shard.paths['observation']}: shard {shard.number} ends at row {total:,} of the run, the "
                f"one before at {written:,}; these shards are not of one run"
            )
        if written is not None and oldest > written:
            lacks.append(f"{oldest - written:,} rows are missing before shard {shard.number}")
            found[-1] = found[-1]._replace(incomplete=True)
        begin = oldest if written is None else max(oldest, written)
        while begin < total:
            end = min(total, (begin // size + 1) * size)
            found.append(RowSlice(shard, begin % size, begin % size + end - begin))
            begin = end
        written = total
    if shards[0].number > 0:
        lacks.append(f"it begins with shard {shards[0].number}: the run before it is not there")
    if shards[0].add_count is None:
        lacks.append("no add_count files: each shard is taken to be full, which the last of a run is not")
    return found, tuple(lacks)


def move_blocks(game: Game, slices: Iterable[RowSlice]) -> Iterator[MoveBlock]:
    """Yield the moves, without padding, ends at the cap as truncated; raise InputError for a bad row."""
    table = np.flatnonzero(game.legal_actions).astype(np.uint8)  # the dataset's actions are the minimal set
    episodes = _Episodes(game.episode_cap_moves)
    for shard, start, stop, incomplete in slices:
        rows, paths = slice(start, stop), shard.paths
        raw = {name: shard.column(name)[rows] for name in ("action", "reward", "terminal")}
        action = _columns.actions(raw["action"], table, game, paths["action"], start)
        reward = _columns.rewards(raw["reward"], paths["reward"], start)
        terminal = _columns.flags(raw["terminal"], paths["terminal"], start)
        begin = 0
        for frames in shard.frames(start, stop):
            end = begin + len(frames)
            block = MoveBlock(
                frames, action[begin:end], reward[begin:end], terminal[begin:end], np.zeros(len(frames), bool)
            )
            blank = (raw["action"][begin:end] == 0) & (block.reward == 0) & ~block.terminated
            moves = episodes.moves(block, blank, cut=incomplete and end == stop - start)
            if len(moves.action):
                yield moves
            begin = end


class _Episodes:
    """Tracks the current episode over the stream of rows."""

    def __init__(self, cap_moves: int) -> None:
        self._cap_moves = cap_moves
        self._begin()

    def _begin(self) -> None:
        self._played = 0
        self._padding = PADDING_ROWS  # rows of padding that may still come

    def moves(self, rows: MoveBlock, blank: np.ndarray, cut: bool) -> MoveBlock:
        """Return a block without its padding and with truncated ends marked.

        Args:
            rows: the block, padding included.
            blank: bool [n], whether action, reward and terminal of a row are 0.
            cut: whether moves are missing after the block, so that its last episode ends there.
        """
        kept = np.ones(len(blank), bool)
        row = 0
        while row < len(blank):
            if self._padding and blank[row] and not rows.frames[row].any():
                kept[row] = False
                self._padding -= 1
                row += 1
                continue
            self._padding = 0
            row += self._play(rows, row)
        if cut and kept[-1] and not (rows.terminated[-1] or rows.truncated[-1]):
            rows.truncated[-1] = True
        if cut:
            self._begin()
        return MoveBlock(*(column[kept] for column in rows))

    def _play(self, rows: MoveBlock, start: int) -> int:
        """Advance to the end of the episode or of the block; return the number of moves."""
        ends = np.flatnonzero(rows.terminated[start:])
        made = int(ends[0]) + 1 if len(ends) else len(rows.terminated) - start
        capped = self._played + made >= self._cap_moves
        if capped:
            made = self._cap_moves - self._played
            rows.truncated[start + made - 1] = True
            rows.terminated[start + made - 1] = False
        self._played += made
        if capped or len(ends):
            self._begin()
        return made


def _require_same_layout(shards: Sequence[Shard]) -> None:
    first = shards[0]
    for shard in shards:
        if shard.num_rows != first.num_rows:
            raise InputError(
                f"{shard.paths['observation']}: {shard.num_rows:,} rows, shard {first.number} has "
                f"{first.num_rows:,}; these shards are not of one run"
            )
        if (shard.add_count is None) != (first.add_count is None):
            absent = shard if shard.add_count is None else first
            raise InputError(
                f"{absent.paths['observation'].parent}: no add_count of shard {absent.number}, but of "
                "others; fetch all of them"
            )
        if shard.add_count is not None and shard.add_count < 1:
            raise InputError(f"{shard.paths['observation']}: add_count {shard.add_count}, expected 1 or more")


def _total_written(shard: Shard, before: int | None) -> int:
    """Return the rows written to the run's buffer when the shard was stored.

    At a run's end the logger stores the remaining rows with a count that starts again from 0.
    """
    size = shard.num_rows
    if shard.add_count is None:
        return (shard.number + 1) * size - 1
    if shard.number > 0 and shard.add_count < size:
        rounds = shard.number if before is None else (before + 1) // size
        return rounds * size + shard.add_count
    return shard.add_count


def _ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers as text, consecutive ones as `first-last`."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1][1:] = [number]
        else:
            ranges.append([number])
    return ", ".join("-".join(map(str, ends)) for ends in ranges)
