"""Requests: a row to be played and scored, and the row after its entry is resolved."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from understudy.suite import devices
from understudy.suite.benchmarks import Benchmark, TeacherRun
from understudy.suite.harness import jobs, rounds
from understudy.suite.harness.entry import Entry
from understudy.suite.harness.interventions import Intervention
from understudy.suite.harness.jobs import PlannedJob
from understudy.suite.harness.rounds import DEV_ROUND, Round


@dataclass(frozen=True)
class PlayProgress:
    """Progress of a job's runs."""

    row: str
    role: str
    moves: int  # played so far in each run of the job
    target_moves: int


Report = Callable[[PlayProgress], None]


@dataclass(frozen=True)
class Request:
    """A request for one row: its entry, benchmark and budget, and how it is played."""

    name_or_path: str  # name or folder of the entry
    benchmark: str
    budget: str
    results: Path
    lanes: int | None = None  # None: the budget's
    threads: int = 1
    restart: bool = False
    round: Round = DEV_ROUND  # ignored for a control
    device: str = devices.CPU  # of the player: cpu, cuda, cuda:N or mps


@dataclass(frozen=True, eq=False)
class RequestedRow:
    """A request whose entry is resolved, as passed to everything that plays it."""

    request: Request
    entry: Entry
    benchmark: Benchmark
    runs: tuple[TeacherRun, ...]  # the benchmark's pinned teacher runs on this machine

    @property
    def folder(self) -> Path:
        """The row's folder below the results."""
        return self.request.results / self.benchmark.name / self.request.budget / self.entry.name

    @functools.cached_property
    def round(self) -> Round:
        """The round that the row is played under; controls are always played under the first."""
        return rounds.of_controls() if self.entry.is_control else self.request.round

    @property
    def is_ranked(self) -> bool:
        """Whether it is a submission's of a round, whose players are in processes of their own."""
        return not (self.entry.is_control or self.entry.in_memory or self.round.name == rounds.DEV)

    @functools.cached_property
    def runs_by_name(self) -> dict[str, TeacherRun]:
        """The teacher runs by name, e.g. `breakout/seed-0`."""
        return {run.name: run for run in self.runs}

    def jobs(self, role: str, intervention: Intervention | None = None) -> Sequence[PlannedJob]:
        """Return the row's jobs of one role, one per player; raises as `jobs.plan`."""
        planned: dict[tuple[str, Intervention | None], list[PlannedJob]] = self._planned
        key = role, intervention
        if key not in planned:
            request = self.request
            planned[key] = jobs.plan(
                self.entry,
                self.benchmark,
                request.budget,
                role,
                request.lanes,
                request.threads,
                intervention,
                self.round,
                request.device,
            )
        return planned[key]

    @functools.cached_property
    def _planned(self) -> dict[tuple[str, Intervention | None], list[PlannedJob]]:
        return {}
