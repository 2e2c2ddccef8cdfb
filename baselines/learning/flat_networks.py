"""Teachers' networks as flat vectors, a row a network: how they lie in a state."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from understudy.suite.protocols import Game
from understudy.suite.teachers import network

LEARNED = (
    "network",
    "target",
    "average",
    "square",
)  # a DQN's; Adam's averages last


def num_parameters(game: Game) -> int:
    """Return P, the parameters of one network."""
    return sum(math.prod(shape) for shape in network.shapes(game).values())


def views(flat: Tensor, game: Game) -> network.Parameters:
    """Return the parts of flat vectors [B, P] as parameters [B, *shape], in the order of `to_layers`.

    Kernels over many channels lie channels-last, as the convolution library wants them.
    """
    found, start = {}, 0
    for name, shape in network.shapes(game).items():
        part = flat[:, start : start + math.prod(shape)]
        if len(shape) == 4 and game.observation_values > 2:
            out, channels, height, width = shape
            found[name] = part.view(-1, out, height, width, channels).permute(0, 1, 4, 2, 3)
        else:
            found[name] = part.view(-1, *shape)
        start += math.prod(shape)
    return found


def stored_parameters(flat: Tensor, game: Game) -> network.Parameters:
    """Return networks of a state, flat [B, P], as they are stored: name -> [B, *shape]."""
    return {name: network.from_layers(game, name, view) for name, view in views(flat, game).items()}


def learned_anew(game: Game, seed: int) -> dict[str, Tensor]:
    """Return a fresh network, drawn from a seed as a teacher's is, as `LEARNED`."""
    initial = network.initial_parameters(game, [seed])
    return learned_by({f"network.{name}": tensor[0] for name, tensor in initial.items()}, game)


def learned_by(tensors: Mapping[str, Tensor], game: Game) -> dict[str, Tensor]:
    """Return what a teacher has learned (`dqn.Learner.tensors`) as `LEARNED`; what is absent is zero."""
    flat = {name: torch.zeros(1, num_parameters(game)) for name in LEARNED}
    sources = {"average": "optimiser.exp_avg", "square": "optimiser.exp_avg_sq"}
    for kind, vector in flat.items():
        for name, view in views(vector, game).items():
            stored = tensors.get(f"{sources.get(kind, kind)}.{name}")
            if stored is None and kind == "target":
                stored = tensors[f"network.{name}"]
            if stored is not None:
                view.copy_(network.to_layers(game, name, stored.unsqueeze(0)))
    return {kind: vector[0] for kind, vector in flat.items()}


def updates_of(tensors: Mapping[str, Tensor]) -> int:
    """Return how many steps Adam has made, of `dqn.Learner.tensors`."""
    return next((int(value) for name, value in tensors.items() if name.startswith("optimiser.step.")), 0)
