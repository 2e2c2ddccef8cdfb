"""The frame of the recurrent architectures: tokens, blocks of a mixer and an MLP, one logit per action.

They differ in the mixer alone, the part that carries information from move to move. Its state has a constant
size; `unroll` computes many moves at once, and `step` the same for one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.baselines.training.token import Token
from understudy.suite.protocols import Game, State, Timestep

INITIAL_STD = 0.02  # Source: Radford et al., Language models are unsupervised multitask learners (2019)


class Mixer(Protocol):
    """A layer over moves, a module; its state is a flat dict of tensors [B, ...], where zeros are empty."""

    def initial_state(self, batch_size: int) -> State:
        """Return zeros of the state's shapes, on the module's device."""

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return [B, W] of tokens [B, W] of one move, and the next state; `state` may be written into."""

    def unroll(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return [B, T, W] of tokens [B, T, W], and the state after them; `state` is left as it is."""


class Block(nn.Module):
    """A mixer and a two-layer MLP, each added to the residual stream after a normalisation of its input."""

    def __init__(self, width: int, mixer: Mixer, mlp_width: int) -> None:
        super().__init__()
        self.mixer_norm = nn.LayerNorm(width, bias=False)
        self.mixer = cast(nn.Module, mixer)
        self.mlp_norm = nn.LayerNorm(width, bias=False)
        self.mlp_in = nn.Linear(width, mlp_width, bias=False)
        self.mlp_out = nn.Linear(mlp_width, width, bias=False)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the next layer's tokens [B, W] and the mixer's next state."""
        mixed, state = cast(Mixer, self.mixer).step(self.mixer_norm(x), state)
        return self._finish(x + mixed), state

    def unroll(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the next layer's tokens [B, T, W] and the mixer's state after them."""
        mixed, state = cast(Mixer, self.mixer).unroll(self.mixer_norm(x), state)
        return self._finish(x + mixed), state

    def _finish(self, x: Tensor) -> Tensor:
        return x + cast(Tensor, self.mlp_out(functional.relu(self.mlp_in(self.mlp_norm(x)))))


class SequenceModel(nn.Module):
    """Tokens, blocks, one logit per action.

    State: `age` int64 [B], the number of moves seen in this run, and for each layer l the mixer's state, with
    `_l` behind each name. Its logits may depend on all moves of the run.
    """

    reach_moves: int | None = None

    def __init__(
        self,
        game: Game,
        width: int,
        layers: int,
        mlp_width: int,
        mixer: Callable[[], Mixer],
        cell_digits: int = 1,
    ) -> None:
        """Take the widths and what makes a layer's mixer, with its parameters drawn."""
        super().__init__()
        self.token = Token(game, width, cell_digits)
        self.blocks = nn.ModuleList(Block(width, mixer(), mlp_width) for _ in range(layers))
        self.norm = nn.LayerNorm(width, bias=False)
        self.decide = nn.Linear(width, game.num_actions)
        for block in self.blocks:
            self._draw_mlp(cast(Block, block))

    def initial_state(self, batch_size: int) -> State:
        """Return the empty state of `batch_size` rows."""
        here = self.decide.weight.device
        state = {"age": torch.zeros(batch_size, dtype=torch.int64, device=here)}
        for layer, block in enumerate(self.blocks):
            own = cast(Mixer, block.mixer).initial_state(batch_size)
            state |= {f"{name}_{layer}": tensor for name, tensor in own.items()}
        return state

    @torch.no_grad()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, A] for one move, and the next state; `state` may be written into."""
        state = self._begun(state, timestep.first_of_run)
        x = self.token(timestep, 1)  # [B, W]
        after = {"age": state["age"] + 1}
        for layer, block in enumerate(self.blocks):
            x, own = cast(Block, block).step(x, self._of_layer(state, layer))
            after |= {f"{name}_{layer}": tensor for name, tensor in own.items()}
        return self.decide(self.norm(x)), after  # [B, A]

    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, T, A] for T moves, and the state after them, detached from the graph.

        Memory grows with T: unroll a long history in pieces. `first_of_run` is read at the first move only.
        """
        state = self._begun(state, timesteps.first_of_run[:, 0])
        x = self.token(timesteps, 2)  # [B, T, W]
        after = {"age": state["age"] + timesteps.first.shape[1]}
        for layer, block in enumerate(self.blocks):
            x, own = cast(Block, block).unroll(x, self._of_layer(state, layer))
            after |= {f"{name}_{layer}": tensor.detach() for name, tensor in own.items()}
        return self.decide(self.norm(x)), after  # [B, T, A]

    def _begun(self, state: State, begins: Tensor) -> State:
        """Return the state in which the rows bool [B] begin a run."""
        return _emptied(state, begins)

    def _of_layer(self, state: State, layer: int) -> State:
        end = f"_{layer}"
        return {name.removesuffix(end): each for name, each in state.items() if name.endswith(end)}

    def _draw_mlp(self, block: Block) -> None:
        """Draw the MLP's weights as the transformer's are: the last is scaled down with the depth."""
        nn.init.normal_(block.mlp_in.weight, std=INITIAL_STD)
        nn.init.normal_(block.mlp_out.weight, std=INITIAL_STD / math.sqrt(2 * len(self.blocks)))


def _emptied(state: State, rows: Tensor) -> State:
    """Return the state with zeros in the rows bool [B]; no branch on their values."""
    return {name: each.masked_fill(rows.view(-1, *[1] * (each.dim() - 1)), 0) for name, each in state.items()}
