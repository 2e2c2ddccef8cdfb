"""The frame of the recurrent architectures: tokens, blocks of a mixer and an MLP, one logit per action.

They differ in the mixer alone, the part that carries information from move to move. Its state has a constant
size; `unroll` computes many moves at once, and `step` the same for one.

A step's products are so small that calling a submodule takes half as long as its product. So blocks and
mixers hold their weights as parameters of their own and use torch's functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.baselines.training.token import CELL_DIGITS, Token
from understudy.suite import validation
from understudy.suite.protocols import Game, State, Timestep

MOST_AXES = 4  # of a tensor of a mixer's state
INITIAL_STD = 0.02  # Source: Radford et al., Language models are unsupervised multitask learners (2019)


@dataclass(frozen=True)
class HeadsConfig:
    """Settings of a model whose mixers have heads."""

    layers: int = validation.bounded(1, 64, meaning="blocks, one after another")
    width: int = validation.bounded(4, 4096, meaning="units of a token; a multiple of heads")
    heads: int = validation.bounded(1, 64, meaning="memories of a layer, each of width / heads units")
    mlp_width: int = validation.bounded(1, 65_536, meaning="hidden units of a block's MLP")
    cell_digits: int = validation.bounded(1, 2, 1, CELL_DIGITS)

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads; found {self.width}, {self.heads}")


class Mixer(Protocol):
    """A layer over moves, a module; its state is a flat dict of float32 [B, ...], where zeros are empty."""

    def initial_state(self, batch_size: int) -> State:
        """Return zeros of the state's shapes, on the module's device."""

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return [B, W] of tokens [B, W] of one move, and the next state; `state` may be written into."""

    def unroll(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return [B, T, W] of tokens [B, T, W], and the state after them; `state` is left as it is."""


class Block(nn.Module):
    """A mixer and a two-layer MLP, each added to the residual stream after a normalisation of its input."""

    def __init__(self, width: int, mixer: Mixer, mlp_width: int, out_std: float) -> None:
        super().__init__()
        self.mixer_norm = nn.Parameter(torch.ones(width))
        self.mixer = cast(nn.Module, mixer)
        self.mlp_norm = nn.Parameter(torch.ones(width))
        self.mlp_in = drawn(mlp_width, width, std=INITIAL_STD)
        self.mlp_out = drawn(width, mlp_width, std=out_std)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the next layer's tokens [B, W] and the mixer's next state."""
        mixed, state = cast(Mixer, self.mixer).step(torch.layer_norm(x, x.shape[-1:], self.mixer_norm), state)
        return self._finish(x.add_(mixed)), state

    def unroll(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the next layer's tokens [B, T, W] and the mixer's state after them."""
        mixed, state = cast(Mixer, self.mixer).unroll(
            torch.layer_norm(x, x.shape[-1:], self.mixer_norm), state
        )
        return self._finish(x + mixed), state

    def _finish(self, x: Tensor) -> Tensor:
        normed = torch.layer_norm(x, x.shape[-1:], self.mlp_norm)
        hidden = functional.linear(normed, self.mlp_in).relu_()  # [..., M]
        return functional.linear(hidden, self.mlp_out).add_(x)


class SequenceModel(nn.Module):
    """Tokens, blocks, one logit per action.

    State: `age` int64 [B], the number of moves seen in this run, and for each layer l the mixer's state, with
    `_l` behind each name. Its logits may depend on all moves of the run.
    """

    reach_moves: int | None = None
    masks_by_age = False  # the mixers get `age` [B] in their state and mask what is older; else it is emptied

    def __init__(
        self,
        game: Game,
        width: int,
        layers: int,
        mlp_width: int,
        mixer: Callable[[], Mixer],
        cell_digits: int = 1,
    ) -> None:
        """Take the widths and what makes a layer's mixer, with its parameters drawn.

        The MLP's weights are drawn as the transformer's: the last is scaled down with the depth.
        """
        super().__init__()
        self.token = Token(game, width, cell_digits)
        out_std = INITIAL_STD / math.sqrt(2 * layers)
        self.blocks = nn.ModuleList(Block(width, mixer(), mlp_width, out_std) for _ in range(layers))
        self.norm = nn.Parameter(torch.ones(width))
        self.decide = nn.Linear(width, game.num_actions)
        self._names = [  # of each layer: the mixer's name of a tensor, and the state's
            [(name, f"{name}_{layer}") for name in cast(Mixer, block.mixer).initial_state(1)]
            for layer, block in enumerate(self.blocks)
        ]

    def initial_state(self, batch_size: int) -> State:
        """Return the empty state of `batch_size` rows."""
        here = self.decide.weight.device
        state = {"age": torch.zeros(batch_size, dtype=torch.int64, device=here)}
        for names, block in zip(self._names, self.blocks, strict=True):
            own = cast(Mixer, block.mixer).initial_state(batch_size)
            state |= {stored: own[name] for name, stored in names}
        return state

    @torch.inference_mode()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, A] for one move, and the next state; `state` may be written into.

        They are inference tensors: clone the logits before use in autograd.
        """
        kept = _factors(timestep.first_of_run)
        x = self.token(timestep, 1)  # [B, W]
        age = state["age"] * kept[0]
        after = {"age": age + 1}
        for names, block in zip(self._names, self.blocks, strict=True):
            if self.masks_by_age:
                memory = {"age": age, **{name: state[stored] for name, stored in names}}
            else:
                memory = {name: state[stored].mul_(kept[state[stored].dim()]) for name, stored in names}
            x, memory = cast(Block, block).step(x, memory)
            for name, stored in names:
                after[stored] = memory[name]
        return self._decide(x), after  # [B, A]

    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, T, A] for T moves, and the state after them, detached from the graph.

        Memory grows with T: unroll a long history in pieces. `first_of_run` is read at the first move only.
        """
        kept = _factors(timesteps.first_of_run[:, 0])
        x = self.token(timesteps, 2)  # [B, T, W]
        age = state["age"] * kept[0]
        after = {"age": age + timesteps.first.shape[1]}
        for names, block in zip(self._names, self.blocks, strict=True):
            if self.masks_by_age:
                memory = {"age": age, **{name: state[stored] for name, stored in names}}
            else:
                memory = {name: state[stored] * kept[state[stored].dim()] for name, stored in names}
            x, memory = cast(Block, block).unroll(x, memory)
            after |= {stored: memory[name].detach() for name, stored in names}
        return self._decide(x), after  # [B, T, A]

    def _decide(self, x: Tensor) -> Tensor:
        normed = torch.layer_norm(x, x.shape[-1:], self.norm)
        return functional.linear(normed, self.decide.weight, self.decide.bias)


def drawn(rows: int, columns: int, std: float) -> nn.Parameter:
    """Return a weight [rows, columns] of normal draws, for `functional.linear`."""
    return nn.Parameter(std * torch.randn(rows, columns))


def _factors(begins: Tensor) -> list[Tensor]:
    """Return what empties the rows bool [B] of a state, as a factor: 0 where a run begins, else 1.

    Tensor n of the list, float32 [B, 1, ...], is for a memory of n axes; the first, bool [B], for the age.
    A mask would take several times as long.
    """
    kept = begins.logical_not()  # [B]
    factor = kept.float()
    return [kept, factor, *(factor.view(-1, *[1] * axes) for axes in range(1, MOST_AXES))]
