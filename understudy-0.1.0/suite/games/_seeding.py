"""The arguments of `reset`, as in `ale_py.AtariVectorEnv`: which lanes restart, and with which seeds."""

from __future__ import annotations

from typing import Any

import numpy as np

from understudy.suite.draws import MAX_ENVIRONMENT_SEED
from understudy.suite.errors import InputError


def lanes_and_seeds(
    num_envs: int, seed: int | np.ndarray | None, options: dict[str, Any] | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the lanes being reset, int64 [R], and their seeds, int64 [R], or None to keep their generators.

    Args:
        num_envs: number of lanes, B.
        seed: one for each lane being reset; a single number seeds them with consecutive values.
        options: `reset_mask`, bool [B], names the lanes being reset; without it all are.

    Raises:
        InputError: a seed lies outside [0, 2^31), or a shape or dtype is wrong.
    """
    mask = (options or {}).get("reset_mask")
    if mask is None:
        lanes = np.arange(num_envs)
    elif not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (num_envs,):
        raise InputError(f"reset_mask must be a bool array of shape ({num_envs},); found {mask!r}")
    else:
        lanes = np.flatnonzero(mask)
    if seed is None:
        return lanes, None
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
        seeds = np.array([int(seed) + i for i in range(len(lanes))], dtype=object)
    elif isinstance(seed, np.ndarray) and seed.dtype.kind in "iu":
        seeds = seed
    else:
        raise InputError(f"seed must be an integer or an integer array; found {seed!r}")
    if seeds.shape != lanes.shape:
        raise InputError(f"seed must hold one seed for each of the {len(lanes)} lanes being reset; {seeds!r}")
    for number in seeds:
        if not 0 <= number < MAX_ENVIRONMENT_SEED:
            raise InputError(f"an environment's seed lies in [0, {MAX_ENVIRONMENT_SEED}); found {number}")
    return lanes, seeds.astype(np.int64)
