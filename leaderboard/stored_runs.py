"""Stored runs of one row as the tasks ask for them: its runs by role, its claim, its checks and its gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from understudy.leaderboard import predictions, stored_rows
from understudy.leaderboard.reference_runs import StoredReferences
from understudy.leaderboard.stored_rows import CheckResult, Documents, RowFolder
from understudy.suite import protocols, tasks
from understudy.suite.harness import interventions, records
from understudy.suite.harness.row_files import RowPath
from understudy.suite.scoring import gains
from understudy.suite.scoring.comparisons import Comparable
from understudy.suite.scoring.contrasts import CHECKPOINT, METHOD
from understudy.suite.scoring.evidence import Predictions
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.rules import Rules
from understudy.suite.scoring.scored_runs import ScoredRun
from understudy.suite.scoring.verdicts import Verdict


class StoredRuns:
    """The stored runs of one row, each read once; implements `tasks.RowRuns`."""

    def __init__(self, folder: RowFolder, references: StoredReferences) -> None:
        """Read the row's documents; its runs are read when they are asked for."""
        self.folder, self._references = folder, references
        self._benchmark, self._budget = references.benchmark, references.budget
        self._documents = Documents()
        self.row = self._documents.row(folder)
        self.moved = stored_rows.weights_moved(self.records)
        self.track = "learning" if self.moved else self.row["track"]
        self._runs: dict[str, tuple[ScoredRun, ...]] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._evidence: dict[str, Any] = {}

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """The records of the row's finished runs."""
        return [self._documents.record(run) for run in stored_rows.run_folders(self.folder)]

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """The specs of the row's jobs, begun or finished."""
        return [self._documents.job(job) for job in self._job_folders]

    @property
    def learns_by_construction(self) -> bool:
        """Whether the player's rule is declared to learn, or its weights changed while it played."""
        return bool(self.track == "learning")

    @property
    def declares_training(self) -> bool:
        """Whether the submission declares its training; of what is not trained by it, nothing can be."""
        return self.row["training_targets"] is not None

    def other_lanes(self) -> tuple[int, ...]:
        """Return the numbers of lanes of the row's jobs that differ from the budget's, sorted."""
        return tuple(sorted({len(job["lanes"]) for job in self.jobs} - {self._budget.lanes}))

    def of_role(self, role: str, intervention: str = "") -> tuple[ScoredRun, ...]:
        """Return the runs of a role, or of an intervention in it; none unless all of them are complete."""
        stored_as = f"{role}@{intervention}" if intervention else role
        if stored_as not in self._runs:
            played = self._jobs_of(stored_as)
            self._runs[stored_as] = (
                stored_rows.runs(self.folder, stored_as, self._documents) if played else ()
            )
        return self._runs[stored_as]

    def claim(self, role: str) -> str:
        """Return METHOD for several checkpoints or enough distinct units, otherwise CHECKPOINT."""
        return self._claim(role, self.of_role(role))

    def predictions(self) -> tuple[Predictions, ...]:
        """Return what the row's checkpoints predicted of their teachers' moves after W."""
        return predictions.of_row(self.folder, self._benchmark, self._references.runs)

    def isolation_holds(self, role: str) -> bool | None:
        """Return whether isolation holds in every job of a role; None if it was not checked in all of them.

        A check of other runs or weights than the stored ones is not counted.
        """
        return self._hold(self._jobs_of(role), records.ISOLATION)

    def rechecked(self) -> bool | None:
        """Return whether the player is reported to have chosen the same moves, given the logs; None: unknown.

        A failure counts wherever it is reported; that they are the same is known if every scored run is.
        """
        found = [self._check_result(path, records.RECHECKED) for path in self._job_folders]
        if any(one is not None and one.mismatch is None and not one.holds for one in found):
            return False
        return self._hold(
            [path for path in self._job_folders if "@" not in path.parent.name], records.RECHECKED
        )

    def gains_of_draws(self, roles: tuple[str, str]) -> Mapping[str, tuple[float, ...]]:
        """Return the gain from start role to run role for each draw of redrawn, shuffled and retrained
        parameters."""
        drawn = {
            "redrawn": interventions.REDRAWN,
            "shuffled": interventions.SHUFFLED,
            "retrained": interventions.RETRAINED,
        }
        found = {
            kind: [self._gain(roles, intervention.name) for intervention in of_kind]
            for kind, of_kind in drawn.items()
        }
        return {
            kind: tuple(gain.estimate for gain in of_kind if gain is not None)
            for kind, of_kind in found.items()
        }

    def verdict(self, task: str) -> Verdict:
        """Return the row's verdict on a task."""
        if task not in self._verdicts:
            loaded, rules = tasks.load(task), self._rules(task)
            self._verdicts[task] = loaded.verdict(self.evidence(task), rules)
        return self._verdicts[task]

    def comparable(self, task: str) -> Comparable | None:
        """Return what the row's number in a task is made of; None if it was not measured."""
        return tasks.load(task).comparable(self.evidence(task), self._rules(task))

    def evidence(self, task: str) -> Any:
        """Return the evidence for the verdict on a task."""
        if task not in self._evidence:
            self._evidence[task] = tasks.load(task).evidence(self, self._references)
        return self._evidence[task]

    def gains_under(self, task: tasks.Task) -> dict[str, Interval]:
        """Return the gain under each intervention whose runs are complete."""
        assert task.gain is not None
        found = {name: self._gain(task.gain.roles, name) for name in interventions.INTERVENTIONS}
        return {name: gain for name, gain in found.items() if gain is not None}

    def _gain(self, roles: tuple[str, str], intervention: str) -> Interval | None:
        """Return the gain under an intervention; its start is the row's own if the intervention has none."""
        start_role, run_role = roles
        runs = self.of_role(run_role, intervention)
        if not runs or min(run.num_moves for run in runs) < self._budget.moves:
            return None
        starts = self.of_role(start_role, intervention) or self.of_role(start_role)
        if not starts:
            return None
        gain_tasks = tasks.gain_tasks(self._budget.tasks)
        task = next(task.name for task in gain_tasks if task.gain and task.gain.roles == roles)
        return gains.gain_without_reference(runs, starts, self._claim(run_role, runs), self._rules(task))

    def _claim(self, role: str, runs: Sequence[ScoredRun]) -> str:
        """Return METHOD for several checkpoints or enough distinct units, otherwise CHECKPOINT.

        Lanes of several sets of weights are not independent runs of one model. Unprimed lanes of one set are,
        although each is named after a teacher's run, because the player receives nothing of that run.
        """
        benchmark, jobs = self._benchmark, self._jobs_of(role)
        if len(jobs) > 1:
            return METHOD
        played = benchmark.new_games if protocols.ROLES[role].on_new_games else benchmark.watched_games
        primed = any(self._documents.job(job)["priming_moves"] for job in jobs)
        are_units = self.row["control"] or len(played) > 1 or primed
        enough = len({run.unit for run in runs}) >= benchmark.minima.method_units
        return METHOD if are_units and enough else CHECKPOINT

    def _rules(self, task: str) -> Rules:
        return self._benchmark.rules(self._budget.name, task)

    @cached_property
    def _job_folders(self) -> list[RowPath]:
        return stored_rows.job_folders(self.folder)

    def _jobs_of(self, stored_as: str) -> list[RowPath]:
        return [path for path in self._job_folders if path.parent.name == stored_as]

    def _check_result(self, job: RowPath, name: str) -> CheckResult | None:
        return stored_rows.check_result(job, name, self._documents)

    def _hold(self, jobs: Sequence[RowPath], name: str) -> bool | None:
        found = [self._check_result(job, name) for job in jobs]
        if not found or not all(one is not None and one.mismatch is None for one in found):
            return None
        return all(one is not None and one.holds for one in found)
