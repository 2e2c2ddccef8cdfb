"""The teachers' Q-networks, with the seeds stacked along a leading axis S; a single network has S = 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from understudy.suite import draws
from understudy.suite.errors import InputError
from understudy.suite.io import bounded, tensor_files
from understudy.suite.io.readable import Readable
from understudy.suite.protocols import Game
from understudy.suite.teachers import layers

# family -> (out channels, kernel, stride) of each convolution, units of each hidden linear layer.
# Source: atari, Mnih et al., Human-level control through deep reinforcement learning (Nature 2015);
# minatar, Young and Tian, MinAtar (arXiv:1903.03176); darkroom, this project.
ARCHITECTURES: Mapping[str, tuple[Sequence[tuple[int, int, int]], Sequence[int]]] = {
    "atari": (((32, 8, 4), (64, 4, 2), (64, 3, 1)), (512,)),
    "minatar": (((16, 3, 1),), (128,)),
    "darkroom": ((), (64,)),
}

Parameters = dict[str, Tensor]  # name -> [S, *shape]

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}  # in which convolutions can multiply


def shapes(game: Game) -> dict[str, tuple[int, ...]]:
    """Return each parameter's shape in one network, by name, in the order of the layers."""
    convolutions, hidden = ARCHITECTURES[game.family]
    found: dict[str, tuple[int, ...]] = {}
    if game.observation_shape:
        channels, height, width = game.observation_shape
    else:
        channels, height, width = game.observation_values, 1, 1  # an integer is encoded one-hot
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
    """Return initial parameters [S, ...]: Glorot-uniform weights, zero biases, one generator per seed.

    Source: Glorot and Bengio (AISTATS 2010); the initialiser of the published runs that ours are compared to.
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


def to_layers(game: Game, name: str, tensor: Tensor) -> Tensor:
    """Return a stored parameter [S, ...], or Adam's averages of one, in the order and layout of `Network`.

    The stored order of a convolution's outputs is pixel by pixel; `Network`'s convolution of planes returns
    them channel by channel. After other convolutions a unit's weights are contiguous in memory, as each
    observation's features are.
    """
    if not _has_planes(game):
        if name == "linear0.weight" and ARCHITECTURES[game.family][0]:
            return tensor.transpose(1, 2).contiguous().transpose(1, 2)
        return tensor
    if name == "linear0.weight":
        S, features, units = tensor.shape
        channels = ARCHITECTURES[game.family][0][-1][0]
        return tensor.view(S, features // channels, channels, units).transpose(1, 2).reshape(tensor.shape)
    return tensor.contiguous()


def from_layers(game: Game, name: str, tensor: Tensor) -> Tensor:
    """Return the stored form of a parameter; the inverse of `to_layers`."""
    if name != "linear0.weight" or not _has_planes(game):
        return tensor
    S, features, units = tensor.shape
    channels = ARCHITECTURES[game.family][0][-1][0]
    return tensor.view(S, channels, features // channels, units).transpose(1, 2).reshape(tensor.shape)


def q_values(game: Game, parameters: Parameters, observations: Tensor) -> Tensor:
    """Return action values [S, B, A] of observations [S, B, *observation_shape], of the game's dtype."""
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
        x = x.permute(0, 2, 3, 1).reshape(x.shape[0], *x.shape[2:], S, -1)  # [B, H, W, S, C], contiguous
        x = x.permute(3, 0, 1, 2, 4).flatten(2)  # [S, B, F]
    else:
        x = functional.one_hot(observations.long(), game.observation_values).float()  # [S, B, F]
    for i in range(len(hidden) + 1):
        x = torch.baddbmm(parameters[f"linear{i}.bias"].unsqueeze(1), x, parameters[f"linear{i}.weight"])
        x = functional.relu(x) if i < len(hidden) else x
    return x


class Network:
    """`q_values` for one batch size, faster, with hand-written gradients; reads `parameters` at each call."""

    def __init__(
        self, games: Sequence[Game], parameters: Parameters, batch_size: int, precision: str = "float32"
    ) -> None:
        """Take the seeds' games [S], of one family, and their parameters as `to_layers` returns them.

        `precision`, one of PRECISIONS, is that of convolutions over bytes; everything else is float32.
        Raises InputError for a precision other than float32 if the game does not show bytes.
        """
        if precision != "float32" and not _has_bytes(games[0]):
            raise InputError(
                f"precision {precision}: expected a game of byte frames; {games[0].family} learns in float32"
            )
        self._dtype = PRECISIONS[precision]
        convolutions, hidden = ARCHITECTURES[games[0].family]
        self._parameters = parameters
        self._game = games[0]
        self._layers: list[layers.Layer] = []
        self._floats: Tensor | None = None
        height, width = games[0].observation_shape[1:] or (1, 1)
        for i, (_, kernel, stride) in enumerate(convolutions):
            pair = self._pair(f"conv{i}")
            if i == 0 and _has_planes(games[0]):
                planes = max(game.shown_planes or game.observation_shape[0] for game in games)
                self._layers.append(layers.PlanesConvolution(*pair, batch_size, height, width, planes))
            else:
                first, last = i == 0, i == len(convolutions) - 1
                scale = 1 / 255 if first and self._dtype != torch.float32 else 1
                self._layers.append(
                    layers.Convolution(*pair, stride, height, width, first, last, self._dtype, scale)
                )
            height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
        for i in range(len(hidden) + 1):
            first, last = not self._layers, i == len(hidden)
            self._layers.append(layers.Linear(*self._pair(f"linear{i}"), batch_size, not last, first))

    def q_values(self, observations: Tensor) -> Tensor:
        """Return action values [S, B, A] of [S, B, *observation_shape], valid until the next call."""
        x = observations if _has_planes(self._game) else self._inputs(observations)
        for layer in self._layers:
            x = layer.forward(x)
        return x.transpose(1, 2)

    def backward(self, dq: Tensor, gradients: Parameters) -> None:
        """Write the parameters' gradients given those of the newest values, dq [S, B, A], overwriting dq."""
        names = [name.removesuffix(".weight") for name in self._parameters if name.endswith(".weight")]
        dx: Tensor | None = dq.transpose(1, 2)
        for layer, name in reversed(list(zip(self._layers, names, strict=True))):
            assert dx is not None
            dx = layer.backward(dx, gradients[f"{name}.weight"], gradients[f"{name}.bias"])

    def _inputs(self, observations: Tensor) -> Tensor:
        """Return [S, features, B]: one-hot integers, or frames of bytes with the pixels channels-last.

        Bytes are scaled to [0, 1] in float32. In bfloat16, which represents each byte exactly, they stay
        unscaled and the weights are scaled instead.
        """
        if not self._game.observation_shape:
            if self._floats is None:
                self._floats = torch.eye(self._game.observation_values, device=observations.device)
            planes = self._floats.index_select(0, observations.flatten())
            return planes.view(*observations.shape, -1).transpose(1, 2)
        if self._floats is None:
            S, B, C, H, W = observations.shape
            self._floats = torch.empty(S, B, H, W, C, device=observations.device, dtype=self._dtype)
        for frame, floats in zip(observations.unbind(2), self._floats.unbind(4), strict=True):
            floats.copy_(frame)  # copying frame by frame, in memory order, takes a quarter of the time
        if self._dtype == torch.float32:
            self._floats.mul_(1 / 255)
        return self._floats.flatten(2).transpose(1, 2)

    def _pair(self, name: str) -> tuple[Tensor, Tensor]:
        return self._parameters[f"{name}.weight"], self._parameters[f"{name}.bias"]


def load_parameters(path: Readable, game: Game) -> Parameters:
    """Return a stored network, S = 1; InputError unless its names, shapes and values fit the game."""
    try:
        data = bounded.read(path)
    except OSError as error:
        raise InputError(f"{path}: expected a network in safetensors format ({error})") from error
    stored = tensor_files.tensors(data, path, "expected a network; fetch it again")
    expected = shapes(game)
    found = {name: tuple(tensor.shape) for name, tensor in stored.items()}
    if found != expected:
        wrong = sorted(set(found.items()) ^ set(expected.items()))[0]
        raise InputError(f"{path}: not a {game.family} teacher network; first difference: {wrong!s:.200}")
    for name, tensor in stored.items():
        if tensor.dtype != torch.float32 or not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{path}: {name}: expected finite float32, found {tensor.dtype}")
    return {name: stored[name].unsqueeze(0) for name in expected}


def load_each(paths: Sequence[Readable], game: Game) -> list[Parameters]:
    """Return the network of each path, S = 1; each file is read once. Raises as `load_parameters` does."""
    found = {path: load_parameters(path, game) for path in dict.fromkeys(paths)}
    return [found[path] for path in paths]


def _has_bytes(game: Game) -> bool:
    """Return whether the game's observations are frames of bytes."""
    return bool(game.observation_shape) and game.observation_values == 256


def _has_planes(game: Game) -> bool:
    """Return whether the game's observations are planes of zeros and ones."""
    return bool(game.observation_shape) and game.observation_values == 2


def _zeros(num_seeds: int, shape: tuple[int, ...]) -> Tensor:
    """Return zeros [S, *shape]; kernels are channels-last in memory, or each use would copy them."""
    if len(shape) < 4:
        return torch.zeros(num_seeds, *shape)
    out, channels, height, width = shape
    return torch.zeros(num_seeds, out, height, width, channels).permute(0, 1, 4, 2, 3)
