"""One step repeated many times: on a CUDA device it is captured once and then replayed as a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

Inputs = TypeVar("Inputs")

CALLS_BEFORE = 3  # libraries choose and allocate in their first calls, which a capture forbids


class Repeated(Generic[Inputs]):
    """A function of tensors that lie at the same place in every call; without CUDA it is just called.

    The first calls do their work as any other, so a step counts once, captured or not.
    Source: CUDA semantics, "CUDA graphs", in the documentation of PyTorch.
    """

    def __init__(self, function: Callable[[Inputs], Tensor], device: torch.device) -> None:
        self._function = function
        self._on_cuda = device.type == "cuda"
        self._calls = 0

    def __call__(self, inputs: Inputs) -> Tensor:
        """Return the function's result; on CUDA it holds until the next call."""
        if not self._on_cuda:
            return self._function(inputs)
        self._calls += 1
        if self._calls <= CALLS_BEFORE:
            return self._on_a_side_stream(inputs)
        if self._calls == CALLS_BEFORE + 1:
            self._inputs = inputs
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._result = self._function(inputs)
        assert inputs is self._inputs, "a graph reads where its first inputs lay"
        self._graph.replay()
        return self._result

    def _on_a_side_stream(self, inputs: Inputs) -> Tensor:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            result = self._function(inputs)
        torch.cuda.current_stream().wait_stream(stream)
        return result
