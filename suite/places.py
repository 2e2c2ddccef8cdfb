"""Places: what kind of lives a role has, and each lane's game, unit, teacher and seed.

The plan of a row and its verification share this, so that no stored life can stand in another's place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from understudy.suite import draws
from understudy.suite.benchmarks import Benchmark, Budget
from understudy.suite.probes import Probe

# role -> (kind of life, on the new games rather than the watched ones)
ROLES = {
    "start": ("start", False),
    "continue": ("continue", False),
    "start-new": ("start", True),
    "transfer": ("transfer", True),
}


@dataclass(frozen=True)
class Lane:
    """One life of a job."""

    game: str  # full name
    unit: str  # the teacher life it was primed with or is ruled by
    teacher: str  # the watched life that it comes from
    number: int  # of the lane among those of its unit
    seed: int  # of the life: emulator seeds, exploration and sampling derive from it
    primed: bool  # with that life's last watched moves; otherwise its memory begins empty

    def spec(self) -> dict[str, Any]:
        """Return the lane as JSON."""
        return {**asdict(self), "seed": f"{self.seed:032x}"}


def lanes(
    benchmark: Benchmark,
    role: str,
    teachers: Sequence[str],
    num_lanes: int,
    primed: bool,
    salt: str,
    entrant_sha256: str,
    checkpoint_sha256: str,
) -> tuple[Lane, ...]:
    """Return the lanes of a job.

    Args:
        benchmark: whose games are played.
        role: one of `ROLES`; a probe's lives have the seeds of the scored ones.
        teachers: names of the watched game's lives that the player watched, e.g. ["breakout/seed-0"].
        num_lanes: how many.
        primed: whether they begin with the teacher's last moves.
        salt: of the round.
        entrant_sha256: the submission's or control's hash.
        checkpoint_sha256: of the weights that play.
    """
    chosen = teachers_of(teachers, num_lanes)
    on_new_games = ROLES[role][1]
    found, numbers = [], Counter[str]()
    for teacher, (game, unit) in zip(chosen, _games(benchmark, chosen, on_new_games), strict=True):
        number = numbers[unit]
        numbers[unit] += 1
        seed = draws.derive(
            "life", benchmark.sha256, salt, entrant_sha256, checkpoint_sha256, role, unit, number
        )
        found.append(Lane(game, unit, teacher, number, seed, primed))
    return tuple(found)


def moves(budget: Budget, role: str, num_lanes: int) -> int:
    """Return the moves of each life of a job; those of a start job are shared out among its lanes."""
    return -(-budget.start_moves // num_lanes) if ROLES[role][0] == "start" else budget.moves


def is_primed(role: str, priming_moves: int, probe: Probe | None) -> bool:
    """Return whether lives begin with a teacher's moves; on new games none do."""
    return priming_moves > 0 and not ROLES[role][1] and (probe is None or probe.priming != "nothing")


def teachers_of(lives: Sequence[str], num_lanes: int) -> list[str]:
    """Return one watched life a lane, the first of each game before the second of any.

    So lanes stay with their teachers when more lives of the same games come.
    """
    rounds: dict[int, list[str]] = {}  # k -> the k-th life of each game
    lives_of: Counter[str] = Counter()
    for name in lives:
        variant = name.partition("/")[0]
        rounds.setdefault(lives_of[variant], []).append(name)
        lives_of[variant] += 1
    found: list[str] = []
    while len(found) < num_lanes:
        for of_round in rounds.values():
            found += _spread(of_round, min(len(of_round), num_lanes - len(found)))
    return found


def _games(benchmark: Benchmark, teachers: Sequence[str], on_new_games: bool) -> list[tuple[str, str]]:
    """Return (game, unit) a lane: of new games the goal where each is a unit, else the watched teacher."""
    if not on_new_games:
        return [(f"{benchmark.family}/{name.partition('/')[0]}", benchmark.unit(name)) for name in teachers]
    new = _spread(benchmark.new_games, len(teachers))
    if len(benchmark.new_games) == 1:
        return list(zip(new, teachers, strict=True))
    return [(game, benchmark.unit(game.partition("/")[2])) for game in new]


def _spread(names: Sequence[str], num_lanes: int) -> list[str]:
    """Return one name a lane: each name equally often, or names evenly apart where there are more of them."""
    count = len(names)
    return [
        names[lane * count // num_lanes if count > num_lanes else lane % count] for lane in range(num_lanes)
    ]
