"""Lessons of one and of two darkroom lives, short enough for a test to kill, and the bytes they leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from understudy.suite.teachers import dqn, teach

GAMES = ("darkroom/goal-40", "darkroom/goal-41")
SETTINGS = replace(
    dqn.SETTINGS["darkroom"], learning_starts=50, exploration_moves=100, target_every=40, memory_moves=150
)
LESSON = teach.Lesson(GAMES, (0, 0), 200, 90, SETTINGS)
ONE = replace(LESSON, game_names=GAMES[:1], seeds=(0,))


class Killed(Exception):
    """A lesson was stopped at a move, as by a kill."""


def kill_at(move: int) -> Callable[[teach.Progress], None]:
    """Return a report that raises Killed once each life has `move` moves."""

    def report(progress: teach.Progress) -> None:
        if progress.moves == move:
            raise Killed

    return report


def files_of(out: Path) -> dict[Path, bytes]:
    """Return every history and every file of weights below `out`, by its path there."""
    return {
        path.relative_to(out): path.read_bytes()
        for path in out.rglob("*")
        if path.suffix in (".parquet", ".safetensors")
    }
