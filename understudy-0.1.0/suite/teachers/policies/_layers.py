"""Convert another library's layers to a teacher network's: order of axes and features, number of actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from understudy.suite.errors import InputError
from understudy.suite.protocols import Game
from understudy.suite.teachers import network
from understudy.suite.teachers.network import Parameters

NEVER_CHOSEN = np.finfo(np.float32).min  # value of a legal action that the network has no output for


def parameters(
    game: Game, state: Mapping[str, np.ndarray], layers: Sequence[str], where: object
) -> Parameters:
    """Return layers, named in the order of their use, as a teacher network's parameters, S = 1.

    A layer `x` has `x.weight`, [out, in, k, k] or [out, in], and `x.bias`, as in PyTorch's Conv2d and Linear.
    The first convolution has an input for each plane, or for each that the game ever shows. The last layer
    has an output for each of the family's actions, or for each of the minimal set.

    Raises InputError if a name, shape or value doesn't fit; `where` begins its message.
    """
    shapes = network.shapes(game)
    names = [name.removesuffix(".weight") for name in shapes if name.endswith(".weight")]
    convolutions = [name for name in names if name.startswith("conv")]
    if len(layers) != len(names):
        raise InputError(
            f"{where}: {len(layers)} layers ({_described(state, layers)}); a {game.family} teacher has "
            f"{len(names)} ({_expected(shapes, names)}); this architecture can't be converted"
        )
    found: dict[str, np.ndarray] = {}
    for name, layer in zip(names, layers, strict=True):
        weight, bias = (_numbers(state, f"{layer}.{part}", where) for part in ("weight", "bias"))
        if name == names[-1]:
            weight, bias = _all_actions(game, weight, bias)
        if name == "conv0":
            weight = _all_planes(game, weight)
        if name == "linear0" and convolutions:
            weight = _channels_last(weight, channels=shapes[f"{convolutions[-1]}.bias"][0])
        if name.startswith("linear"):
            weight = weight.T
        found[f"{name}.weight"], found[f"{name}.bias"] = weight, bias
        for part in ("weight", "bias"):
            original = state[f"{layer}.{part}"].shape
            if found[f"{name}.{part}"].shape != shapes[f"{name}.{part}"]:
                accepted = _accepted(game, shapes, name, part)
                raise InputError(
                    f"{where}: {layer}.{part} is {list(original)}, expected {accepted} for a {game.family} "
                    "teacher; this architecture or game can't be converted"
                )
    return {
        name: torch.from_numpy(np.ascontiguousarray(array, np.float32)).unsqueeze(0)
        for name, array in found.items()
    }


def _numbers(state: Mapping[str, np.ndarray], name: str, where: object) -> np.ndarray:
    if name not in state:
        raise InputError(f"{where}: no {name}; found {', '.join(list(state)[:12])}")
    array = state[name]
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise InputError(f"{where}: {name}: expected finite floating-point numbers, found {array.dtype}")
    return array


def _all_actions(game: Game, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the last layer with a row for each action, given one for each action of the minimal set.

    The value of an illegal action is 0, as it is never read; that of other missing ones is below all others.
    """
    minimal = list(game.minimal_actions)
    if len(weight) != len(minimal) or len(bias) != len(minimal) or len(minimal) == game.num_actions:
        return weight, bias
    full_weight = np.zeros((game.num_actions, *weight.shape[1:]), np.float32)
    full_bias = np.where(game.legal_actions, NEVER_CHOSEN, np.float32(0))
    full_weight[minimal], full_bias[minimal] = weight, bias
    return full_weight, full_bias


def _all_planes(game: Game, weight: np.ndarray) -> np.ndarray:
    """Return the first convolution with inputs for all planes, given inputs for those that are ever shown.

    The weights of the others are 0; these planes are always empty.
    """
    if weight.ndim != 4 or weight.shape[1] != game.shown_planes:
        return weight  # all planes; otherwise the caller reports the wrong shape
    missing = game.observation_shape[0] - weight.shape[1]
    return np.pad(weight, ((0, 0), (0, missing), (0, 0), (0, 0)))


def _channels_last(weight: np.ndarray, channels: int) -> np.ndarray:
    """Return weights [out, in] reordered: (channel, row, column) inputs become (row, column, channel)."""
    if weight.ndim != 2 or weight.shape[1] % channels:
        return weight  # the caller reports the wrong shape
    return weight.reshape(len(weight), channels, -1).transpose(0, 2, 1).reshape(len(weight), -1)


def _as_stored(shape: tuple[int, ...], name: str, part: str) -> tuple[int, ...]:
    """Return a teacher network's shape in PyTorch's order of axes."""
    return shape[::-1] if name.startswith("linear") and part == "weight" else shape


def _accepted(game: Game, shapes: Mapping[str, tuple[int, ...]], name: str, part: str) -> str:
    """Return the shapes that a parameter may have, in PyTorch's order of axes, for a message."""
    full = list(_as_stored(shapes[f"{name}.{part}"], name, part))
    accepted = [full]
    if name == list(shapes)[-1].removesuffix(".bias"):
        accepted.append([len(game.minimal_actions), *full[1:]])
    if f"{name}.{part}" == "conv0.weight" and game.shown_planes is not None:
        accepted.append([full[0], game.shown_planes, *full[2:]])
    return " or ".join(dict.fromkeys(map(str, accepted)))


def _described(state: Mapping[str, np.ndarray], layers: Sequence[str]) -> str:
    return ", ".join(str(list(state[f"{layer}.weight"].shape)) for layer in layers) or "none"


def _expected(shapes: Mapping[str, Any], names: Sequence[str]) -> str:
    return ", ".join(str(list(_as_stored(shapes[f"{n}.weight"], n, "weight"))) for n in names)
