"""Small Minari datasets, written by the package itself, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from understudy.suite.histories.imported import MoveBlock


def image_space(*shape: int) -> gymnasium.spaces.Box:
    """Return the space of byte images of a shape."""
    return gymnasium.spaces.Box(0, 255, shape, np.uint8)


def minari_dataset(
    folder: Path,
    observations: list[np.ndarray],
    space: gymnasium.Space[Any],
    actions: int = 4,
    data_format: str = "hdf5",
    jpeg: bool = False,
    terminated: bool = True,
) -> tuple[Path, list[EpisodeBuffer]]:
    """Write episodes with these observations, [T + 1, ...] each; return the folder and the episodes."""
    rng = np.random.default_rng(0)
    (folder / "data").mkdir(parents=True)
    storage = MinariStorage.new(
        folder / "data",
        observation_space=space,
        action_space=gymnasium.spaces.Discrete(actions),
        data_format=data_format,
        jpeg_encoding=jpeg,
    )
    episodes = []
    for number, seen in enumerate(observations):
        T = len(seen) - 1
        end = np.arange(T) == T - 1
        episodes.append(
            EpisodeBuffer(
                id=number,
                observations=seen,
                actions=rng.integers(0, actions, T),
                rewards=rng.integers(-1, 8, T).astype(float),
                terminations=end & terminated,
                truncations=end & (not terminated),
                infos={},
            )
        )
    storage.update_episodes(episodes)
    return folder, episodes


def assert_minari(
    found: MoveBlock, episodes: list[EpisodeBuffer], frames: list[np.ndarray], table: Any
) -> None:
    """Compare an import with the episodes: frames [T, ...] each, and actions mapped by `table`."""
    np.testing.assert_array_equal(found.frames, np.concatenate(frames))
    np.testing.assert_array_equal(
        found.action, np.array(table)[np.concatenate([e.actions for e in episodes])]
    )
    np.testing.assert_array_equal(found.reward, np.concatenate([e.rewards for e in episodes]))
    np.testing.assert_array_equal(found.terminated, np.concatenate([e.terminations for e in episodes]))
    np.testing.assert_array_equal(found.truncated, np.concatenate([e.truncations for e in episodes]))


def screens(*shape: int, dtype: str = "uint8", high: int = 256) -> list[np.ndarray]:
    """Return random observations of three episodes of 7, 1 and 30 moves, [T + 1, *shape] each."""
    rng = np.random.default_rng(1)
    return [rng.integers(0, high, (T + 1, *shape)).astype(dtype) for T in (7, 1, 30)]
