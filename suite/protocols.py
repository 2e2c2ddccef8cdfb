"""The narrow waist: the types that games, histories, imitators, tasks and the harness share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, "Tensor"]  # flat; axis 0 of every tensor is the batch


class Timestep(NamedTuple):
    """What a player may know before move t. Leading axes are [B], or [B, T] in `unroll`."""

    observation: Tensor  # [B, *observation_shape], dtype of the game
    legal_actions: Tensor  # [B, A] bool
    previous_action: Tensor  # [B] int64, as executed; 0 where first_of_life
    previous_reward: Tensor  # [B] float32, raw points; 0 where first_of_life
    first: Tensor  # [B] bool, first move of an episode
    first_of_life: Tensor  # [B] bool, the row's memory is empty from here


class Imitator(Protocol):
    """A player with fixed parameters; everything that changes while it plays is in its state."""

    def initial_state(self, batch_size: int) -> State:
        """Return the empty memory of `batch_size` rows; names, dtypes and shapes never change after."""

    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, A] float32 for one move, and the next state; the given state is spent."""

    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, T, A] float32 for T moves, and the state after them; the given state is spent."""


@dataclass(frozen=True)
class Game:
    """One game of a family, fully determined: two games with one fingerprint give one life from one log."""

    name: str  # "family/variant", e.g. "atari/breakout"
    observation_shape: tuple[int, ...]  # of one stacked observation; () for a single number
    observation_dtype: str  # numpy dtype name
    observation_values: int  # observations lie in [0, observation_values)
    stacked_frames: int  # newest frames an observation holds along its axis 0; 1 means not stacked
    num_actions: int  # size of the family's full action set, A
    legal_actions: tuple[bool, ...]  # [A]
    episode_cap_moves: int  # an episode is truncated after so many moves
    exploration: float  # probability with which the harness replaces a move
    fingerprint: Mapping[str, Any]  # package versions, ROM hash, every environment argument
    action_names: tuple[str, ...] = ()  # [A] for people to read; empty where the actions have none
    score_rows: tuple[int, int] | None = None  # rows [begin, end) of pixels that show the score, if any
    shown_planes: int | None = (
        None  # of planes of zeros and ones, only the first so many hold a one; None: all
    )

    def __post_init__(self) -> None:
        if len(self.legal_actions) != self.num_actions:
            raise ValueError(
                f"{self.name}: {len(self.legal_actions)} legal-action flags for {self.num_actions} actions"
            )
        if self.action_names and len(self.action_names) != self.num_actions:
            raise ValueError(
                f"{self.name}: {len(self.action_names)} action names for {self.num_actions} actions"
            )

    @property
    def family(self) -> str:
        """The part of the name before the slash: a file in `suite/games`."""
        return self.name.partition("/")[0]

    @property
    def variant(self) -> str:
        """The part of the name after the slash."""
        return self.name.partition("/")[2]

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of one frame: the observation's without the stacking axis."""
        return self.observation_shape[1:] if self.stacked_frames > 1 else self.observation_shape

    def newest_frame(self, observation: np.ndarray) -> np.ndarray:
        """Return the newest frame [..., *frame_shape] of stacked observations [..., *observation_shape]."""
        if self.stacked_frames == 1:
            return observation
        axis = observation.ndim - len(self.observation_shape)
        return observation[(slice(None),) * axis + (-1,)]
