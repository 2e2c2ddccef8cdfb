"""A teacher's life, short enough for a test: taught for real, with small settings."""

from __future__ import annotations

from pathlib import Path

from understudy.suite.teachers import dqn, teach

WATCHED_MOVES, MOVES = 60, 130
SETTINGS = dqn.Settings(
    batch_size=4, memory_moves=100, learning_starts=20, target_every=40, exploration_moves=30
)


def short_life(game_name: str, out: Path, seed: int = 0, settings: dqn.Settings = SETTINGS) -> Path:
    """Teach one life of `MOVES` moves, `WATCHED_MOVES` of them watched; return its folder below `out`."""
    lesson = teach.Lesson((game_name,), (seed,), WATCHED_MOVES, 50, settings)
    (history,) = teach.teach(lesson, out, MOVES)
    return history.parent
