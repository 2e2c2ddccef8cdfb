"""The scorer of one row: makes its players, plays their jobs, and feeds them stored lives again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from understudy.submissions import parameters
from understudy.submissions import plan as plans
from understudy.submissions.entrants import resolve
from understudy.submissions.plan import PlannedJob
from understudy.submissions.requests import Progress, Report, Request, relearning
from understudy.suite import benchmarks, files, frozenness, harness, isolation, probes, records, states
from understudy.suite import likeness as likeness_of
from understudy.suite.benchmarks import TeacherLife
from understudy.suite.errors import InputError
from understudy.suite.harness import Job, Outset
from understudy.suite.histories import format as history_format
from understudy.suite.histories.format import History
from understudy.suite.histories.frames import FrameStore, frames
from understudy.suite.probes import Probe

LIKENESS = "likeness"


class Scorer:
    """Plays the jobs of one row."""

    def __init__(self, request: Request, report: Report) -> None:
        self.request, self.report = request, report
        self.benchmark = benchmarks.load(request.benchmark)
        self.entrant = resolve(request.name_or_path, request.benchmark)
        self.lives = {life.name: life for life in benchmarks.teacher_lives(self.benchmark)}
        self.folder = request.results_of(self.entrant.name)
        self.report_relearning = relearning(self.entrant.name, report)

    def play(self, role: str, player_index: int, probe: Probe | None = None) -> None:
        """Play one job, unless it is done."""
        planned = self._planned(role, player_index, probe)
        job = planned.job
        torch.set_num_threads(job.threads)
        player = self._loaded(planned)
        name, what = self.entrant.name, probes.role_of(role, probe)
        harness.play(
            job,
            player,
            lambda: self._outset(player, planned),
            self.folder / planned.path,
            lambda done, total: self.report(Progress(name, what, done, total)),
            self.request.restart,
            lambda: self.report(Progress(name, f"{what}: another process plays it", 0, job.moves)),
        )

    def refuse_other_job(self, role: str, player_index: int, probe: Probe | None = None) -> None:
        """Raise InputError if lives of another job lie where this one's belong, unless they are to go."""
        if not self.request.restart:
            planned = self._planned(role, player_index, probe)
            harness.refuse_other_job(planned.job, self.folder / planned.path)

    def measure_likeness(self, player_index: int) -> None:
        """Measure next-action prediction on the teachers' moves from W on, where they are recorded."""
        planned = self._planned("start", player_index)
        teachers = sorted({lane.teacher for lane in planned.job.lanes})
        for done, teacher in enumerate(teachers):
            self.report(Progress(self.entrant.name, LIKENESS, done, len(teachers)))
            name = f"{teacher.replace('/', '.')}.safetensors"
            path = self.folder / LIKENESS / planned.player.checkpoint / name
            life = self.lives[teacher]
            if (path.exists() and not self.request.restart) or not self.reaches_past_w(life):
                continue
            files.write_columns(path, self._predictions(planned, life))

    def reaches_past_w(self, life: TeacherLife) -> bool:
        """Whether a teacher's life holds the moves on which likeness is measured, and its network at W."""
        moves = self.benchmark.budget(self.request.budget).likeness_moves
        long = benchmarks.read(life).num_moves >= self.benchmark.watched_moves + moves
        return long and life.network_path is not None

    def loss_after_w(self, player_index: int, life: TeacherLife) -> float:
        """Return the mean next-action loss in nats of a player on a life's own choices after W."""
        measured = self._predictions(self._planned("start", player_index), life)
        return float(measured["loss_nats"][~measured["explored"]].mean())

    def _predictions(self, planned: PlannedJob, life: TeacherLife) -> dict[str, np.ndarray]:
        """Return what a player, primed with a life, predicts of its next moves."""
        moves, start = self.benchmark.budget(self.request.budget).likeness_moves, self.benchmark.watched_moves
        torch.set_num_threads(planned.job.threads)
        unit = self.benchmark.unit(life.name)
        lane = replace(planned.job.lanes[0], game=life.game, unit=unit, teacher=life.name)
        imitator = planned.load([lane], self.report_relearning)
        outset = self._outset_of(imitator, [life], planned.job)
        history, network_path = benchmarks.read(life), life.network_path
        assert network_path is not None
        store = frames(history, start, start + moves)
        return likeness_of.measure(imitator, outset, history, store, start, moves, network_path)

    def check_isolation(self, role: str) -> bool | None:
        """Check that lane 0 of each whole job of a role plays alone, and note what was found.

        Returns whether it holds in all of them; None if none was played to its end.
        """
        return self._feed_again(role, records.ISOLATION, self._isolation)

    def rederive(self, role: str) -> bool | None:
        """Feed each whole job of a role to its player again, and note whether it chooses the same moves.

        Returns as `check_isolation`.
        """
        return self._feed_again(role, records.REDERIVED, self._rederivation)

    def _feed_again(
        self,
        role: str,
        name: str,
        measure: Callable[[PlannedJob, nn.Module, Path, list[History]], dict[str, Any]],
    ) -> bool | None:
        """Measure each whole job of a role, unless that was noted before, and note it under this name."""
        found = []
        for planned, folder, histories in self._played(role):
            holds = self._noted(folder / name, planned, histories)
            if holds is None:
                player = planned.load(report=self.report_relearning)
                checked = measure(planned, player, folder, histories)
                files.write_json(folder / name, {**checked, **self._binding(planned, player, histories)})
                holds = bool(checked["holds"])
            found.append(holds)
        return all(found) if found else None

    def _isolation(
        self, planned: PlannedJob, player: nn.Module, folder: Path, histories: list[History]
    ) -> dict[str, Any]:
        job, outset, kept = planned.job, self._outset(player, planned), folder / harness.KEPT_STATE
        differs = isolation.first_difference(job, player, outset, histories, 0)
        if differs is None and kept.exists():
            begin = job.moves - harness.KEPT_BEFORE_END
            differs = isolation.last_difference(job, player, outset, histories, states.load(kept), begin)
        return {
            "first_moves": min(records.CHECKED_MOVES, job.moves),
            "last_moves": harness.KEPT_BEFORE_END if kept.exists() else 0,
            "holds": differs is None,
            "differs_at": differs,
        }

    def _rederivation(
        self, planned: PlannedJob, player: nn.Module, folder: Path, histories: list[History]
    ) -> dict[str, Any]:
        again = isolation.rederive(planned.job, player, self._outset(player, planned), histories)
        predicted = self._predicted_otherwise(planned) if planned.role == "start" else 0.0
        holds = again.holds and predicted <= 1 - isolation.REDERIVED_SHARE
        return {**asdict(again), "predicted_otherwise": predicted, "holds": holds}

    def _predicted_otherwise(self, planned: PlannedJob) -> float:
        """Return the share of a checkpoint's stored predictions of its teachers that don't come out again."""
        differing = total = 0
        for path in sorted((self.folder / LIKENESS / planned.player.checkpoint).glob("*.safetensors")):
            again = self._predictions(planned, self.lives[path.stem.replace(".", "/")])
            differing += int((files.read_columns(path)["predicted"] != again["predicted"]).sum())
            total += again["predicted"].size
        return differing / max(total, 1)

    def _played(self, role: str) -> Iterator[tuple[PlannedJob, Path, list[History]]]:
        """Yield each job of a role whose lives are whole, its folder and its logs."""
        players = self.entrant.players(self.benchmark, list(self.lives.values()))
        for planned in (self._planned(role, index) for index in range(len(players))):
            folder = self.folder / planned.path
            lives = [folder / f"lane-{index}" for index in range(len(planned.job.lanes))]
            if all((life / records.RECORD).exists() for life in lives):
                torch.set_num_threads(planned.job.threads)
                yield planned, folder, [history_format.read(life / records.HISTORY) for life in lives]

    def _noted(self, path: Path, planned: PlannedJob, histories: Sequence[History]) -> bool | None:
        """Return what was found before of the lives and weights that lie here; None where nothing was."""
        if self.request.restart or not path.exists():
            return None
        noted = files.read_json(path)
        record = records.read(path.parent / "lane-0")
        here = records.binding(
            [history.content_sha256 for history in histories],
            record["parameters_sha256"]["after"],
            planned.job.player["checkpoint_sha256"],
        )
        same = isinstance(noted, dict) and all(noted.get(key) == value for key, value in here.items())
        return bool(noted["holds"]) if same else None

    @staticmethod
    def _binding(planned: PlannedJob, player: nn.Module, histories: Sequence[History]) -> dict[str, Any]:
        return records.binding(
            [history.content_sha256 for history in histories],
            frozenness.parameters_sha256(player),
            planned.job.player["checkpoint_sha256"],
        )

    def _planned(self, role: str, player_index: int, probe: Probe | None = None) -> PlannedJob:
        request, lives = self.request, list(self.lives.values())
        return plans.plan(
            self.entrant,
            self.benchmark,
            request.budget,
            role,
            lives,
            request.lanes,
            request.threads,
            probe,
            request.salt,
        )[player_index]

    def _loaded(self, planned: PlannedJob) -> nn.Module:
        """Return the player of a job; one of a probe may have other parameters."""
        probe = planned.job.probe
        if probe is None or probe.parameters == "own" or self.entrant.submission is None:
            return planned.load(report=self.report_relearning)
        return parameters.of_probe(planned, probe, self.entrant.submission, self.folder, self.report_training)

    def report_training(self, what: str, done: int, total: int, note: str) -> None:
        """Report the training of a probe's parameters."""
        self.report(Progress(self.entrant.name, what, done, total))

    def _outset(self, player: nn.Module, planned: PlannedJob) -> Outset:
        """Return where a job's lives begin."""
        return self._outset_of(player, [self.lives[lane.teacher] for lane in planned.job.lanes], planned.job)

    def _outset_of(self, player: nn.Module, lives: Sequence[TeacherLife], job: Job) -> Outset:
        """Return where lives begin that are primed, if at all, as a job's, one a teacher's life."""
        imitator: Any = player
        if job.priming_moves == 0:
            return harness.empty_outset(imitator, len(lives))
        source = job.probe.priming if job.probe else "last"
        primed = {life: self._primed(imitator, life, job.priming_moves, source) for life in set(lives)}
        return harness.join_outsets([primed[life] for life in lives])

    def _primed(self, imitator: Any, life: TeacherLife, priming_moves: int, source: str) -> Outset:
        """Return the outset after a teacher's moves: the last watched ones, or what a probe has instead."""
        history = benchmarks.read(self._life_of_another_game(life) if source == "another-game" else life)
        stop = min(self.benchmark.watched_moves, history.num_moves)
        if source == "first":
            stop = min(stop, priming_moves)
        start = max(0, stop - priming_moves)
        store: FrameStore = frames(history, start, stop)
        return harness.primed_outset(imitator, history, store, start, stop)

    def _life_of_another_game(self, life: TeacherLife) -> TeacherLife:
        """Return a teacher's life on a new game, the same one for the same watched life."""
        new = [other for other in self.lives.values() if other.game in self.benchmark.new_games]
        if not new:
            raise InputError(f"{self.benchmark.name}: no teacher life of a new game here to prime with")
        watched = [name for name, other in self.lives.items() if other.game in self.benchmark.watched_games]
        return new[watched.index(life.name) % len(new)]
