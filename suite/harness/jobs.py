"""Jobs: the runs that an entry plays at a budget, in groups played in lock-step. No player is made here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from understudy.suite import devices, tasks
from understudy.suite.benchmarks import Benchmark, Budget
from understudy.suite.custom_code import CustomCode
from understudy.suite.errors import InputError
from understudy.suite.harness import interventions, lanes
from understudy.suite.harness.entry import Entry, Player, PlayerRequest, Report
from understudy.suite.harness.interventions import Intervention
from understudy.suite.harness.lanes import Lane
from understudy.suite.harness.rounds import DEV_ROUND, Round
from understudy.suite.protocols import ROLES

if TYPE_CHECKING:
    from torch import nn

PRECISION = "float32"  # in which players compute


@dataclass(frozen=True)
class Labels:
    """What a job's player, benchmark and budget are called, and how the player was trained.

    Labels do not change a run's bytes: other names give the same seeds.
    """

    benchmark: str
    budget: str
    name: str  # of the submission or control
    architecture: str  # a control's own name
    checkpoint: str  # its folder; "control" for a control
    training_seed: int | None  # None: not trained
    training_targets: str | None  # None: not trained


@dataclass(frozen=True)
class Job:
    """A fixed group of runs played in lock-step: all that determines their bytes, except the parameters."""

    labels: Labels
    benchmark: str  # its identity
    kind: str  # start: the state is restored at every episode start; continue; transfer
    player: Mapping[str, Any]  # identities of entry and checkpoint, track, networks at W that it plays with
    round: str  # name
    salt: str  # of the round, from which the seeds derive
    decoding: str  # greedy or sample
    priming_moves: int  # K
    moves: int  # of each run
    exploration: float  # probability with which a move is replaced
    segment_moves: int
    lanes: tuple[Lane, ...]
    threads: int
    device: str  # its type
    precision: str
    versions: Mapping[str, str]  # of the packages on which the bytes depend
    intervention: Intervention | None = None  # how these runs differ from the scored ones; None: scored

    def spec(self) -> dict[str, Any]:
        """Return the job as JSON, as stored in job.json and in records."""
        return {
            **asdict(self),
            "lanes": [lane.spec() for lane in self.lanes],
            "player": dict(self.player),
            "versions": dict(self.versions),
            "intervention": self.intervention.spec() if self.intervention else None,
        }


@dataclass(frozen=True)
class PlannedJob:
    """A job, its player, and the folder of its runs within the row's."""

    job: Job
    player: Player
    role: str  # one of protocols.ROLES
    run_moves: int  # N of the budget
    device: str = devices.CPU  # its name, e.g. cuda:1; the job holds its type

    @property
    def path(self) -> str:
        """The job's folder, relative to the row's."""
        return f"{interventions.role_of(self.role, self.job.intervention)}/{self.player.checkpoint}"

    def load(
        self, row_folder: Path, report: Report, lanes: Sequence[Lane] | None = None, in_child: bool = False
    ) -> nn.Module:
        """Return the player of the job's lanes, or of others like them, on its device.

        Args:
            row_folder: where parameters trained for an intervention are stored.
            report: called while teachers are recomputed or parameters are trained.
            lanes: None: the job's, with the parameters of its intervention. Others get the scored parameters.
            in_child: whether it is made in a process of its own, if it can be (`child_player.closing` ends
                that).

        Raises InputError if it cannot be made, or the device is not there.
        """
        request = PlayerRequest(
            lanes=self.job.lanes if lanes is None else tuple(lanes),
            on_new_games=ROLES[self.role].on_new_games,
            run_moves=self.run_moves,
            intervention=self.job.intervention if lanes is None else None,
            row_folder=row_folder,
            report=report,
            threads=self.job.threads,
            device=self.device,
        )
        if in_child and self.player.load_in_child is not None:
            return self.player.load_in_child(request)
        return devices.moved(self.player.load(request), self.device)


def roles_of(task_names: Sequence[str]) -> list[str]:
    """Return the roles whose runs these tasks need, in the order in which they are played."""
    needed = {role for name in task_names for role in tasks.load(name).roles}
    return [role for role in ROLES if role in needed]


def need_predictions(task_names: Sequence[str]) -> bool:
    """Return whether one of the tasks needs the player's predictions of its teachers' moves."""
    return any(tasks.load(name).needs_predictions for name in task_names)


def plan(
    entry: Entry,
    benchmark: Benchmark,
    budget_name: str,
    role: str,
    lanes: int | None = None,
    threads: int = 1,
    intervention: Intervention | None = None,
    of_round: Round = DEV_ROUND,
    device: str = devices.CPU,
) -> list[PlannedJob]:
    """Return a row's jobs of one role, one for each player that is played in it.

    `device` is its name, of which the jobs hold the type.
    Raises InputError for an unknown budget, a number of lanes out of range, a device of another type than
    cpu, cuda and mps, or a submission that was not committed to the round.
    """
    budget = benchmark.budget(budget_name)
    num_lanes = budget.lanes if lanes is None else lanes
    if not 1 <= num_lanes <= 1024:
        raise InputError(f"--num-envs: expected 1 to 1024, found {num_lanes}")
    if intervention and intervention.reward == "yoked" and num_lanes < 2:
        raise InputError("yoked runs get the rewards of another lane: expected at least 2 lanes, found 1")
    identities = {each.checkpoint: each.identity for each in entry.players}
    played = interventions.checkpoints_of(intervention, identities, of_round)
    return [
        PlannedJob(
            _job(
                entry,
                player,
                benchmark,
                budget,
                role,
                num_lanes,
                threads,
                devices.type_of(device),
                intervention,
                of_round,
            ),
            player,
            role,
            budget.moves,
            device,
        )
        for player in entry.players
        if player.checkpoint in played
    ]


def versions(code: CustomCode | None = None) -> dict[str, str]:
    """Return the versions of the packages on which a run's bytes depend, with that of custom code."""
    own = {name: version(name) for name in ("torch", "numpy", "gymnasium")}
    return own if code is None else {**own, code.package: code.version}


def _job(
    entry: Entry,
    player: Player,
    benchmark: Benchmark,
    budget: Budget,
    role: str,
    num_lanes: int,
    threads: int,
    device: str,
    intervention: Intervention | None,
    of_round: Round,
) -> Job:
    salt = of_round.require(entry.committed)
    primed = lanes.is_primed(role, entry.priming_moves, intervention)
    assigned = lanes.assign(
        benchmark, role, player.teachers, num_lanes, primed, salt, entry.identity, player.identity
    )
    teachers = {lane.teacher for lane in assigned}
    return Job(
        labels=Labels(
            benchmark.name,
            budget.name,
            entry.name,
            entry.architecture,
            player.checkpoint,
            player.training_seed,
            entry.training_targets,
        ),
        benchmark=benchmark.identity,
        kind=ROLES[role].kind,
        player={
            "identity": entry.identity,
            "checkpoint_identity": player.identity,
            "track": entry.track,
            "networks_at_w": {name: sha for name, sha in player.networks_at_w if name in teachers},
        },
        round=of_round.name,
        salt=salt,
        decoding=intervention.decoding_of(entry.decoding) if intervention else entry.decoding,
        priming_moves=entry.priming_moves if primed else 0,
        moves=lanes.moves(budget, role, num_lanes),
        exploration=benchmark.exploration,
        segment_moves=benchmark.segment_moves,
        lanes=assigned,
        threads=threads,
        device=device,
        precision=PRECISION,
        versions=versions(entry.custom_code),
        intervention=intervention,
    )
