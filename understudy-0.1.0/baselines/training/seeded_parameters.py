"""Draw a model's parameters from a given seed without changing torch's global generator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from understudy.suite import draws

MAX_TORCH_SEED = 2**63


@contextmanager
def parameters_from(seed: int) -> Iterator[None]:
    """Draw every parameter made in the block from `seed`; torch's global generator is restored afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(draws.derive(seed, "parameters") % MAX_TORCH_SEED)
        yield
