"""Lanes: the game, unit, teacher and seed of each lane of a job.

The plan of a row and its verification share this module, so that no stored run can replace another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from understudy.suite import draws
from understudy.suite.benchmarks import Benchmark, Budget
from understudy.suite.harness.interventions import Intervention
from understudy.suite.protocols import ROLES


@dataclass(frozen=True)
class Lane:
    """One run of a job."""

    game: str  # full name
    unit: str  # the teacher run or game as which it counts in a method claim
    teacher: str  # the watched run that the lane is assigned
    number: int  # position of the lane among those of its unit
    seed: int  # of the run; emulator seeds, exploration and sampling derive from it
    primed: bool  # whether it is primed with moves of that run; otherwise its memory is empty

    def spec(self) -> dict[str, Any]:
        """Return the lane as JSON."""
        return {**asdict(self), "seed": f"{self.seed:032x}"}


def assign(
    benchmark: Benchmark,
    role: str,
    teachers: Sequence[str],
    num_lanes: int,
    primed: bool,
    salt: str,
    entry: str,
    checkpoint: str,
) -> tuple[Lane, ...]:
    """Return the lanes of a job.

    Args:
        benchmark: whose games are played.
        role: one of `ROLES`; an intervention's runs have the seeds of the scored ones.
        teachers: names of the runs on watched games that the player watched, e.g. ["breakout/seed-0"].
        num_lanes: number of lanes, B.
        primed: whether the lanes are primed.
        salt: of the round.
        entry: identity of the submission or control.
        checkpoint: identity of the weights that play.
    """
    chosen = teachers_of(teachers, num_lanes)
    on_new_games = ROLES[role].on_new_games
    found: list[Lane] = []
    numbers = Counter[str]()
    for teacher, (game, unit) in zip(chosen, _games(benchmark, chosen, on_new_games), strict=True):
        number = numbers[unit]
        numbers[unit] += 1
        seed = draws.derive("run", benchmark.identity, salt, entry, checkpoint, *ROLES[role], len(found))
        found.append(Lane(game, unit, teacher, number, seed, primed))
    return tuple(found)


def moves(budget: Budget, role: str, num_lanes: int) -> int:
    """Return the moves of each run of a job; a start job's moves are divided among the budget's lanes.

    With more lanes than these a run is no shorter: in a run of an episode or two, the points of the episode
    that did not end would count for much.
    """
    if ROLES[role][0] != "start":
        return budget.moves
    return -(-budget.start_moves // min(num_lanes, budget.lanes))


def is_primed(role: str, priming_moves: int, intervention: Intervention | None) -> bool:
    """Return whether runs are primed; on new games none are."""
    return (
        priming_moves > 0
        and not ROLES[role][1]
        and (intervention is None or intervention.priming != "nothing")
    )


def teachers_of(runs: Sequence[str], num_lanes: int) -> list[str]:
    """Return one watched run per lane, the first run of each game before the second of any.

    Lanes therefore keep their teachers when more runs of the same games are added.
    """
    rounds: dict[int, list[str]] = {}  # k -> the k-th run of each game
    runs_of: Counter[str] = Counter()
    for name in runs:
        variant = name.partition("/")[0]
        rounds.setdefault(runs_of[variant], []).append(name)
        runs_of[variant] += 1
    found: list[str] = []
    while len(found) < num_lanes:
        for of_round in rounds.values():
            found += _spread(of_round, min(len(of_round), num_lanes - len(found)))
    return found


def _games(benchmark: Benchmark, teachers: Sequence[str], on_new_games: bool) -> list[tuple[str, str]]:
    """Return (game, unit) per lane; on new games the unit is the game if each is one, else the teacher."""
    if not on_new_games:
        return [(f"{benchmark.family}/{name.partition('/')[0]}", benchmark.unit(name)) for name in teachers]
    new = _spread(benchmark.new_games, len(teachers))
    if len(benchmark.new_games) == 1:
        return list(zip(new, teachers, strict=True))
    return [(game, benchmark.unit(game.partition("/")[2])) for game in new]


def _spread(names: Sequence[str], num_lanes: int) -> list[str]:
    """Return one name per lane: each equally often, or evenly spaced names if there are more than lanes."""
    count = len(names)
    return [
        names[lane * count // num_lanes if count > num_lanes else lane % count] for lane in range(num_lanes)
    ]
