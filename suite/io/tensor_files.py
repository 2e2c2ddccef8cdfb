"""Safetensors files: their tensors as numpy's arrays or torch's tensors, or one line about what is wrong.

The library's Rust part refuses a damaged file by SafetensorError. Its Python part raises KeyError for a dtype
that numpy or torch lacks, and these raise TypeError and others for a shape that no tensor can have, as
[0, 2^63]. All are refused alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from understudy.suite.errors import InputError
from understudy.suite.io import git_lfs

if TYPE_CHECKING:
    from torch import Tensor

_MALFORMED = (KeyError, ValueError, TypeError, OverflowError, RuntimeError, AssertionError)


def arrays(data: bytes, where: object, advice: str = "make it again") -> dict[str, np.ndarray]:
    """Return the arrays in a file's bytes by name.

    Args:
        data: the file's content.
        where: begins a message, e.g. the file's path.
        advice: ends it: what to do.

    Raises InputError for bytes that are not a whole safetensors file, or a dtype that numpy lacks.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found: dict[str, np.ndarray] = load(data)
    except (SafetensorError, *_MALFORMED) as error:
        raise unreadable(data, where, error, advice) from error
    return found


def tensors(data: bytes, where: object, advice: str = "make it again") -> dict[str, Tensor]:
    """Return the tensors in a file's bytes by name; arguments and errors as of `arrays`."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        found: dict[str, Tensor] = load(data)
    except (SafetensorError, *_MALFORMED) as error:
        raise unreadable(data, where, error, advice) from error
    return found


def unreadable(data: bytes, where: object, error: Exception, advice: str = "make it again") -> InputError:
    """Return what to say of bytes that are not a whole safetensors file."""
    git_lfs.refuse_pointer_bytes(data, where)
    return InputError(f"{where}: not a whole safetensors file ({error!s:.200}); {advice}")
