"""Observation encoders: modules that turn an observation of any game family into a vector."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.suite.errors import InputError
from understudy.suite.protocols import Game

PIXEL_SCALE = 1 / 255


def observation_kind(game: Game) -> str:
    """Return the kind of a game's observations: "cell", "planes" or "frames"; InputError for any other."""
    rank, dtype = len(game.observation_shape), game.observation_dtype
    if rank == 0 and "int" in dtype:
        return "cell"
    if rank == 3 and dtype == "bool":
        return "planes"
    if rank == 3 and dtype == "uint8" and min(game.observation_shape[1:]) >= FRAMES_MIN_SIDE:
        return "frames"
    raise InputError(
        f"{game.name}: no encoder for {dtype} observations of shape {game.observation_shape}; known: an "
        f"integer, bool [channels, rows, columns], uint8 [frames, rows, columns] from {FRAMES_MIN_SIDE} on"
    )


def encoder(game: Game, width: int, cell_digits: int = 1) -> nn.Module:
    """Return the game's encoder: observations [N, *observation_shape] -> float32 [N, width].

    With 2 `cell_digits`, an integer is encoded by its digits: in Dark room, by row and column.
    """
    kind = observation_kind(game)
    if kind == "cell":
        kinds = {1: CellEncoder, 2: DigitsEncoder}
        return kinds[cell_digits](game.observation_values, width)
    return (PlanesEncoder if kind == "planes" else FramesEncoder)(game.observation_shape, width)


def encode(module: nn.Module, observation: Tensor, leading_axes: int) -> Tensor:
    """Return an encoder's vectors [..., width] of observations with `leading_axes` batch axes."""
    vectors: Tensor = module(observation.flatten(0, leading_axes - 1))  # [N, width]
    return vectors.view(*observation.shape[:leading_axes], -1)


class CellEncoder(nn.Module):
    """A learned vector for each integer below `values`."""

    def __init__(self, values: int, width: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(values, width)

    def forward(self, observation: Tensor) -> Tensor:
        """Return vectors [N, width] of integers [N]."""
        return functional.embedding(observation.long(), self.vectors.weight)


class DigitsEncoder(nn.Module):
    """For each integer below `values`, the sum of the learned vectors of its two digits.

    Their base is the square root of `values`, rounded up. So the numbers of a square grid's cells, counted
    row by row, have row and column as digits.
    """

    def __init__(self, values: int, width: int) -> None:
        super().__init__()
        self.base = math.isqrt(values - 1) + 1
        self.high = nn.Embedding(self.base, width)
        self.low = nn.Embedding(self.base, width)

    def forward(self, observation: Tensor) -> Tensor:
        """Return vectors [N, width] of integers [N]."""
        number = observation.long()
        high = functional.embedding(number // self.base, self.high.weight)
        return high + functional.embedding(number % self.base, self.low.weight)


class PlanesEncoder(nn.Module):
    """For bool planes: one 3x3 convolution of 16 channels, as in MinAtar's networks, and a linear layer.

    Source: Young and Tian, MinAtar (2019), section 3.
    """

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        channels, rows, columns = shape
        self.convolution = nn.Conv2d(channels, 16, 3, padding=1 if min(rows, columns) < 3 else 0)
        self.project = nn.Linear(_num_features(self.convolution, shape), width)

    def forward(self, observation: Tensor) -> Tensor:
        """Return vectors [N, width] of bool planes [N, C, rows, columns]."""
        features = functional.relu(self.convolution(observation.float()))
        return cast(Tensor, self.project(features.flatten(1)))


class FramesEncoder(nn.Module):
    """For grey frames: the DQN's three convolutions with half their channels, the last with stride 2.

    Source: Mnih et al., Human-level control through deep reinforcement learning (Nature 2015), methods.
    """

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(shape[0], 16, 8, stride=4),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, stride=2),
            nn.ReLU(),
        )
        self.project = nn.Linear(_num_features(self.convolutions, shape), width)

    def forward(self, observation: Tensor) -> Tensor:
        """Return vectors [N, width] of uint8 frames [N, frames, rows, columns]."""
        # Channels last makes an update a third faster, and a single move hardly slower.
        pixels = observation.to(torch.float32, memory_format=torch.channels_last).mul_(PIXEL_SCALE)
        return cast(Tensor, self.project(self.convolutions(pixels).flatten(1)))


FRAMES_MIN_SIDE = 36  # below this the third convolution's input is smaller than its kernel


def _num_features(module: nn.Module, shape: tuple[int, ...]) -> int:
    with torch.no_grad():
        return int(module(torch.zeros(1, *shape)).numel())
