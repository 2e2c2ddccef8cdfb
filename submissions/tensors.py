"""Tensors of an untrusted safetensors file, as far as they are needed without an architecture."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import safetensors

from understudy.suite.io import tensor_files


def identities(data: bytes, where: Path) -> list[tuple[str, str, list[int], str]]:
    """Return (name, dtype, shape, SHA-256 of its bytes) for each tensor of a safetensors file, by name.

    Raises InputError, which names the file `where`, if the bytes are not a whole safetensors file.
    """
    try:
        found = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except (safetensors.SafetensorError, ValueError) as error:
        raise tensor_files.unreadable(data, where, error) from error
    return sorted(
        (name, str(each["dtype"]), list(each["shape"]), hashlib.sha256(each["data"]).hexdigest())
        for name, each in found
    )


def count(path: Path) -> int:
    """Return the number of values in a safetensors file's tensors; InputError if it is not a whole one."""
    try:
        with safetensors.safe_open(path, "numpy") as found:
            shapes = [found.get_slice(name).get_shape() for name in found.keys()]  # noqa: SIM118
    except (safetensors.SafetensorError, ValueError) as error:
        raise tensor_files.unreadable(b"", path, error) from error
    return int(sum(math.prod(shape) for shape in shapes))
