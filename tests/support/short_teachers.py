"""A teacher's run that is short enough for a test, really trained, with small settings."""

from __future__ import annotations

from pathlib import Path

from understudy.suite.teachers import dqn, train_teacher

WATCHED_MOVES, MOVES = 60, 130
SETTINGS = dqn.DQNSettings(
    batch_size=4, memory_moves=100, learning_starts=20, target_every=40, exploration_moves=30
)


def short_run(
    game_name: str,
    out: Path,
    seed: int = 0,
    settings: dqn.DQNSettings = SETTINGS,
    watched_moves: int = WATCHED_MOVES,
    segment_moves: int = 50,
) -> Path:
    """Train one run of MOVES moves; return its folder below `out`."""
    training = train_teacher.TeacherTraining((game_name,), (seed,), watched_moves, segment_moves, settings)
    (history,) = train_teacher.train(training, out, MOVES)
    return history.parent
