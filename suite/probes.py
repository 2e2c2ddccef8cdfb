"""Probes: the same player played otherwise in one respect, to learn what its gain rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from understudy.suite import registry
from understudy.suite.errors import InputError
from understudy.suite.protocols import Game

NUM_DRAWS = 3  # of redrawn and of shuffled parameters


@dataclass(frozen=True)
class Probe:
    """One respect in which lives differ from the scored ones; they have the same seeds."""

    name: str
    # What the player is told: own, yoked (another lane's), zeroed, flipped in sign, or blanked: its own. But
    # for `own`, pixels that show the score are blank.
    reward: str = "own"
    priming: str = "last"  # the teacher's last K watched moves, its first K, another-game's, or nothing
    decoding: str = "own"  # or other: sampled where the submission is greedy, and the reverse
    parameters: str = "own"  # or redrawn, or shuffled: trained on histories with their actions shuffled
    draw: int = 0  # of the redrawn or shuffled parameters

    def touches(self, kind: str, on_new_games: bool) -> bool:
        """Whether lives of a kind, on watched or new games, come out otherwise than the scored ones."""
        if self.priming != "last":
            return not on_new_games
        return self.reward == "own" or kind != "start"

    @property
    def needs_priming(self) -> bool:
        """Whether it means anything only for a player that is primed."""
        return self.priming != "last"

    def concerns(self, lane_games: Sequence[Game]) -> bool:
        """Whether it means anything on these games: only a score that is shown can be blanked."""
        return self.reward != "blanked" or any(game.score_rows is not None for game in lane_games)

    def decoding_of(self, own: str) -> str:
        """Return how its lives are decoded, given how the scored ones are."""
        return own if self.decoding == "own" else {"greedy": "sample", "sample": "greedy"}[own]


YOKED = Probe("yoked", reward="yoked")
FLIPPED = Probe("flipped", reward="flipped")
BLANKED = Probe("blanked", reward="blanked")  # only where a game shows its score
REDRAWN = tuple(Probe(f"redrawn-{draw}", parameters="redrawn", draw=draw) for draw in range(NUM_DRAWS))
SHUFFLED = tuple(Probe(f"shuffled-{draw}", parameters="shuffled", draw=draw) for draw in range(NUM_DRAWS))
CLAIM = (YOKED, FLIPPED, BLANKED, *REDRAWN, *SHUFFLED)  # what a yes needs, isolation besides
OTHER = (
    Probe("zeroed", reward="zeroed"),
    Probe("unprimed", priming="nothing"),
    Probe("first-moves", priming="first"),
    Probe("another-game", priming="another-game"),
    Probe("other-decoding", decoding="other"),
)
PROBES = {probe.name: probe for probe in (*CLAIM, *OTHER)}


def chosen(names: Sequence[str]) -> list[Probe]:
    """Return probes by name; InputError with a suggestion for an unknown one."""
    return [PROBES[registry.choose(name, PROBES, "probe")] for name in names]


def role_of(role: str, probe: Probe | None) -> str:
    """Return the role under which lives are stored, e.g. `continue` or `continue@yoked`."""
    return f"{role}@{probe.name}" if probe else role


class Told:
    """What a player is told of its own life: everything, but for the reward in a probe's lives."""

    def __init__(self, reward: str, lane_games: Sequence[Game]) -> None:
        for game in lane_games:
            if reward != "own" and game.observation_values == 256 and game.score_rows is None:
                raise InputError(
                    f"{game.name}: the rows of pixels that show its score are not known, so its reward can't "
                    "be kept from a player; they belong in its family's file"
                )
        self._reward = reward
        self._blank = [game.score_rows for game in lane_games] if reward != "own" else []

    def reward(self, earned: np.ndarray) -> np.ndarray:
        """Return the rewards [B] float32 that the players hear of, given those that they earned."""
        if self._reward == "yoked":
            return np.roll(earned, -1)
        told = {"own": earned, "blanked": earned, "zeroed": np.zeros_like(earned), "flipped": -earned}
        return told[self._reward]

    def observation(self, seen: np.ndarray) -> np.ndarray:
        """Return the observations [B, ...], without the rows of pixels in which a game shows its score."""
        if not any(self._blank):
            return seen
        shown = seen.copy()
        for lane, rows in enumerate(self._blank):
            if rows:
                shown[lane, ..., rows[0] : rows[1], :] = 0
        return shown
