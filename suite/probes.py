"""Probes: the same player played otherwise in one respect, to learn what its gain rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from understudy.suite import registry

NUM_DRAWS = 3  # of redrawn and of shuffled parameters


@dataclass(frozen=True)
class Probe:
    """One respect in which lives differ from the scored ones; they have the same seeds."""

    name: str
    reward: str = "own"  # what the player is told: own, yoked (another lane's), zeroed or flipped in sign
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

    def decoding_of(self, own: str) -> str:
        """Return how its lives are decoded, given how the scored ones are."""
        return own if self.decoding == "own" else {"greedy": "sample", "sample": "greedy"}[own]


YOKED = Probe("yoked", reward="yoked")
REDRAWN = tuple(Probe(f"redrawn-{draw}", parameters="redrawn", draw=draw) for draw in range(NUM_DRAWS))
SHUFFLED = tuple(Probe(f"shuffled-{draw}", parameters="shuffled", draw=draw) for draw in range(NUM_DRAWS))
CLAIM = (YOKED, *REDRAWN, *SHUFFLED)  # what a yes needs, isolation besides
OTHER = (
    Probe("zeroed", reward="zeroed"),
    Probe("flipped", reward="flipped"),
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
