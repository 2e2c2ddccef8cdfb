"""Frozenness: a hash over a module's parameters and buffers, and the handling of modules that change them."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from understudy.suite.harness.child_player import ChildPlayer
from understudy.suite.harness.child_states import WeightsInChild
from understudy.suite.protocols import State


def parameters_sha256(module: nn.Module) -> str:
    """Return the SHA-256 over names, dtypes, shapes and bytes of all parameters and buffers.

    A player in a process of its own says it itself; whether it is true is found by rechecking.
    """
    if isinstance(module, ChildPlayer):
        return module.parameters_sha256()
    digest = hashlib.sha256()
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous().cpu()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def weights_of(player: nn.Module, kept: bool) -> Weights | WeightsInChild:
    """Return what watches a module's parameters and buffers for changes, where the module is."""
    return player.weights(kept) if isinstance(player, ChildPlayer) else Weights(player, kept)


class Weights:
    """A module's parameters and buffers: their initial values, and their values if they changed."""

    PREFIX = "weights/"

    def __init__(self, player: nn.Module, kept: bool) -> None:
        """Watch a module for changes; if `kept`, its present values can be put back by `restore`."""
        self._tensors = dict(player.named_parameters()) | dict(player.named_buffers())
        self._first = (
            {name: tensor.detach().clone() for name, tensor in self._tensors.items()} if kept else {}
        )
        self._versions = self._now()

    def moved(self) -> State:
        """Return all tensors, to be stored beside the state, if one of them changed; otherwise nothing."""
        if self._now() == self._versions:
            return {}
        return {self.PREFIX + name: tensor for name, tensor in self._tensors.items()}

    def put_back(self, state: State) -> State:
        """Move the tensors that `moved` returned from a stored state into the module; return the rest."""
        with torch.no_grad():
            for name in [name for name in state if name.startswith(self.PREFIX)]:
                self._tensors[name.removeprefix(self.PREFIX)].copy_(state.pop(name))
        return state

    def restore(self) -> None:
        """Put the kept values back if they changed."""
        if self._first and self._now() != self._versions:
            with torch.no_grad():
                for name, tensor in self._tensors.items():
                    tensor.copy_(self._first[name])
            self._versions = self._now()

    def _now(self) -> list[int]:
        return [tensor._version for tensor in self._tensors.values()]
