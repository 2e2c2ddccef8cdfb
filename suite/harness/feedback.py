"""Feedback: the rewards and observations given to a player, which some interventions change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from understudy.suite.errors import InputError
from understudy.suite.protocols import Game


class Feedback:
    """Passes rewards and observations to the players of a batch, changed by an intervention."""

    def __init__(self, reward: str, lane_games: Sequence[Game]) -> None:
        """Prepare the feedback of one job.

        Args:
            reward: an `Intervention.reward`; "own" without an intervention.
            lane_games: the lanes' games [B].

        Raises InputError if the score must be hidden and it is not known which pixels of a game show it.
        """
        for game in lane_games:
            if reward != "own" and game.observation_values == 256 and game.score_rows is None:
                raise InputError(
                    f"{game.name}: the rows of pixels that show its score are not known, so its reward "
                    "cannot be hidden from a player; declare them in its family's file"
                )
        self._reward = reward
        self._blank = [game.score_rows for game in lane_games] if reward != "own" else []

    def reward(self, earned: np.ndarray) -> np.ndarray:
        """Return the rewards [..., B] float32 that the players receive; `earned` are those they scored."""
        if self._reward == "yoked":
            return np.roll(earned, -1, axis=-1)
        received = {"own": earned, "blanked": earned, "zeroed": np.zeros_like(earned), "flipped": -earned}
        return received[self._reward]

    def observation(self, observation: np.ndarray) -> np.ndarray:
        """Return the observations [B, ...]; pixels that show the score are set to 0 if it must be hidden."""
        if not any(self._blank):
            return observation
        shown = observation.copy()
        self.blank(shown, range(len(self._blank)))
        return shown

    def blank(self, observation: np.ndarray, lanes: Sequence[int]) -> None:
        """Set the pixels of observations [R, ...] of some lanes that show the score to 0, if it is hidden."""
        if not any(self._blank):
            return
        for row, lane in enumerate(lanes):
            rows = self._blank[lane]
            if rows:
                observation[row, ..., rows[0] : rows[1], :] = 0
