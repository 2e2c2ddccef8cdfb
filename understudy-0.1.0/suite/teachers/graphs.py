"""CUDA graphs: a function that is called many times is captured once on a CUDA device and then replayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

Inputs = TypeVar("Inputs")

WARMUP_CALLS = 3  # in its first calls a library chooses kernels and allocates, which a capture forbids


class GraphedFunction(Generic[Inputs]):
    """A function of tensors at the same addresses in every call, replayed as a graph on CUDA.

    Without CUDA the function is called directly. Each call has the function's effects exactly once, the
    warm-up calls and the one that captures included.
    Source: CUDA semantics, "CUDA graphs", in the documentation of PyTorch.
    """

    def __init__(self, function: Callable[[Inputs], Tensor], device: torch.device) -> None:
        self._function = function
        self._on_cuda = device.type == "cuda"
        self._calls = 0

    def __call__(self, inputs: Inputs) -> Tensor:
        """Return the function's result; on CUDA it is valid until the next call."""
        if not self._on_cuda:
            return self._function(inputs)
        self._calls += 1
        if self._calls <= WARMUP_CALLS:
            return self._on_a_side_stream(inputs)
        if self._calls == WARMUP_CALLS + 1:
            self._inputs = inputs
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._result = self._function(inputs)
        assert inputs is self._inputs, "a graph reads the addresses of its first inputs"
        self._graph.replay()
        return self._result

    def _on_a_side_stream(self, inputs: Inputs) -> Tensor:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            result = self._function(inputs)
        torch.cuda.current_stream().wait_stream(stream)
        return result
