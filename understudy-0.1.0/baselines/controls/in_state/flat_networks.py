"""Teachers' networks as flat vectors, one per row: their form in a player's state."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from understudy.suite.protocols import Game
from understudy.suite.teachers import network

LEARNED = ("network", "target", "average", "square")  # flat vectors of a DQN; the last two are Adam's


def num_parameters(game: Game) -> int:
    """Return P, the number of parameters of one network."""
    return sum(math.prod(shape) for shape in network.shapes(game).values())


def views(flat: Tensor, game: Game) -> network.Parameters:
    """Return views of flat vectors [B, P] as parameters [B, *shape], in the order of `network.to_layers`.

    Kernels over many channels are channels-last, as the convolution library expects them.
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
    """Return networks of a state, flat [B, P], in their stored form: name -> [B, *shape]."""
    return {name: network.from_layers(game, name, view) for name, view in views(flat, game).items()}


def initial(game: Game, seed: int) -> dict[str, Tensor]:
    """Return the LEARNED vectors [P] of an initial network, drawn from a seed as a teacher's is."""
    parameters = network.initial_parameters(game, [seed])
    return flattened({f"network.{name}": tensor[0] for name, tensor in parameters.items()}, game)


def flattened(tensors: Mapping[str, Tensor], game: Game) -> dict[str, Tensor]:
    """Return a teacher's tensors (`dqn.DQNLearner.tensors`) as LEARNED vectors [P]; absent ones are zero."""
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
    """Return Adam's number of updates among a teacher's tensors (`dqn.DQNLearner.tensors`)."""
    return next((int(value) for name, value in tensors.items() if name.startswith("optimiser.step.")), 0)
