"""Mutators: one module a kind of file, each with a function `mutate(data, rng) -> bytes`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Mutator = Callable[[bytes, np.random.Generator], bytes]


def mutator_of(name: str) -> Mutator:
    """Return what mutates a file of this name."""
    from fuzzing.mutators import (
        archives,
        json_documents,
        parquet,
        pickles,
        raw_bytes,
        tensors,
        text_lines,
    )

    by_end: dict[str, Mutator] = {
        ".json": json_documents.mutate,
        ".safetensors": tensors.mutate,
        ".parquet": parquet.mutate,
        ".zip": archives.mutate,
        ".pth": archives.mutate,
        ".pkl": pickles.mutate,
        ".csv": text_lines.mutate,
        ".toml": text_lines.mutate,
        "SHA256SUMS": text_lines.mutate,
    }
    return next((mutate for end, mutate in by_end.items() if name.endswith(end)), raw_bytes.mutate)


def one_of(rng: np.random.Generator, choices: list[Mutator]) -> Mutator:
    """Return one of several mutators."""
    return choices[int(rng.integers(len(choices)))]
