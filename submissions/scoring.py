"""Scoring: plays every life of a row that isn't there yet; what the lives mean is judged elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from understudy.submissions import plan as plans
from understudy.submissions.entrants import Entrant, resolve
from understudy.submissions.plan import PlannedJob
from understudy.suite import benchmarks, files, harness
from understudy.suite import likeness as likeness_of
from understudy.suite.benchmarks import Benchmark, TeacherLife
from understudy.suite.errors import InputError
from understudy.suite.harness import Outset
from understudy.suite.histories import format as history_format
from understudy.suite.histories.format import History
from understudy.suite.histories.frames import FrameStore, frames

ROW = "row.json"
REFERENCES = {"policy-at-w": ("start",), "random": ("start", "start-new")}  # what every verdict compares with


@dataclass(frozen=True)
class Progress:
    """What is reported while lives are played."""

    row: str
    role: str
    moves: int  # played so far, of each life of the job
    target_moves: int


Report = Callable[[Progress], None]


def score(
    name_or_path: str,
    benchmark_name: str,
    budget_name: str,
    results: Path,
    tasks: Sequence[str] | None = None,
    lanes: int | None = None,
    threads: int = 1,
    restart: bool = False,
    report: Report = lambda progress: None,
) -> list[Path]:
    """Play a row's lives and those of its references; return the rows' folders, the entrant's first.

    Lives that are there already are left as they are; an interrupted job goes on where it stopped.

    Raises:
        InputError: unknown names, a submission that does not load, lives begun as another job.
        CheckFailed: the player's parameters changed while it played.
    """
    benchmark = benchmarks.load(benchmark_name)
    budget = benchmark.budget(budget_name)
    wanted = list(budget.tasks) if tasks is None else list(tasks)
    for task in wanted:
        benchmark.rules(budget_name, task)  # raises where the budget is too short for it
    entrant = resolve(name_or_path, benchmark_name)
    roles = plans.roles_of(wanted)
    lives = benchmarks.teacher_lives(benchmark)
    rows = [(entrant, roles)]
    for name, reference_roles in REFERENCES.items():
        needed = [role for role in reference_roles if role in roles]
        if name != entrant.name and (name != "policy-at-w" or _networks_at_w(benchmark, lives)):
            rows.append((resolve(name, benchmark_name), needed))
    folders = []
    for row, row_roles in rows:
        folder = results / benchmark_name / budget_name / row.name
        folders.append(folder)
        scorer = _Scorer(row, benchmark, lives, folder, restart and row is entrant, report)
        for planned in plans.plan(row, benchmark, budget_name, row_roles, lives, lanes, threads):
            scorer.play(planned)
        if "skill" in wanted and row is entrant:
            scorer.measure_likeness(budget.likeness_moves)
    return folders


class _Scorer:
    """Plays the jobs of one row, reading each teacher life and each player once."""

    def __init__(
        self,
        entrant: Entrant,
        benchmark: Benchmark,
        lives: Sequence[TeacherLife],
        folder: Path,
        restart: bool,
        report: Report,
    ) -> None:
        self.entrant, self.benchmark, self.folder, self.restart = entrant, benchmark, folder, restart
        self.lives = {life.name: life for life in lives}
        self.report = report
        self.histories: dict[str, History] = {}
        _write_row(entrant, benchmark, folder)

    def play(self, planned: PlannedJob) -> None:
        """Play one job, unless it is done."""
        job = planned.job
        teachers = [lane.teacher for lane in job.lanes]
        for teacher in set(teachers):
            self._refuse_incomplete_network(teacher)
        torch.set_num_threads(job.threads)
        player = planned.player.load(teachers)
        harness.play(
            job,
            player,
            lambda: self._outset(player, teachers, job.priming_moves),
            self.folder / planned.path,
            lambda done, total: self.report(Progress(self.entrant.name, planned.role, done, total)),
            self.restart,
        )

    def measure_likeness(self, moves: int) -> None:
        """Measure next-action prediction on the teachers' moves from W on, where they are recorded."""
        for player in self.entrant.players(self.benchmark, list(self.lives.values())):
            teachers = sorted({teacher for _, teacher in self._start_lanes(player.checkpoint)})
            for teacher in teachers:
                path = (
                    self.folder / "likeness" / player.checkpoint / f"{teacher.replace('/', '.')}.safetensors"
                )
                history = self._history(teacher)
                start = self.benchmark.watched_moves
                network_path = self.lives[teacher].network_path
                if path.exists() and not self.restart:
                    continue
                if history.num_moves < start + moves or network_path is None:
                    continue
                imitator = player.load([teacher])
                outset = self._outset(imitator, [teacher], self.entrant.priming_moves)
                store = frames(history, start, start + moves)
                measured = likeness_of.measure(imitator, outset, history, store, start, moves, network_path)
                files.write_columns(path, measured)

    def _start_lanes(self, checkpoint: str) -> list[tuple[str, str]]:
        job = files.read_json(self.folder / "start" / checkpoint / "job.json")
        return [(lane["unit"], lane["teacher"]) for lane in job["lanes"]]

    def _outset(self, player: nn.Module, teachers: Sequence[str], priming_moves: int) -> Outset:
        imitator: Any = player
        if priming_moves == 0:
            return harness.empty_outset(imitator, len(teachers))
        primed = {teacher: self._primed(imitator, teacher, priming_moves) for teacher in set(teachers)}
        return harness.join_outsets([primed[teacher] for teacher in teachers])

    def _primed(self, imitator: Any, teacher: str, priming_moves: int) -> Outset:
        history = self._history(teacher)
        stop = min(self.benchmark.watched_moves, history.num_moves)
        start = max(0, stop - priming_moves)
        store: FrameStore = frames(history, start, stop)
        return harness.primed_outset(imitator, history, store, start, stop)

    def _history(self, teacher: str) -> History:
        if teacher not in self.histories:
            self.histories[teacher] = history_format.read(self.lives[teacher].history_path)
        return self.histories[teacher]

    def _refuse_incomplete_network(self, teacher: str) -> None:
        if self.entrant.name == "policy-at-w" and self.lives[teacher].network_path is None:
            raise InputError(
                f"policy-at-w: teacher life {teacher} has {self._history(teacher).num_moves:,} of "
                f"{self.benchmark.watched_moves:,} watched moves, so there is no network at W; "
                "carry the life on with: understudy teach"
            )


def _networks_at_w(benchmark: Benchmark, lives: Sequence[TeacherLife]) -> bool:
    watched = [life for life in lives if life.game in benchmark.watched_games]
    return all(life.network_path is not None for life in watched)


def _write_row(entrant: Entrant, benchmark: Benchmark, folder: Path) -> None:
    """Write what the table shows of an entrant; InputError where the folder holds another one's row."""
    declaration = entrant.submission.declaration if entrant.submission else None
    row = {
        "name": entrant.name,
        "sha256": entrant.sha256,
        "benchmark": benchmark.name,
        "benchmark_sha256": benchmark.sha256,
        "architecture": declaration.architecture if declaration else entrant.name,
        "control": entrant.is_control,
        "decoding": entrant.decoding,
        "track": entrant.track,
        "watched": declaration.watched.mode if declaration else None,
        "priming_moves": entrant.priming_moves,
        "search_trials": declaration.search_trials if declaration else None,
    }
    path = folder / ROW
    if path.exists() and files.read_json(path) != row:
        raise InputError(
            f"{path}: another {entrant.name!r} was scored here (SHA-256 "
            f"{files.read_json(path).get('sha256', '?')[:12]}, now {entrant.sha256[:12]}); "
            "use another folder for --out"
        )
    files.write_json(path, row)
