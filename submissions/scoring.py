"""Scoring: plays every life of a row that isn't there yet; what the lives mean is judged elsewhere."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from understudy.submissions import engines
from understudy.submissions import plan as plans
from understudy.submissions.entrants import Entrant, resolve
from understudy.submissions.plan import PlannedJob
from understudy.suite import benchmarks, files, frozenness, harness, isolation, records
from understudy.suite import likeness as likeness_of
from understudy.suite.benchmarks import Benchmark, TeacherLife
from understudy.suite.errors import InputError
from understudy.suite.harness import Outset
from understudy.suite.histories import format as history_format
from understudy.suite.histories.frames import FrameStore, frames

ROW = "row.json"
REFERENCES = {"policy-at-w": ("start",), "random": ("start", "start-new")}  # what every verdict compares with


RULER_STARTS = {"improvement": ("policy-at-w", "start"), "transfer": ("random", "start-new")}  # of each task


@dataclass(frozen=True)
class Progress:
    """What is reported while lives are played."""

    row: str
    role: str
    moves: int  # played so far, of each life of the job
    target_moves: int


@dataclass(frozen=True)
class Request:
    """A row asked for, and how it is played."""

    name_or_path: str  # of the entrant
    benchmark: str
    budget: str
    results: Path
    lanes: int | None = None  # None: the budget's
    threads: int = 1
    restart: bool = False

    def results_of(self, row: str) -> Path:
        """Return the folder of a row of this benchmark and budget."""
        return self.results / self.benchmark / self.budget / row


@dataclass(frozen=True)
class Errand:
    """The smallest piece of scoring that one process does: a job of a row, or a row's likeness."""

    request: Request
    role: str  # one of plan.ROLES, or LIKENESS
    player: int  # position among the entrant's players


Report = Callable[[Progress], None]
LIKENESS = "likeness"


def score(
    requests: Sequence[Request],
    tasks: Sequence[str] | None = None,
    engine: str = "serial",
    report: Report = lambda progress: None,
) -> None:
    """Play the rows' lives and those of their references; what is there already stays as it is.

    An interrupted job goes on where it stopped. `tasks` defaults to all that the budget has.

    Raises:
        InputError: unknown names, a submission that does not load, lives begun as another job.
        CheckFailed: a player's parameters changed while it played.
    """
    errands: dict[Errand, None] = {}  # in order, each once
    for request in requests:
        errands |= dict.fromkeys(_errands(request, tasks))
    engines.run(engine, list(errands), run_errand, report)


def play_ruler_starts(
    request: Request, engine: str = "serial", report: Report = lambda progress: None
) -> list[str]:
    """Play the start lives from which a benchmark's rulers gain at a budget; return the tasks that have them.

    A task whose teacher lives are too few, or too short for the budget, has no ruler whatever its start is:
    nothing is played for it. The request's name is not looked at. Raises as `score`.
    """
    benchmark = benchmarks.load(request.benchmark)
    tasks = [task for task in RULER_STARTS if _has_ruler_lives(benchmark, request.budget, task)]
    errands = []
    for name, role in (RULER_STARTS[task] for task in tasks):
        own = replace(request, name_or_path=name)
        _write_row(resolve(name, request.benchmark), benchmark, request.results_of(name))
        errands.append(Errand(own, role, 0))
    engines.run(engine, errands, run_errand, report)
    return tasks


def run_errand(errand: Errand, report: Report) -> None:
    """Do one errand, unless it is done."""
    request = errand.request
    scorer = _Scorer(request, report)
    if errand.role == LIKENESS:
        scorer.measure_likeness(errand.player)
    else:
        scorer.play(errand.role, errand.player)


def check_isolation(request: Request, lane: int = 0) -> bool:
    """Check, in a fresh process, that a lane of each of a row's whole lives plays alone; note what was found.

    Start lives are left out: their memory is restored at every episode. Raises InputError where the row
    has not been played.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(_check_isolation, request, lane).result()


def _check_isolation(request: Request, lane: int) -> bool:
    scorer = _Scorer(request, lambda progress: None)
    found = [scorer.check_isolation(role, lane) for role in ("continue", "transfer")]
    played = [differs for differs in found if differs is not None]
    if not played:
        raise InputError(f"{scorer.folder}: no lives of kind continue or transfer here; score them first")
    return all(first < 0 for first in played)


def _errands(request: Request, tasks: Sequence[str] | None) -> Iterator[Errand]:
    """Yield what a request needs, its references' jobs included, after writing the rows' own files."""
    benchmark = benchmarks.load(request.benchmark)
    budget = benchmark.budget(request.budget)
    wanted = list(budget.tasks) if tasks is None else list(tasks)
    for task in wanted:
        benchmark.rules(request.budget, task)  # raises where the budget is too short for it
    roles = plans.roles_of(wanted)
    lives = benchmarks.teacher_lives(benchmark)
    entrant = resolve(request.name_or_path, request.benchmark)
    if entrant.name == "policy-at-w" and not networks_at_w(benchmark, lives):
        raise InputError(
            f"policy-at-w: a watched teacher life of {benchmark.name} is shorter than W = "
            f"{benchmark.watched_moves:,} moves, so it has no network at W; carry it on: understudy teach"
        )
    players = range(len(found := entrant.players(benchmark, lives)))
    for player in found:
        player.load(player.teachers[:1])  # whatever can't play is refused before anything is written
    _write_row(entrant, benchmark, request.results_of(entrant.name))
    yield from (Errand(request, role, player) for role in roles for player in players)
    if "skill" in wanted:
        yield from (Errand(request, LIKENESS, player) for player in players)
    for name, reference_roles in REFERENCES.items():
        if name != entrant.name and (name != "policy-at-w" or networks_at_w(benchmark, lives)):
            reference = replace(request, name_or_path=name, restart=False)
            _write_row(resolve(name, request.benchmark), benchmark, request.results_of(name))
            yield from (Errand(reference, role, 0) for role in reference_roles if role in roles)


class _Scorer:
    """Plays the jobs of one row."""

    def __init__(self, request: Request, report: Report) -> None:
        self.request, self.report = request, report
        self.benchmark = benchmarks.load(request.benchmark)
        self.entrant = resolve(request.name_or_path, request.benchmark)
        self.lives = {life.name: life for life in benchmarks.teacher_lives(self.benchmark)}
        self.folder = request.results_of(self.entrant.name)

    def play(self, role: str, player_index: int) -> None:
        """Play one job, unless it is done."""
        planned = self._planned(role, player_index)
        job = planned.job
        teachers = [lane.teacher for lane in job.lanes]
        torch.set_num_threads(job.threads)
        player = planned.player.load(teachers)
        harness.play(
            job,
            player,
            lambda: self._outset(player, teachers, job.priming_moves),
            self.folder / planned.path,
            lambda done, total: self.report(Progress(self.entrant.name, role, done, total)),
            self.request.restart,
        )

    def measure_likeness(self, player_index: int) -> None:
        """Measure next-action prediction on the teachers' moves from W on, where they are recorded."""
        planned = self._planned("start", player_index)
        teachers = sorted({lane.teacher for lane in planned.job.lanes})
        moves = self.benchmark.budget(self.request.budget).likeness_moves
        start = self.benchmark.watched_moves
        torch.set_num_threads(planned.job.threads)
        for done, teacher in enumerate(teachers):
            self.report(Progress(self.entrant.name, LIKENESS, done, len(teachers)))
            name = f"{teacher.replace('/', '.')}.safetensors"
            path = self.folder / LIKENESS / planned.player.checkpoint / name
            history, network_path = benchmarks.read(self.lives[teacher]), self.lives[teacher].network_path
            if path.exists() and not self.request.restart:
                continue
            if history.num_moves < start + moves or network_path is None:
                continue
            imitator = planned.player.load([teacher])
            outset = self._outset(imitator, [teacher], self.entrant.priming_moves)
            store = frames(history, start, start + moves)
            measured = likeness_of.measure(imitator, outset, history, store, start, moves, network_path)
            files.write_columns(path, measured)

    def check_isolation(self, role: str, lane: int) -> int | None:
        """Return the first move at which a lane of any job differs, -1 for none; None if none was played."""
        players = self.entrant.players(self.benchmark, list(self.lives.values()))
        found: list[int] = []
        for planned in (self._planned(role, index) for index in range(len(players))):
            job, folder = planned.job, self.folder / planned.path
            lives = [folder / f"lane-{index}" for index in range(len(job.lanes))]
            if not all((life / records.RECORD).exists() for life in lives):
                continue
            torch.set_num_threads(job.threads)
            teachers = [lane.teacher for lane in job.lanes]
            player = planned.player.load(teachers)
            outset = self._outset(player, teachers, job.priming_moves)
            histories = [history_format.read(life / records.HISTORY) for life in lives]
            checked = records.isolation_binding(
                [history.content_sha256 for history in histories],
                frozenness.parameters_sha256(player),
                job.player["checkpoint_sha256"],
            )
            move = isolation.first_difference(job, player, outset, histories, lane)
            moves = min(isolation.CHECKED_MOVES, job.moves)
            files.write_json(
                folder / records.ISOLATION,
                {"lane": lane, "moves": moves, "holds": move is None, "differs_at": move, **checked},
            )
            found.append(-1 if move is None else move)
        return max(found, default=None)

    def _planned(self, role: str, player_index: int) -> PlannedJob:
        request = self.request
        lives = list(self.lives.values())
        return plans.plan(
            self.entrant, self.benchmark, request.budget, [role], lives, request.lanes, request.threads
        )[player_index]

    def _outset(self, player: nn.Module, teachers: Sequence[str], priming_moves: int) -> Outset:
        imitator: Any = player
        if priming_moves == 0:
            return harness.empty_outset(imitator, len(teachers))
        primed = {teacher: self._primed(imitator, teacher, priming_moves) for teacher in set(teachers)}
        return harness.join_outsets([primed[teacher] for teacher in teachers])

    def _primed(self, imitator: Any, teacher: str, priming_moves: int) -> Outset:
        history = benchmarks.read(self.lives[teacher])
        stop = min(self.benchmark.watched_moves, history.num_moves)
        start = max(0, stop - priming_moves)
        store: FrameStore = frames(history, start, stop)
        return harness.primed_outset(imitator, history, store, start, stop)


def networks_at_w(benchmark: Benchmark, lives: Sequence[TeacherLife]) -> bool:
    """Return whether every watched life reached W, so that its network there can play."""
    watched = [life for life in lives if life.game in benchmark.watched_games]
    return all(life.network_path is not None for life in watched)


def _has_ruler_lives(benchmark: Benchmark, budget_name: str, task: str) -> bool:
    """Return whether enough teacher lives are recorded over a task's moves at a budget."""
    budget = benchmark.budget(budget_name)
    if task not in budget.tasks:
        return False
    lives = benchmarks.teacher_lives(benchmark)
    on_watched = task == "improvement"
    if on_watched and not networks_at_w(benchmark, lives):
        return False
    ruled = benchmark.watched_games if on_watched else benchmark.new_games
    needed = budget.moves + (benchmark.watched_moves if on_watched else 0)
    long = [life for life in lives if life.game in ruled and benchmarks.read(life).num_moves >= needed]
    return len(long) >= benchmark.minima.ruler_lives


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
