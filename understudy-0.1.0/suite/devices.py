"""Devices: where a player computes. Their names, and the settings that make a repetition give equal bytes.

Games, decoding, exploration and records stay on the CPU; only the player and its state are on the device.
No torch is loaded to name a device.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from understudy.suite.errors import InputError, MachineError

if TYPE_CHECKING:
    import torch
    from torch import nn

CPU: Final = "cpu"
FORMS: Final = ("cpu", "cuda", "cuda:N", "mps")  # of a name; N counts from 0
CUBLAS_WORKSPACE: Final = ":4096:8"  # Source: NVIDIA, cuBLAS documentation, "Results reproducibility"


def type_of(name: str) -> str:
    """Return the type of a device: cpu, cuda or mps; InputError for a name of another form."""
    type_name, colon, index = name.partition(":")
    numbered = bool(colon) and index.isdecimal() and index.isascii() and type_name == "cuda"
    if type_name not in FORMS or (colon and not numbered):
        raise InputError(f"unknown device {name!r}; known: {', '.join(FORMS)}, N a number from 0 on")
    return type_name


def require(name: str) -> str:
    """Return a device's name; InputError, with what was found here, unless this machine has it."""
    type_name = type_of(name)
    if type_name == "cuda":
        _require_cuda(name)
    elif type_name == "mps":
        import torch

        if not torch.backends.mps.is_available():
            raise InputError(f"--device {name}: torch finds no MPS device here; use --device cpu")
    return name


def torch_device(name: str) -> torch.device:
    """Return the device with its number, as tensors on it name it; raises as `require`."""
    import torch

    return torch.empty(0, device=require(name)).device


def moved(player: nn.Module, name: str) -> nn.Module:
    """Return the player, moved to a device; on the CPU it is where it was made."""
    return player if name == CPU else player.to(torch_device(name))


@contextmanager
def computing(name: str) -> Iterator[None]:
    """Have the block's computations on a device give the same bytes at each repetition.

    On CUDA and MPS: only deterministic algorithms, float32 products in full precision (no TF32), no search
    for the fastest convolution. The settings, which are the process's, are put back afterwards. On the CPU
    nothing is changed.
    Source: PyTorch's documentation, "Reproducibility".

    Raises:
        InputError: an operation of the block has no deterministic form on the device.
        MachineError: the device has too little memory.
    """
    if type_of(name) == CPU:
        yield
        return
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", CUBLAS_WORKSPACE)  # read before the first product
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    were = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        products.allow_tf32,
        convolutions.allow_tf32,
        convolutions.benchmark,
        convolutions.deterministic,
    )
    _set(True, False, False, False, False, True)
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MachineError(
            f"--device {name}: its memory is full ({str(error).splitlines()[0]}); give fewer --num-envs"
        ) from error
    except RuntimeError as error:
        operation, found, _ = str(error).partition(" does not have a deterministic implementation")
        if not found:
            raise
        raise InputError(
            f"--device {name}: the player uses {operation}, whose results differ from run to run there; "
            "write it with other operations, or use --device cpu"
        ) from error
    finally:
        _set(*were)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Have torch compute with so many threads of the CPU in the block, and as before afterwards.

    One is fastest for the single moves of small players: more spend most of their time on waiting.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _set(
    only_deterministic: bool,
    warn_only: bool,
    tf32_products: bool,
    tf32_convolutions: bool,
    search: bool,
    deterministic_convolutions: bool,
) -> None:
    import torch

    torch.use_deterministic_algorithms(only_deterministic, warn_only=warn_only)
    torch.backends.cuda.matmul.allow_tf32 = tf32_products
    torch.backends.cudnn.allow_tf32 = tf32_convolutions
    torch.backends.cudnn.benchmark = search
    torch.backends.cudnn.deterministic = deterministic_convolutions


def _require_cuda(name: str) -> None:
    import torch

    if torch.version.cuda is None and torch.version.hip is None:
        raise InputError(
            f"--device {name}: this torch ({torch.__version__}) is built without CUDA; install one with it "
            "(https://pytorch.org/get-started), or use --device cpu"
        )
    if not torch.cuda.is_available():
        raise InputError(
            f"--device {name}: torch finds no CUDA device here; see nvidia-smi, or use --device cpu"
        )
    index, count = name.partition(":")[2], torch.cuda.device_count()
    if index and int(index) >= count:
        found = "cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
        raise InputError(f"--device {name}: no such device here; found {found}")
