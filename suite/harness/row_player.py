"""Plays one row: makes its players, plays their jobs, measures agreement, checks stored runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from understudy.suite import benchmarks, devices, games
from understudy.suite.benchmarks import TeacherRun, pinned_runs, pins
from understudy.suite.benchmarks.pins import Pins
from understudy.suite.errors import InputError
from understudy.suite.harness import (
    agreement,
    child_player,
    drawn_windows,
    frozenness,
    interventions,
    isolation,
    player_checks,
    recheck,
    records,
    rollout,
    row_documents,
    row_files,
    states,
)
from understudy.suite.harness.drawn_windows import Windows
from understudy.suite.harness.interventions import Intervention
from understudy.suite.harness.jobs import PlannedJob
from understudy.suite.harness.lanes import Lane
from understudy.suite.harness.recheck import Rechecked
from understudy.suite.harness.requests import PlayProgress, Report, RequestedRow
from understudy.suite.harness.rollout import StartState
from understudy.suite.harness.row_documents import CHECKS
from understudy.suite.histories import history_format
from understudy.suite.histories.frame_store import open_store
from understudy.suite.histories.history_format import History
from understudy.suite.io import file_names, files
from understudy.suite.protocols import Imitator

SAME_SHARE = 1e-3  # of the stored predictions that may be others: a thousandth of some 1,000 moves
LOSS_ROUNDING = 1e-3  # nats, relative above 1: largest distance of a stored loss from that of its player


@dataclass(frozen=True)
class JobRecheck:
    """What a job's player says of the job's log, and of what was reported of it."""

    found: Rechecked
    predicted_otherwise: float  # share of the stored predictions that it does not repeat
    misreported: str | None  # sizes of its state, or losses, that it does not have; None: it has them all

    @property
    def failure(self) -> str | None:
        """What does not hold; None: it holds."""
        found = self.found
        if self.predicted_otherwise > SAME_SHARE:
            return (
                f"{self.predicted_otherwise:.1%} of the stored predictions are others than its weights make"
            )
        if not found.holds:
            return (
                f"its weights choose other moves: {self._differing:,} of {found.moves:,}, the farthest "
                f"{found.largest_gap:.1g} of the logits' spread below the best"
            )
        return self.misreported

    def as_json(self) -> dict[str, Any]:
        """Return what a job's `rechecked.json` holds of it."""
        return {
            "moves": self.found.moves,
            "differing": self._differing,
            "largest_gap": self.found.largest_gap,
            "reloaded_at": list(self.found.reloaded_at),
            "predicted_otherwise": self.predicted_otherwise,
            "holds": self.failure is None,
        }

    @property
    def _differing(self) -> int:
        return max(self.found.differing, self.found.excess)


class RowPlayer:
    """Plays the jobs of one row, in this process."""

    def __init__(self, row: RequestedRow, report: Report, parameters: Path | None = None) -> None:
        """Take a row; parameters that its interventions train are kept in its folder, or in `parameters`."""
        self.row, self.report = row, report
        self._parameters = row.folder if parameters is None else parameters

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
        with devices.computing(planned.device), self.made(planned, self.row.is_ranked) as player:
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
        """Check the isolation of all lanes in windows of each complete job of a role, and store the result.

        Returns whether it holds in all of them; None if no job is complete.
        """
        return self._check(role, None, records.ISOLATION, self.isolation)

    def recheck(self, role: str, intervention: Intervention | None = None) -> bool | None:
        """Give each complete job of a role to its player again, and store whether it chooses the same moves.

        Returns as `check_isolation`.
        """
        return self._check(
            role, intervention, records.RECHECKED, lambda *given: self.rechecked(*given).as_json()
        )

    @contextmanager
    def made(
        self, planned: PlannedJob, in_child: bool, lanes: Sequence[Lane] | None = None
    ) -> Iterator[nn.Module]:
        """Yield a job's player, with the parameters of its intervention; these are trained if need be.

        A process of its own ends with the block. For other `lanes` it has the scored parameters.
        """
        player = planned.load(self._parameters, self._report_making, lanes, in_child)
        with child_player.closing(player):
            yield player

    def isolation(
        self, planned: PlannedJob, player: nn.Module, histories: Sequence[History], salt: str | None = None
    ) -> dict[str, Any]:
        """Return what a job's `isolation.json` holds of its windows; they are drawn now, or by `salt`."""
        windows = self.windows(planned, player, salt or drawn_windows.new_salt())
        start_state = self._start_state_of_job(player, planned)
        found = isolation.first_difference(
            planned.job, player, start_state, histories, windows, in_place=self.row.entry.is_control
        )
        return {
            "first_moves": 0,
            "last_moves": 0,
            "salt": windows.salt,
            "windows": windows.spans,
            "holds": found is None,
            "differs_at": None if found is None else found.move,
        }

    def rechecked(
        self, planned: PlannedJob, player: nn.Module, histories: Sequence[History], salt: str | None = None
    ) -> JobRecheck:
        """Return what a job's player says of all its moves, or of those in the windows drawn by `salt`."""
        windows = self.windows(planned, player, salt) if salt else None
        start_state = self._start_state_of_job(player, planned)
        reload_at = recheck.drawn_reloads(player, planned.job, windows)
        found = recheck.recheck(planned.job, player, start_state, histories, windows, reload_at)
        predicts = planned.role == "start" and planned.job.intervention is None
        predicted, misreported = self._predicted_otherwise(planned) if predicts else (0.0, None)
        start_bytes = states.size_bytes(states.clone(start_state.state))  # a copy, as a run begins with
        other_size = self._state_otherwise(planned, start_bytes, max(start_bytes, found.state_bytes))
        return JobRecheck(found, predicted, other_size or misreported)

    def windows(self, planned: PlannedJob, player: nn.Module, salt: str) -> Windows:
        """Return the windows of a job that a salt draws."""
        job, reach = planned.job, cast(Imitator, player).reach_moves
        if job.kind == "start":  # nothing before its episode's start reaches a move
            cap = games.load(job.lanes[0].game).episode_cap_moves
            reach = cap if reach is None else min(reach, cap)
        before = None if reach is None else min(reach, job.moves)
        found = drawn_windows.drawn(salt, planned.path, job.moves, len(job.lanes), before)
        if self.row.entry.is_control:  # its rows may have networks of their own
            return replace(found, lanes=tuple(range(len(job.lanes))))
        return found

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
        with devices.computing(planned.device), self.made(planned, in_child, lanes) as imitator:
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
        intervention: Intervention | None,
        name: str,
        measure: Callable[[PlannedJob, nn.Module, list[History]], dict[str, Any]],
    ) -> bool | None:
        """Measure each complete job of a role unless the file `name` holds a valid result; store results."""
        found = []
        for planned, folder, histories in self._whole_jobs(role, intervention):
            holds = self._stored_result(folder / name, planned, histories)
            if holds is None:
                with devices.computing(planned.device), self.made(planned, in_child=True) as player:
                    checked = measure(planned, player, histories)
                    checked |= self._provenance(planned, player, histories)
                    checked["player_process"] = child_player.confinement_of(player)
                row_documents.write(CHECKS[name], folder / name, checked)
                holds = bool(checked["holds"])
            found.append(holds)
        return all(found) if found else None

    def _state_otherwise(self, planned: PlannedJob, start_bytes: int, largest_bytes: int) -> str | None:
        """Return where a job's records report another size of the state than its player has; None: nowhere.

        The sizes are of all runs together; where only some were rechecked, the largest is a lower bound.
        """
        rows = len(planned.job.lanes)
        start, largest = start_bytes // rows, largest_bytes // rows
        for index in range(rows):
            stored = records.read(row_files.root(self.row.folder) / planned.path / f"lane-{index}")[
                "state_bytes"
            ]
            if stored["start"] != start or stored["largest"] < largest:
                return (
                    f"the state of lane {index} has {start:,} bytes at the start and {largest:,} later; "
                    f"its record reports {stored['start']:,} and {stored['largest']:,}"
                )
        return None

    def _predicted_otherwise(self, planned: PlannedJob) -> tuple[float, str | None]:
        """Return the share of a checkpoint's stored predictions that its player does not repeat.

        Also which stored losses are others than the player has, beyond rounding; None: all are the same.
        """
        row, checkpoint = row_files.root(self.row.folder), planned.player.checkpoint  # packed or not
        stored_at = {run: records.predictions_path(row, checkpoint, run.name) for run in self.row.runs}
        runs = [run for run, path in stored_at.items() if path.exists()]
        runs.sort(key=lambda run: run.name)  # the batch in which they were made
        differing, total, misreported = 0, 0, None
        for run, columns in zip(runs, self._predictions(planned, runs, in_child=True), strict=True):
            stored = files.read_columns(stored_at[run])
            differing += int((stored["predicted"] != columns["predicted"]).sum())
            total += columns["predicted"].size
            own = columns["loss_nats"]
            far = np.abs(stored["loss_nats"] - own) / np.maximum(1.0, own)
            if not (far <= LOSS_ROUNDING).all():  # nor where it is not a number
                mean = f"{stored['loss_nats'].mean():.3g} nats, found {own.mean():.3g}"
                misreported = f"the stored losses on {run.name} are others than its weights have: mean {mean}"
        return differing / max(total, 1), misreported

    def _whole_jobs(
        self, role: str, intervention: Intervention | None
    ) -> Iterator[tuple[PlannedJob, Path, list[History]]]:
        """Yield each complete job of a role, with its folder and its logs."""
        for planned in self.row.jobs(role, intervention):
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
