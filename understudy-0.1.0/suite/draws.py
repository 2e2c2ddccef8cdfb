"""Random draws without generator state: each number is a function of (seed, stream name, index)."""

from __future__ import annotations

import hashlib

import numpy as np

MAX_ENVIRONMENT_SEED = 2**31


def derive(*parts: object) -> int:
    """Return a 128-bit seed: SHA-256 of the parts' texts, separated so that different lists differ."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def environment_seed(run_seed: int, segment: int) -> int:
    """Return the emulator's seed in [0, 2^31) for one segment of a run."""
    return derive(run_seed, "segment", segment) % MAX_ENVIRONMENT_SEED


class Uniforms:
    """Uniform numbers in [0, 1) at indices 0, 1, 2, ... of one named stream, `width` numbers per index.

    Philox is counter-based, so index i depends on no earlier draw: a resumed run draws the same numbers
    as an uninterrupted one. Numbers are drawn in blocks because building a generator costs more than drawing.
    Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011), as implemented in numpy.
    """

    BLOCK = 4096

    def __init__(self, seed: int, stream: str, width: int = 1) -> None:
        self._key = derive(seed, stream)
        self._width = width
        self._block_index = -1
        self._block = np.empty((0, width))

    def at(self, index: int) -> np.ndarray:
        """Return the `width` numbers of `index`: float64 [width]."""
        block_index, row = divmod(index, self.BLOCK)
        if block_index != self._block_index:
            bits = np.random.Philox(key=self._key, counter=[0, 0, 0, block_index])
            self._block = np.random.Generator(bits).random((self.BLOCK, self._width))
            self._block_index = block_index
        row_values: np.ndarray = self._block[row]
        return row_values

    def first(self, count: int) -> np.ndarray:
        """Return the numbers of indices 0 to count - 1: float64 [count, width]."""
        blocks = []
        for start in range(0, count, self.BLOCK):
            self.at(start)
            blocks.append(self._block[: count - start])
        return np.concatenate(blocks) if blocks else np.empty((0, self._width))
