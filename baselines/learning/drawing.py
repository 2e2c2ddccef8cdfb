"""Parameters drawn from a seed of their own: building a model leaves the global generator as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from understudy.suite import draws

MAX_TORCH_SEED = 2**63


@contextmanager
def parameters_from(seed: int) -> Iterator[None]:
    """Draw every parameter made inside from `seed`; torch's global generator is put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(draws.derive(seed, "parameters") % MAX_TORCH_SEED)
        yield
