"""The teachers' Q-networks, with the seeds stacked along a leading axis S.

One seed is the case S = 1 of the same code. Convolutions keep the seeds apart as groups, linear
layers as batches of one matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from understudy.suite import draws
from understudy.suite.errors import InputError
from understudy.suite.protocols import Game

# family -> (out channels, kernel, stride) of each convolution, units of each hidden linear layer.
# Source: atari, Mnih et al., Human-level control through deep reinforcement learning (Nature 2015);
# minatar, Young and Tian, MinAtar (arXiv:1903.03176); darkroom is ours.
ARCHITECTURES: Mapping[str, tuple[Sequence[tuple[int, int, int]], Sequence[int]]] = {
    "atari": (((32, 8, 4), (64, 4, 2), (64, 3, 1)), (512,)),
    "minatar": (((16, 3, 1),), (128,)),
    "darkroom": ((), (64,)),
}

Parameters = dict[str, Tensor]  # name -> [S, *shape]


def shapes(game: Game) -> dict[str, tuple[int, ...]]:
    """Return each parameter's shape for one seed, in the order of the layers."""
    convolutions, hidden = ARCHITECTURES[game.family]
    found: dict[str, tuple[int, ...]] = {}
    if game.observation_shape:
        channels, height, width = game.observation_shape
    else:
        channels, height, width = game.observation_values, 1, 1  # a number enters as one-hot planes
    for i, (out, kernel, stride) in enumerate(convolutions):
        found[f"conv{i}.weight"] = (out, channels, kernel, kernel)
        found[f"conv{i}.bias"] = (out,)
        channels, height, width = out, (height - kernel) // stride + 1, (width - kernel) // stride + 1
    features = channels * height * width
    for i, units in enumerate((*hidden, game.num_actions)):
        found[f"linear{i}.weight"] = (features, units)
        found[f"linear{i}.bias"] = (units,)
        features = units
    return found


def initial_parameters(game: Game, seeds: Sequence[int]) -> Parameters:
    """Return fresh parameters [S, ...]: Glorot-uniform weights, zero biases, each seed by itself.

    Source: Glorot and Bengio (AISTATS 2010); the initialiser of the published runs we compare with.
    """
    generators = [torch.Generator().manual_seed(draws.derive(seed, "network") % 2**63) for seed in seeds]
    parameters = {}
    for name, shape in shapes(game).items():
        stacked = _zeros(len(seeds), shape)
        if name.endswith("weight"):
            receptive = math.prod(shape[2:])
            bound = math.sqrt(6 / ((shape[0] + shape[1]) * receptive))
            for row, generator in zip(stacked, generators, strict=True):
                row.uniform_(-bound, bound, generator=generator)
        parameters[name] = stacked
    return parameters


def q_values(game: Game, parameters: Parameters, observations: Tensor) -> Tensor:
    """Return action values [S, B, A] of observations [S, B, *observation_shape] in the game's dtype."""
    S = observations.shape[0]
    convolutions, hidden = ARCHITECTURES[game.family]
    if game.observation_shape:
        x = observations.transpose(0, 1).flatten(1, 2)  # [B, S*C, H, W]
        x = x.to(torch.float32, memory_format=torch.channels_last)
        x = x.mul_(1 / 255) if game.observation_values == 256 else x
        for i, (_, _, stride) in enumerate(convolutions):
            weight = parameters[f"conv{i}.weight"].flatten(0, 1)  # [S*O, C, k, k]
            bias = parameters[f"conv{i}.bias"].flatten()
            x = functional.relu(functional.conv2d(x, weight, bias, stride, groups=S))
        x = x.permute(0, 2, 3, 1).reshape(
            x.shape[0], *x.shape[2:], S, -1
        )  # [B, H, W, S, C], in memory's own order
        x = x.permute(3, 0, 1, 2, 4).flatten(2)  # [S, B, F]
    else:
        x = functional.one_hot(observations.long(), game.observation_values).float()  # [S, B, F]
    for i in range(len(hidden) + 1):
        x = torch.baddbmm(parameters[f"linear{i}.bias"].unsqueeze(1), x, parameters[f"linear{i}.weight"])
        x = functional.relu(x) if i < len(hidden) else x
    return x


def load_parameters(path: Path, game: Game) -> Parameters:
    """Return a stored network's parameters with S = 1; InputError unless names, shapes and values fit."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: expected a network in safetensors format ({error})") from error
    expected = shapes(game)
    found = {name: tuple(tensor.shape) for name, tensor in stored.items()}
    if found != expected:
        wrong = sorted(set(found.items()) ^ set(expected.items()))[0]
        raise InputError(f"{path}: not a {game.family} teacher network; first difference: {wrong}")
    for name, tensor in stored.items():
        if tensor.dtype != torch.float32 or not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{path}: {name}: expected finite float32, found {tensor.dtype}")
    return {name: stored[name].unsqueeze(0) for name in expected}


def _zeros(num_seeds: int, shape: tuple[int, ...]) -> Tensor:
    """Return zeros [S, *shape]; kernels lie channels-last in memory, or each use would copy them."""
    if len(shape) < 4:
        return torch.zeros(num_seeds, *shape)
    out, channels, height, width = shape
    return torch.zeros(num_seeds, out, height, width, channels).permute(0, 1, 4, 2, 3)
