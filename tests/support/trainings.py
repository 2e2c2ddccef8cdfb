"""Trainings of one and of two darkroom runs, short enough for a test to kill, and the files they leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from understudy.suite.teachers import dqn, train_teacher

GAMES = ("darkroom/goal-40", "darkroom/goal-41")
SETTINGS = replace(
    dqn.SETTINGS["darkroom"], learning_starts=50, exploration_moves=100, target_every=40, memory_moves=150
)
TWO_RUNS = train_teacher.TeacherTraining(GAMES, (0, 0), 200, 90, SETTINGS)
ONE_RUN = replace(TWO_RUNS, game_names=GAMES[:1], seeds=(0,))


class TrainingKilled(Exception):
    """A training was stopped at a move, as by a kill."""


def kill_at(move: int) -> Callable[[train_teacher.TeacherProgress], None]:
    """Return a progress callback that raises TrainingKilled when each run has `move` moves."""

    def report(progress: train_teacher.TeacherProgress) -> None:
        if progress.moves == move:
            raise TrainingKilled

    return report


def files_of(out: Path) -> dict[Path, bytes]:
    """Return the bytes of every history and weights file below `out`, by relative path."""
    return {
        path.relative_to(out): path.read_bytes()
        for path in out.rglob("*")
        if path.suffix in (".parquet", ".safetensors")
    }
