"""The networks' layers with hand-written gradients, the seeds stacked along a leading axis S.

Between layers a batch is [S, features, B], in any memory layout. Each layer computes into its own buffers:
it works for one batch size, and the result of `forward` is valid until the next `forward`. `backward` is
called after `forward` and writes the gradients in place.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Layer(Protocol):
    """One layer and its ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's outputs [S, features, B] of its inputs."""

    def backward(self, dy: Tensor, weight_gradient: Tensor, bias_gradient: Tensor) -> Tensor | None:
        """Write both gradients given the outputs' `dy`, overwriting it; return the inputs', unless first."""


class Linear:
    """y = W x + b in each seed, with or without a ReLU."""

    def __init__(self, weight: Tensor, bias: Tensor, batch_size: int, relu: bool, first: bool) -> None:
        """Take weight [S, F, U] and bias [S, U]."""
        S, _, units = weight.shape
        self._weight, self._bias, self._relu, self._first = weight, bias.unsqueeze(2), relu, first
        self._y = weight.new_empty(S, units, batch_size)
        self._dx: Tensor | None = None  # in x's layout

    def forward(self, x: Tensor) -> Tensor:
        """Return [S, U, B] of x [S, F, B]."""
        self._x = x
        if x.shape[2] == 1:  # computed on rows, because products with a one-column matrix are slow
            bias, y = self._bias.transpose(1, 2), self._y.transpose(1, 2)
            torch.baddbmm(bias, x.transpose(1, 2), self._weight, out=y)
        else:
            torch.baddbmm(self._bias, self._weight.transpose(1, 2), x, out=self._y)
        return self._y.relu_() if self._relu else self._y

    def backward(self, dy: Tensor, weight_gradient: Tensor, bias_gradient: Tensor) -> Tensor | None:
        """Write the gradients [S, F, U] and [S, U] from dy [S, U, B]."""
        if self._relu:
            _mask_by_relu(dy, self._y)
        torch.bmm(self._x, dy.transpose(1, 2), out=weight_gradient)
        torch.sum(dy, 2, out=bias_gradient)
        if self._first:
            return None
        if self._dx is None:
            self._dx = torch.empty_like(self._x)
        return torch.bmm(self._weight, dy, out=self._dx)


class PlanesConvolution:
    """The first layer over a few planes of zeros and ones: all its windows as the columns of one matrix.

    The batch is the innermost axis, so that windows are copied in long contiguous pieces. Planes from
    `planes` on are padding to a family's common shape: always zero, without effect or gradient.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, batch_size: int, height: int, width: int, planes: int
    ) -> None:
        """Take weight [S, O, C, k, k] and bias [S, O]."""
        S, out, _, kernel, _ = weight.shape
        rows, columns = height - kernel + 1, width - kernel + 1
        B = batch_size
        self._planes, self._multiplied = planes, planes * kernel * kernel
        self._weight = weight.view(S, out, -1)[:, :, : self._multiplied]  # [S, O, K]
        self._bias = bias.unsqueeze(2)
        self._x = weight.new_empty(S, planes, height, width, B)
        s, c, h, w, b = self._x.stride()
        self._windows = self._x.as_strided(
            (S, planes, kernel, kernel, rows, columns, B), (s, c, h, w, h, w, b)
        )
        self._copied = weight.new_empty(self._windows.shape)
        self._columns = self._copied.view(S, self._multiplied, rows * columns * B)
        self._y = weight.new_empty(S, out, rows * columns * B)

    def forward(self, x: Tensor) -> Tensor:
        """Return [S, O * pixels, B] of bool planes [S, B, C, H, W]."""
        S, B = x.shape[:2]
        self._x.copy_(x.view(torch.uint8)[:, :, : self._planes].permute(0, 2, 3, 4, 1))
        self._copied.copy_(self._windows)
        torch.baddbmm(self._bias, self._weight, self._columns, out=self._y)
        return self._y.relu_().view(S, -1, B)

    def backward(self, dy: Tensor, weight_gradient: Tensor, bias_gradient: Tensor) -> None:
        """Write the gradients [S, O, C, k, k] and [S, O] from dy [S, O * pixels, B]."""
        dz = dy.view(self._y.shape)
        _mask_by_relu(dz, self._y)
        gradient = torch.bmm(self._columns, dz.transpose(1, 2))  # [S, K, O], faster than its transpose
        weight_gradient.view(*dz.shape[:2], -1)[:, :, : self._multiplied] = gradient.transpose(1, 2)
        torch.sum(dz, 2, out=bias_gradient)


class Convolution:
    """A convolution by the device's library, one seed after another; pixels are channels-last.

    With `dtype` bfloat16 it multiplies in that type and adds up in float32, which some processors do much
    faster. Weights and gradients stay float32, as do the outputs if it is the `last` convolution.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        stride: int,
        height: int,
        width: int,
        first: bool,
        last: bool,
        dtype: torch.dtype,
        scale: float,
    ) -> None:
        """Take weight [S, O, C, k, k], fastest if laid out as [S, O, k, k, C], and bias [S, O].

        `scale` is the inputs' scale; it is applied to the weights instead.
        """
        self._weight, self._bias, self._stride = weight, bias, stride
        self._first, self._last = first, last
        self._height, self._width = height, width
        self._dtype, self._scale = dtype, scale

    def forward(self, x: Tensor) -> Tensor:
        """Return [S, pixels * O, B] of x [S, H * W * C, B]."""
        S, _, B = x.shape
        self._x = _channels_first(x.transpose(1, 2).view(S, B, self._height, self._width, -1))
        bias = self._bias.to(self._dtype)
        scaled = self._weight if self._scale == 1 else self._weight * self._scale
        self._multiplied = scaled.to(self._dtype)
        seeds = zip(self._x, self._multiplied, bias, strict=True)
        self._y = [torch.conv2d(*seed, stride=self._stride).relu_() for seed in seeds]
        y = _stacked(self._y)
        return y.float() if self._last else y

    def backward(self, dy: Tensor, weight_gradient: Tensor, bias_gradient: Tensor) -> Tensor | None:
        """Write the gradients [S, O, C, k, k] and [S, O] from dy [S, pixels * O, B]."""
        inputs = []
        dy = dy.to(self._dtype)
        for seed, y in enumerate(self._y):
            B, out, rows, columns = y.shape
            dz = dy[seed].T.view(B, rows, columns, out).permute(0, 3, 1, 2)
            _mask_by_relu(dz, y)
            dx, dw, db = torch.ops.aten.convolution_backward(
                *(dz, self._x[seed], self._multiplied[seed], [out], [self._stride] * 2, [0, 0], [1, 1]),
                *(False, [0, 0], 1, [not self._first, True, True]),
            )
            weight_gradient[seed].copy_(dw)
            bias_gradient[seed].copy_(db)
            inputs.append(dx)
        if self._scale != 1:
            weight_gradient.mul_(self._scale)
        return None if self._first else _stacked(inputs)


def _mask_by_relu(gradient: Tensor, activation: Tensor) -> None:
    """Zero a gradient in place where the ReLU's output is zero."""
    torch.ops.aten.threshold_backward.grad_input(gradient, activation, 0, grad_input=gradient)


def _channels_first(maps: Tensor) -> Tensor:
    """Return maps or kernels [S, N, H, W, C] as [S, N, C, H, W]."""
    return maps.permute(0, 1, 4, 2, 3)


def _stacked(maps: list[Tensor]) -> Tensor:
    """Return channels-last maps, S of [B, O, rows, columns], as [S, pixels * O, B]."""
    rows = [one.permute(0, 2, 3, 1).flatten(1) for one in maps]
    stacked = rows[0].unsqueeze(0) if len(rows) == 1 else torch.stack(rows)  # [S, B, pixels * O]
    return stacked.transpose(1, 2)
