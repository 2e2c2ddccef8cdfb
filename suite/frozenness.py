"""Frozenness: one hash over everything a module holds, taken before and after it plays."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def parameters_sha256(module: nn.Module) -> str:
    """Return the SHA-256 over names, dtypes, shapes and bytes of all parameters and buffers."""
    digest = hashlib.sha256()
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous().cpu()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
