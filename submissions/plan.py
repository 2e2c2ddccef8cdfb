"""The plan of a row: which lives an entrant plays at a budget, grouped into jobs. Nothing is loaded here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import understudy
from understudy.submissions.entrants import Entrant, Player
from understudy.suite import places, probes
from understudy.suite.benchmarks import Benchmark, Budget, TeacherLife
from understudy.suite.errors import InputError
from understudy.suite.harness import Job
from understudy.suite.places import ROLES, Lane
from understudy.suite.probes import Probe

if TYPE_CHECKING:
    from torch import nn

TASK_ROLES = {
    "skill": ("start",),
    "improvement": ("start", "continue"),
    "transfer": ("start-new", "transfer"),
}
DEV_SALT = "dev"  # of local runs; the maintainers draw another one after a submission is registered


@dataclass(frozen=True)
class PlannedJob:
    """A job, the player that plays it, and where its lives go within the row's folder."""

    job: Job
    player: Player
    role: str
    life_moves: int  # N of the budget

    @property
    def path(self) -> str:
        """The job's folder, relative to the row's."""
        return f"{probes.role_of(self.role, self.job.probe)}/{self.player.checkpoint}"

    def load(
        self,
        lanes: Sequence[Lane] | None = None,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> nn.Module:
        """Return the player of the job's lanes, or of others like them; InputError if it can't be had.

        `report` is told how much is done, of how much, where a teacher has to be relearnt for it.
        """
        on_new_game = ROLES[self.role][1]
        return self.player.load(
            self.job.lanes if lanes is None else lanes, on_new_game, self.life_moves, report
        )


def roles_of(tasks: Sequence[str]) -> list[str]:
    """Return the roles whose lives these tasks need, in the order in which they are played."""
    needed = {role for task in tasks for role in TASK_ROLES[task]}
    return [role for role in ROLES if role in needed]


def plan(
    entrant: Entrant,
    benchmark: Benchmark,
    budget_name: str,
    role: str,
    lives: Sequence[TeacherLife],
    lanes: int | None = None,
    threads: int = 1,
    probe: Probe | None = None,
    salt: str = DEV_SALT,
) -> list[PlannedJob]:
    """Return a row's jobs of one role, one for each player.

    Raises:
        InputError: an unknown budget, lanes out of range, or a watched life that is not on this machine.
    """
    budget = benchmark.budget(budget_name)
    num_lanes = budget.lanes if lanes is None else lanes
    if not 1 <= num_lanes <= 1024:
        raise InputError(f"--lanes: expected 1 to 1024, found {num_lanes}")
    if probe and probe.reward == "yoked" and num_lanes < 2:
        raise InputError("a yoked life is told another lane's reward: expected at least 2 lanes, found 1")
    return [
        PlannedJob(
            _job(entrant, player, benchmark, budget, role, num_lanes, threads, probe, salt),
            player,
            role,
            budget.moves,
        )
        for player in entrant.players(benchmark, lives)
    ]


def versions() -> dict[str, str]:
    """Return the versions of the packages that shape a life's bytes."""
    packages = ("understudy", "torch", "numpy", "gymnasium")
    return {name: understudy.__version__ if name == "understudy" else version(name) for name in packages}


def _job(
    entrant: Entrant,
    player: Player,
    benchmark: Benchmark,
    budget: Budget,
    role: str,
    num_lanes: int,
    threads: int,
    probe: Probe | None,
    salt: str,
) -> Job:
    primed = places.is_primed(role, entrant.priming_moves, probe)
    lanes = places.lanes(
        benchmark, role, player.teachers, num_lanes, primed, salt, entrant.sha256, player.sha256
    )
    teachers = {lane.teacher for lane in lanes}
    return Job(
        benchmark=benchmark.name,
        benchmark_sha256=benchmark.sha256,
        budget=budget.name,
        kind=ROLES[role][0],
        player={
            "name": entrant.name,
            "sha256": entrant.sha256,
            "track": entrant.track,
            "checkpoint": player.checkpoint,
            "checkpoint_sha256": player.sha256,
            "training_seed": player.training_seed,
            "networks_at_w": {name: sha for name, sha in player.networks_at_w if name in teachers},
        },
        salt=salt,
        decoding=probe.decoding_of(entrant.decoding) if probe else entrant.decoding,
        priming_moves=entrant.priming_moves if primed else 0,
        moves=places.moves(budget, role, num_lanes),
        exploration=benchmark.exploration,
        segment_moves=benchmark.segment_moves,
        lanes=lanes,
        threads=threads,
        device="cpu",
        versions=versions(),
        probe=probe,
    )
