"""Interventions: runs of the same player with one thing changed, which show what its gain depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from understudy.suite import draws, registry
from understudy.suite.harness import rounds
from understudy.suite.harness.rounds import Round
from understudy.suite.protocols import Game

NUM_DRAWS = 3  # of redrawn, shuffled and retrained parameters
TRAINED = ("shuffled", "retrained")  # `parameters` that take a training
ROUNDS_BY_NAME = frozenset(
    map(str, range(1, 8))
)  # in which checkpoints are trained anew in order of their names


@dataclass(frozen=True)
class Intervention:
    """One respect in which runs differ from the scored ones; the seeds are the same."""

    name: str
    # The reward given to the player: own, yoked (another lane's), zeroed, flipped in sign, or blanked (its
    # own). Pixels that show the score are blanked under all of them except `own`.
    reward: str = "own"
    priming: str = "last"  # K moves: the teacher's last watched ones, its first, another-game's, or nothing
    decoding: str = "own"  # or other: sampled if the submission is greedy, and the reverse
    # Or redrawn; or shuffled: trained on histories with their actions shuffled; or retrained: trained anew.
    parameters: str = "own"
    draw: int = 0  # of the redrawn, shuffled or retrained parameters
    actions: str = "own"  # or permuted: the player's actions are executed as others

    def touches(self, kind: str, on_new_games: bool) -> bool:
        """Whether runs of a kind, on watched or new games, differ from the scored ones."""
        if self.priming != "last":
            return not on_new_games
        if self.actions != "own":
            return on_new_games
        return self.reward == "own" or kind != "start"

    @property
    def needs_priming(self) -> bool:
        """Whether it changes anything only for a player that is primed."""
        return self.priming != "last"

    def concerns(self, lane_games: Sequence[Game]) -> bool:
        """Whether it changes anything on these games: only a score that is shown can be blanked."""
        return self.reward != "blanked" or any(game.score_rows is not None for game in lane_games)

    def spec(self) -> dict[str, Any]:
        """Return it as JSON; actions that are the player's own are left out, as in jobs of earlier rows."""
        found = asdict(self)
        return found if self.actions != "own" else {k: v for k, v in found.items() if k != "actions"}

    def decoding_of(self, own: str) -> str:
        """Return the decoding of its runs; `own` is that of the scored ones."""
        return own if self.decoding == "own" else {"greedy": "sample", "sample": "greedy"}[own]


YOKED = Intervention("yoked", reward="yoked")
FLIPPED = Intervention("flipped", reward="flipped")
BLANKED = Intervention("blanked", reward="blanked")  # only where a game shows its score
REDRAWN = tuple(Intervention(f"redrawn-{draw}", parameters="redrawn", draw=draw) for draw in range(NUM_DRAWS))
SHUFFLED = tuple(
    Intervention(f"shuffled-{draw}", parameters="shuffled", draw=draw) for draw in range(NUM_DRAWS)
)
RETRAINED = tuple(
    Intervention(f"retrained-{draw}", parameters="retrained", draw=draw) for draw in range(NUM_DRAWS)
)
CLAIM = (YOKED, FLIPPED, BLANKED, *REDRAWN, *SHUFFLED, *RETRAINED)  # that a yes needs, besides isolation
OTHER = (
    Intervention("permuted", actions="permuted"),
    Intervention("zeroed", reward="zeroed"),
    Intervention("unprimed", priming="nothing"),
    Intervention("first-moves", priming="first"),
    Intervention("another-game", priming="another-game"),
    Intervention("other-decoding", decoding="other"),
)
INTERVENTIONS = {intervention.name: intervention for intervention in (*CLAIM, *OTHER)}


def checkpoints_of(
    intervention: Intervention | None, checkpoints: Mapping[str, str], of_round: Round
) -> list[str]:
    """Return the checkpoints, of a row's, that are played under an intervention: nearly always all.

    Training anew, on shuffled actions or on the true ones, costs as much as the training itself. Where a row
    has at least `NUM_DRAWS` checkpoints, draw d therefore trains the d-th alone, in an order that the round's
    salt decides: whoever could choose which are trained anew would leave out those of a rule made by hand.

    Args:
        intervention: None: the scored runs.
        checkpoints: name -> identity of its tensors and configuration.
        of_round: in which the row is played.
    """
    named = sorted(checkpoints)
    if intervention is None or _are_all(intervention, checkpoints):
        return named
    if of_round.name in ROUNDS_BY_NAME:
        return [named[intervention.draw]]
    salt = of_round.salt or of_round.name
    by_salt = sorted(named, key=lambda name: draws.derive("trained anew", salt, checkpoints[name]))
    return [by_salt[intervention.draw]]


def checkpoints_of_role(stored_as: str, checkpoints: Mapping[str, str], round_name: str) -> list[str]:
    """Return the checkpoints that are played in a role, as it is stored, e.g. `transfer@shuffled-0`.

    Raises InputError if they depend on the salt of a round that is not known here.
    """
    _, _, name = stored_as.partition("@")
    applied = INTERVENTIONS.get(name)
    if _are_all(applied, checkpoints):
        return sorted(checkpoints)
    return checkpoints_of(applied, checkpoints, rounds.load(round_name))


def _are_all(intervention: Intervention | None, checkpoints: Mapping[str, str]) -> bool:
    is_trained = intervention is not None and intervention.parameters in TRAINED
    return not is_trained or len(checkpoints) < NUM_DRAWS


def chosen(names: Sequence[str]) -> list[Intervention]:
    """Return interventions by name; InputError with a suggestion for an unknown one."""
    return [INTERVENTIONS[registry.choose(name, INTERVENTIONS, "intervention")] for name in names]


def role_of(role: str, intervention: Intervention | None) -> str:
    """Return the role under which runs are stored, e.g. `continue` or `continue@yoked`."""
    return f"{role}@{intervention.name}" if intervention else role
