"""Random transitions of a game, for tests of learners."""

from __future__ import annotations

import numpy as np
import torch

from understudy.suite.protocols import Game
from understudy.suite.teachers.replay_memory import Batch


def random_observations(game: Game, rng: np.random.Generator, *leading: int) -> np.ndarray:
    """Return observations [*leading, *observation_shape] in the game's dtype."""
    shape = (*leading, *game.observation_shape)
    return rng.integers(0, min(game.observation_values, 256), shape).astype(game.observation_dtype)


def random_batch(game: Game, rng: np.random.Generator, S: int, B: int) -> Batch:
    """Return transitions [S, B] whose unused planes are empty, as they are in the game's frames."""
    depth = game.stacked_frames
    frames = rng.integers(0, min(game.observation_values, 256), (S, B, depth + 1, *game.frame_shape))
    if game.shown_planes is not None:
        frames[:, :, :, game.shown_planes :] = 0
    return Batch(
        torch.from_numpy(frames.astype(game.observation_dtype)),
        torch.from_numpy(rng.choice(np.flatnonzero(game.legal_actions), (S, B))),
        torch.from_numpy(rng.integers(0, 5, (S, B)).astype(np.float32)),
        torch.from_numpy(rng.random((S, B)) < 0.2),
    )


def one_seed(batch: Batch, seed: int) -> Batch:
    """Return the transitions [1, B] of one seed."""
    return Batch(*(column[seed : seed + 1] for column in batch))
