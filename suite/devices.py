"""Devices of torch by name: `cpu`, `cuda`, `cuda:N`, `mps`."""

from __future__ import annotations

import re

from understudy.suite.errors import InputError

NAME = re.compile(r"cpu|mps|cuda(:[0-9]{1,3})?")


def require(name: str) -> str:
    """Return a device's name, with the number of a CUDA device.

    Raises InputError for an unknown name and for a device that is not there.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"unknown device {name!r}; expected cpu, cuda, cuda:N or mps")
    if name == "cpu":
        return name
    import torch

    if name == "mps":
        if not torch.backends.mps.is_available():
            raise InputError("device mps: this machine or this torch has none; use --device cpu")
        return name
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise InputError(f"device {name}: torch {torch.__version__} finds no CUDA device; use --device cpu")
    index = int(name.partition(":")[2] or 0)
    if index >= count:
        raise InputError(f"device {name}: expected cuda:0 to cuda:{count - 1}")
    return f"cuda:{index}"
