"""Scoring: plays every life of a row that isn't there yet; what the lives mean is judged elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from understudy.submissions import engines
from understudy.submissions import plan as plans
from understudy.submissions.entrants import Entrant, resolve
from understudy.submissions.requests import Report, Request, relearning
from understudy.submissions.scorer import LIKENESS, Scorer
from understudy.suite import benchmarks, files, games, places, probes, records
from understudy.suite.benchmarks import Benchmark, TeacherLife
from understudy.suite.errors import InputError
from understudy.suite.probes import Probe

ROW = "row.json"
REFERENCES = {"policy-at-w": ("start",), "random": ("start", "start-new")}  # what every verdict compares with


RULER_STARTS = {"improvement": ("policy-at-w", "start"), "transfer": ("random", "start-new")}  # of each task


@dataclass(frozen=True)
class Errand:
    """The smallest piece of scoring that one process does: a job of a row, or a row's likeness."""

    request: Request
    role: str  # one of plan.ROLES, LIKENESS, ISOLATION or REDERIVED
    player: int  # position among the entrant's players
    probe: str | None = None  # name of the one that these lives are played for; None: they are scored
    checked_role: str = ""  # of the lives that are fed again


ISOLATION, REDERIVED = "isolation", "rederived"  # roles of an errand that feeds stored lives again


def score(
    requests: Sequence[Request],
    tasks: Sequence[str] | None = None,
    engine: str = "serial",
    report: Report = lambda progress: None,
    probed: Sequence[Probe] = (),
) -> None:
    """Play the rows' lives and those of their references; what is there already stays as it is.

    An interrupted job goes on where it stopped. `tasks` defaults to all that the budget has and the player
    is meant for. `probed` are played for the rows besides, but not for their references.

    Raises InputError for unknown names, a submission that does not load, lives begun as another job.
    """
    errands: dict[Errand, None] = {}  # in order, each once
    for request in requests:
        errands |= dict.fromkeys(_errands(request, tasks, probed, report))
    rows = {request: _row(request) for request in dict.fromkeys(errand.request for errand in errands)}
    scorers = {request: Scorer(request, report) for request in rows}
    for errand in errands:  # before hours are played beside lives that can't be compared with
        if errand.role != LIKENESS:
            scorers[errand.request].refuse_other_job(errand.role, errand.player, _probe(errand))
    for path, row in rows.values():
        files.write_json(path, row)
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
        files.write_json(*_row(own))
        errands.append(Errand(own, role, 0))
    engines.run(engine, errands, run_errand, report)
    return tasks


def check(requests: Sequence[Request], what: str, report: Report = lambda progress: None) -> None:
    """Feed the stored lives of rows to their players again, in fresh processes; notes lie beside the lives.

    Args:
        requests: the rows, played.
        what: ISOLATION, of the whole lives, whose memory is not restored; or REDERIVED, of all lives.
        report: told what is under way.

    Raises InputError where a row has not been played.
    """
    roles = [role for role, (kind, _) in places.ROLES.items() if what == REDERIVED or kind != "start"]
    errands = []
    for request in requests:
        folder = request.results_of(resolve(request.name_or_path, request.benchmark).name)
        played = [role for role in roles if any(folder.glob(f"{role}/*/lane-*/{records.RECORD}"))]
        if not played:
            raise InputError(f"{folder}: no lives of kind {' or '.join(roles)} here; score them first")
        errands += [Errand(request, what, 0, checked_role=role) for role in played]
    engines.run_fresh(errands, run_errand, report)


def seconds_played(requests: Sequence[Request]) -> float:
    """Return how long the rows' lives were played, jobs that ran side by side counted in full."""
    runs = (
        path
        for request in requests
        for path in request.results_of(request.name_or_path).glob(f"*/*/lane-0/{records.RUN}")
    )
    return sum(float(files.read_json(path)["seconds"]) for path in runs)


def run_errand(errand: Errand, report: Report) -> None:
    """Do one errand, unless it is done."""
    request = errand.request
    scorer = Scorer(request, report)
    if errand.role == LIKENESS:
        scorer.measure_likeness(errand.player)
    elif errand.role == ISOLATION:
        scorer.check_isolation(errand.checked_role)
    elif errand.role == REDERIVED:
        scorer.rederive(errand.checked_role)
    else:
        scorer.play(errand.role, errand.player, _probe(errand))


def _probe(errand: Errand) -> Probe | None:
    return probes.PROBES[errand.probe] if errand.probe else None


def _errands(
    request: Request, tasks: Sequence[str] | None, probed: Sequence[Probe], report: Report
) -> Iterator[Errand]:
    """Yield what a request needs, its references' jobs included."""
    benchmark = benchmarks.load(request.benchmark)
    budget = benchmark.budget(request.budget)
    wanted = list(budget.tasks) if tasks is None else list(tasks)
    for task in wanted:
        benchmark.rules(request.budget, task)  # raises where the budget is too short for it
    lives = benchmarks.teacher_lives(benchmark)
    benchmarks.require_one_recipe(lives)
    entrant = resolve(request.name_or_path, request.benchmark)
    if entrant.name == "policy-at-w" and not networks_at_w(benchmark, lives):
        raise InputError(
            f"policy-at-w: a watched teacher life of {benchmark.name} is shorter than W = "
            f"{benchmark.watched_moves:,} moves, so it has no network at W; carry it on: understudy teach"
        )
    players = entrant.players(benchmark, lives)
    wanted = [task for task in wanted if task in players[0].tasks]
    roles = plans.roles_of(wanted)
    for role in roles[-1:]:  # whatever can't play is refused before anything is written
        for planned in plans.plan(entrant, benchmark, request.budget, role, lives, request.lanes):
            planned.load(planned.job.lanes[:1], relearning(entrant.name, report))
    yield from (Errand(request, role, player) for role in roles for player in range(len(players)))
    if "skill" in wanted:
        yield from (Errand(request, LIKENESS, player) for player in range(len(players)))
    for probe in probed:
        if _means_nothing(probe, entrant, benchmark):
            continue
        probing = [role for role in roles if probe.touches(*places.ROLES[role])]
        yield from (Errand(request, role, n, probe.name) for role in probing for n in range(len(players)))
    for name, reference_roles in REFERENCES.items():
        if name != entrant.name and (name != "policy-at-w" or networks_at_w(benchmark, lives)):
            reference = replace(request, name_or_path=name, restart=False, salt=plans.DEV_SALT)
            yield from (Errand(reference, role, 0) for role in reference_roles if role in roles)


def refuse_probes(request: Request, named: Sequence[Probe]) -> None:
    """Raise InputError for a probe that means nothing for a row's player or on its benchmark's games."""
    entrant, benchmark = resolve(request.name_or_path, request.benchmark), benchmarks.load(request.benchmark)
    for probe in named:
        reason = _means_nothing(probe, entrant, benchmark)
        if reason:
            raise InputError(f"--probe {probe.name}: {reason}; leave it out")


def _means_nothing(probe: Probe, entrant: Entrant, benchmark: Benchmark) -> str | None:
    """Return why a probe means nothing for a player on a benchmark's games; None where it does."""
    if probe.needs_priming and not entrant.priming_moves:
        return f"{entrant.name} is not primed, so its lives would be those that are scored"
    if probe.parameters != "own" and entrant.is_control:
        return f"{entrant.name} is a control and has no parameters that were trained"
    if not probe.concerns([games.load(name) for name in benchmark.games]):
        return f"no game of {benchmark.name} shows its score"
    return None


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


def _row(request: Request) -> tuple[Path, dict[str, Any]]:
    """Return what the table shows of an entrant, and where; InputError where another one's row lies there."""
    benchmark = benchmarks.load(request.benchmark)
    lives = benchmarks.teacher_lives(benchmark)
    entrant = resolve(request.name_or_path, request.benchmark)
    folder = request.results_of(entrant.name)
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
        "salt": request.salt,
        "checkpoints": {player.checkpoint: player.sha256 for player in entrant.players(benchmark, lives)},
    }
    path = folder / ROW
    kept = files.read_json(path) if path.exists() else row
    if isinstance(kept, dict):  # rows of an earlier version didn't name their checkpoints
        kept = {"checkpoints": row["checkpoints"], **kept}
    differing = games.differing_settings(row, kept) if isinstance(kept, dict) else [f"{kept!r}"]
    if differing and not request.restart:
        raise InputError(
            f"{path}: another {entrant.name!r} was scored here ({differing[0][:200]}); use another folder "
            "for --out, or --restart to play its lives anew"
        )
    return path, row
