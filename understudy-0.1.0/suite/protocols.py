"""The types that games, histories, imitators, tasks and the harness share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, "Tensor"]  # of an imitator; axis 0 of every tensor is the batch

KINDS = ("start", "continue", "transfer")  # of runs


class Role(NamedTuple):
    """What a job's runs are for; the seeds of runs derive from its values, which therefore stay."""

    kind: str  # of its runs, one of KINDS
    on_new_games: bool  # played on the benchmark's new games rather than on the watched ones


ROLES: Mapping[str, Role] = {
    "start": Role("start", False),
    "continue": Role("continue", False),
    "start-new": Role("start", True),
    "transfer": Role("transfer", True),
}


class Timestep(NamedTuple):
    """The information a player has before move t. Leading axes are [B], or [B, T] in `unroll`."""

    observation: Tensor  # [B, *observation_shape], dtype of the game
    legal_actions: Tensor  # [B, A] bool
    previous_action: Tensor  # [B] int64, as executed; 0 where first_of_run
    previous_reward: Tensor  # [B] float32, raw points; 0 where first_of_run
    first: Tensor  # [B] bool, first move of an episode
    first_of_run: Tensor  # [B] bool, first move of a run: the row's memory must be empty before it


class Imitator(Protocol):
    """A player with frozen parameters; everything that changes while it plays is in its state."""

    @property
    def reach_moves(self) -> int | None:
        """How many of the newest moves, the present one included, can change the logits; None: no bound.

        An attribute of the class or the object will do. A submission is primed with so many moves.
        """

    def initial_state(self, batch_size: int) -> State:
        """Return the empty memory of `batch_size` rows; its names, dtypes and shapes stay as they are."""

    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return finite logits [B, A] float32 for a move, and the next state; drop `state` then."""

    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return finite logits [B, T, A] float32 for T moves, and the next state; drop `state` then."""


@dataclass(frozen=True)
class Game:
    """The full description of one game: games of equal fingerprints give the same run from the same log."""

    name: str  # "family/variant", e.g. "atari/breakout"
    observation_shape: tuple[int, ...]  # of one observation, stacked frames included; () for a single number
    observation_dtype: str  # numpy dtype name
    observation_values: int  # observations lie in [0, observation_values)
    stacked_frames: int  # number of newest frames along an observation's axis 0; 1 means not stacked
    num_actions: int  # size of the family's full action set, A
    legal_actions: tuple[bool, ...]  # [A]
    episode_cap_moves: int  # length at which an episode is truncated
    exploration: float  # probability with which the harness replaces a chosen action
    fingerprint: Mapping[str, Any]  # JSON: package versions, ROM hash, every environment argument
    action_names: tuple[str, ...] = ()  # [A] for display; empty where the actions have no names
    score_rows: tuple[int, int] | None = None  # rows [begin, end) of pixels that show the score, if any
    shown_planes: int | None = None  # number of leading planes that are ever non-zero; None: all
    # Actions of the minimal set that the game's own package offers, in its order; None: the legal ones.
    package_actions: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.legal_actions) != self.num_actions:
            raise ValueError(
                f"{self.name}: {len(self.legal_actions)} legal-action flags for {self.num_actions} actions"
            )
        if self.action_names and len(self.action_names) != self.num_actions:
            raise ValueError(
                f"{self.name}: {len(self.action_names)} action names for {self.num_actions} actions"
            )
        legal = [action for action, is_legal in enumerate(self.legal_actions) if is_legal]
        if not set(self.minimal_actions) <= set(legal):
            raise ValueError(f"{self.name}: package_actions {self.package_actions}, expected some of {legal}")

    @property
    def minimal_actions(self) -> tuple[int, ...]:
        """The family's action for each action number of the package's minimal set.

        In an environment with fewer actions than `num_actions`, this is what others' players and data mean.
        """
        if self.package_actions is not None:
            return self.package_actions
        return tuple(action for action, is_legal in enumerate(self.legal_actions) if is_legal)

    @property
    def family(self) -> str:
        """The part of the name before the slash; `suite/games/<family>.py` defines it."""
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
