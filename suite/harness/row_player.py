"""Plays one row: makes its players, plays their jobs, measures agreement, checks stored runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from understudy.suite import benchmarks, devices
from understudy.suite.benchmarks import TeacherRun, pinned_runs, pins
from understudy.suite.benchmarks.pins import Pins
from understudy.suite.errors import InputError
from understudy.suite.harness import (
    agreement,
    child_player,
    frozenness,
    interventions,
    isolation,
    player_checks,
    recheck,
    records,
    rollout,
    row_documents,
    states,
)
from understudy.suite.harness.interventions import Intervention
from understudy.suite.harness.jobs import PlannedJob
from understudy.suite.harness.lanes import Lane
from understudy.suite.harness.requests import PlayProgress, Report, RequestedRow
from understudy.suite.harness.rollout import StartState
from understudy.suite.harness.row_documents import CHECKS
from understudy.suite.histories import history_format
from understudy.suite.histories.frame_store import open_store
from understudy.suite.histories.history_format import History
from understudy.suite.io import file_names, files
from understudy.suite.protocols import Imitator


class RowPlayer:
    """Plays the jobs of one row, in this process."""

    def __init__(self, row: RequestedRow, report: Report) -> None:
        self.row, self.report = row, report

    @functools.cached_property
    def _pins(self) -> Pins:
        """The benchmark's pins; looked up once, as a data folder on the Hub is checked each time."""
        return pins.of(self.row.benchmark)

    def play(self, role: str, player_index: int, intervention: Intervention | None = None) -> None:
        """Play one job unless it is finished."""
        planned = self.row.jobs(role, intervention)[player_index]
        job = planned.job
        torch.set_num_threads(job.threads)
        what = interventions.role_of(role, intervention)
        with self._made(planned, self.row.is_ranked) as player:
            rollout.play(
                job,
                player,
                lambda: self._start_state_of_job(player, planned),
                self.row.folder / planned.path,
                lambda done, total: self._report_making(what, done, total),
                self.row.request.restart,
                lambda: self._report_making(f"{what}: another process plays it", 0, job.moves),
            )

    def measure_agreement(self, player_index: int) -> None:
        """Store a player's predictions of its teachers' moves from W on, as far as these are recorded."""
        planned = self.row.jobs("start")[player_index]
        teachers = sorted({lane.teacher for lane in planned.job.lanes})
        here = [self.row.runs_by_name[name] for name in teachers if name in self.row.runs_by_name]
        runs = [run for run in here if self.reaches_past_w(run)]
        due = [(run, self._predictions_path(planned, run)) for run in runs]
        if self.row.request.restart or not all(path.exists() for _, path in due):
            for (_, path), columns in zip(
                due, self._predictions(planned, runs, self.row.is_ranked), strict=True
            ):
                if self.row.request.restart or not path.exists():
                    files.write_columns(path, columns)

    def reaches_past_w(self, run: TeacherRun) -> bool:
        """Return whether a teacher's run holds the moves to predict after W and has its network at W."""
        benchmark = self.row.benchmark
        moves = benchmark.budget(self.row.request.budget).agreement_moves
        is_long = benchmarks.read(run).num_moves >= benchmark.watched_moves + moves
        return is_long and run.network_path is not None

    def loss_after_w(self, player_index: int, run: TeacherRun) -> float:
        """Return a player's mean next-action loss, in nats, on a run's unexplored moves after W."""
        (measured,) = self._predictions(self.row.jobs("start")[player_index], [run], self.row.is_ranked)
        return float(measured["loss_nats"][~measured["explored"]].mean())

    def check_isolation(self, role: str) -> bool | None:
        """Check the isolation of lane 0 in each complete job of a role, and store the result.

        Returns whether it holds in all of them; None if no job is complete.
        """
        return self._check(role, records.ISOLATION, self._isolation)

    def recheck(self, role: str) -> bool | None:
        """Give each complete job of a role to its player again, and store whether it chooses the same moves.

        Returns as `check_isolation`.
        """
        return self._check(role, records.RECHECKED, self._recheck)

    @contextmanager
    def _made(
        self, planned: PlannedJob, in_child: bool, lanes: Sequence[Lane] | None = None
    ) -> Iterator[nn.Module]:
        """Yield a job's player, or one for other lanes; a process of its own ends with the block."""
        with devices.computing(planned.device):
            player = planned.load(self.row.folder, self._report_making, lanes, in_child)
            with child_player.closing(player):
                yield player

    def _report_making(self, what: str, done: int, total: int) -> None:
        self.report(PlayProgress(self.row.entry.name, what, done, total))

    def _predictions_path(self, planned: PlannedJob, run: TeacherRun) -> Path:
        return records.predictions_path(self.row.folder, planned.player.checkpoint, run.name)

    def _predictions(
        self, planned: PlannedJob, runs: Sequence[TeacherRun], in_child: bool
    ) -> list[dict[str, np.ndarray]]:
        """Return a player's predictions of teachers' moves after W, each run in a lane primed with it."""
        if not runs:
            return []
        benchmark, job = self.row.benchmark, planned.job
        for run in runs:
            pinned_runs.require(self._pins, benchmark, run)
        moves, start = benchmark.budget(self.row.request.budget).agreement_moves, benchmark.watched_moves
        torch.set_num_threads(job.threads)
        lanes = [
            replace(job.lanes[0], game=run.game, unit=benchmark.unit(run.name), teacher=run.name)
            for run in runs
        ]
        teachers = [_continuation(run, start, start + moves) for run in runs]
        with self._made(planned, in_child, lanes) as imitator:
            return agreement.measure(
                player_checks.name_of(job.labels),
                imitator,
                self._start_state_after(imitator, runs, planned),
                teachers,
                start,
                moves,
                lambda done, total: self._report_making(records.AGREEMENT, done, total),
            )

    def _check(
        self,
        role: str,
        name: str,
        measure: Callable[[PlannedJob, nn.Module, Path, list[History]], dict[str, Any]],
    ) -> bool | None:
        """Measure each complete job of a role unless the file `name` holds a valid result; store results."""
        found = []
        for planned, folder, histories in self._whole_jobs(role):
            holds = self._stored_result(folder / name, planned, histories)
            if holds is None:
                with self._made(planned, in_child=True) as player:
                    checked = measure(planned, player, folder, histories)
                    checked |= self._provenance(planned, player, histories)
                    checked["player_process"] = child_player.confinement_of(player)
                row_documents.write(CHECKS[name], folder / name, checked)
                holds = bool(checked["holds"])
            found.append(holds)
        return all(found) if found else None

    def _isolation(
        self, planned: PlannedJob, player: nn.Module, folder: Path, histories: list[History]
    ) -> dict[str, Any]:
        job, kept = planned.job, folder / rollout.KEPT_STATE
        start_state = self._start_state_of_job(player, planned)
        differs = isolation.first_difference(job, player, start_state, histories, 0)
        if differs is None and kept.exists():
            begin = job.moves - rollout.KEPT_BEFORE_END
            state = states.load(kept, start_state.device)
            differs = isolation.last_difference(job, player, start_state, histories, state, begin)
        return {
            "first_moves": min(records.CHECKED_MOVES, job.moves),
            "last_moves": rollout.KEPT_BEFORE_END if kept.exists() else 0,
            "holds": differs is None,
            "differs_at": differs,
        }

    def _recheck(
        self, planned: PlannedJob, player: nn.Module, folder: Path, histories: list[History]
    ) -> dict[str, Any]:
        job, reload_at = planned.job, recheck.drawn_reloads(player, planned.job)
        found = recheck.recheck(job, player, self._start_state_of_job(player, planned), histories, reload_at)
        predicted = self._predicted_otherwise(planned) if planned.role == "start" else 0.0
        holds = found.holds and predicted <= 1 - recheck.SAME_SHARE
        kept = {**asdict(found), "reloaded_at": list(found.reloaded_at)}
        return {**kept, "predicted_otherwise": predicted, "holds": holds}

    def _predicted_otherwise(self, planned: PlannedJob) -> float:
        """Return the share of a checkpoint's stored predictions that its player does not repeat."""
        runs = [run for run in self.row.runs if self._predictions_path(planned, run).exists()]
        runs.sort(key=lambda run: run.name)  # the batch in which they were made
        differing = total = 0
        for run, columns in zip(runs, self._predictions(planned, runs, in_child=True), strict=True):
            stored = files.read_columns(self._predictions_path(planned, run))["predicted"]
            differing += int((stored != columns["predicted"]).sum())
            total += stored.size
        return differing / max(total, 1)

    def _whole_jobs(self, role: str) -> Iterator[tuple[PlannedJob, Path, list[History]]]:
        """Yield each complete job of a role, with its folder and its logs."""
        for planned in self.row.jobs(role):
            folder = self.row.folder / planned.path
            runs = [folder / f"lane-{index}" for index in range(len(planned.job.lanes))]
            if all((run / records.RECORD).exists() for run in runs):
                _require_device_of(folder, planned)
                torch.set_num_threads(planned.job.threads)
                yield planned, folder, [history_format.read(run / file_names.HISTORY) for run in runs]

    def _stored_result(self, path: Path, planned: PlannedJob, histories: Sequence[History]) -> bool | None:
        """Return a stored result if it is of the stored runs and weights, otherwise None."""
        if self.row.request.restart or not path.exists():
            return None
        try:
            stored = row_documents.read(CHECKS[path.name], path)
        except InputError:  # whatever it is, it is replaced
            return None
        record = records.read(path.parent / "lane-0")
        expected = records.provenance(
            [history.content_sha256 for history in histories],
            record["parameters_sha256"]["after"],
            planned.job.player["checkpoint_identity"],
        )
        same = all(stored[key] == value for key, value in expected.items())
        return bool(stored["holds"]) if same else None

    @staticmethod
    def _provenance(planned: PlannedJob, player: nn.Module, histories: Sequence[History]) -> dict[str, Any]:
        return records.provenance(
            [history.content_sha256 for history in histories],
            frozenness.parameters_sha256(player),
            planned.job.player["checkpoint_identity"],
        )

    def _start_state_of_job(self, player: nn.Module, planned: PlannedJob) -> StartState:
        """Return the state in which a job's runs start: after its lanes' teachers, or empty."""
        if planned.job.priming_moves == 0:  # its teachers need not be here
            device = child_player.device_here(player, planned.device)
            return rollout.empty_start_state(cast(Imitator, player), len(planned.job.lanes), device)
        runs = [self.row.runs_by_name[lane.teacher] for lane in planned.job.lanes]
        return self._start_state_after(player, runs, planned)

    def _start_state_after(
        self, player: nn.Module, runs: Sequence[TeacherRun], planned: PlannedJob
    ) -> StartState:
        """Return a state with one row per teacher's run, primed with that as the job primes its own runs."""
        imitator: Any = player
        if planned.job.priming_moves == 0:
            return rollout.empty_start_state(
                imitator, len(runs), child_player.device_here(player, planned.device)
            )
        primed = {run: self._primed(imitator, run, planned) for run in set(runs)}
        return rollout.join_start_states([primed[run] for run in runs])

    def _primed(self, imitator: Any, run: TeacherRun, planned: PlannedJob) -> StartState:
        """Return the state after a teacher's last watched moves, or after those of an intervention."""
        job, priming_moves = planned.job, planned.job.priming_moves
        source = job.intervention.priming if job.intervention else "last"
        pinned_runs.require(self._pins, self.row.benchmark, run)
        history = benchmarks.read(self._run_of_another_game(run) if source == "another-game" else run)
        stop = min(self.row.benchmark.watched_moves, history.num_moves)
        if source == "first":
            stop = min(stop, priming_moves)
        start = max(0, stop - priming_moves)
        store = open_store(history, start, stop)
        name, device = player_checks.name_of(job.labels), child_player.device_here(imitator, planned.device)
        return rollout.primed_start_state(imitator, history, store, start, stop, name, run.name, device)

    def _run_of_another_game(self, run: TeacherRun) -> TeacherRun:
        """Return a teacher's run on a new game, always the same one for a watched run."""
        benchmark = self.row.benchmark
        new = [other for other in self.row.runs if other.game in benchmark.new_games]
        if not new:
            raise InputError(f"{benchmark.name}: no teacher run of a new game here to prime with")
        watched = [other.name for other in self.row.runs if other.game in benchmark.watched_games]
        return new[watched.index(run.name) % len(new)]


def _continuation(run: TeacherRun, start: int, stop: int) -> agreement.Continuation:
    history, network_path = benchmarks.read(run), run.network_path
    assert network_path is not None  # `reaches_past_w` asks for it
    return agreement.Continuation(run.name, history, open_store(history, start, stop), network_path)


def _require_device_of(folder: Path, planned: PlannedJob) -> None:
    """Raise InputError unless a job's runs are checked on the type of device that played them."""
    played_on, asked = records.read_job(folder)["device"], planned.job.device
    if played_on != asked:
        raise InputError(
            f"{folder}: played on {played_on}, and checked there, as other devices round otherwise; found "
            f"--device {planned.device}; give --device {played_on}"
        )
