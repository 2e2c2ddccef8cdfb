"""Conformance of a task: its verdict must be a pure function of runs, and give a reason for what is unknown.

from understudy.suite import tasks
from understudy.suite.testing.task_checks import check_task

check_task(tasks.load("improvement"))
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any, NoReturn

import numpy as np

from understudy.suite.errors import CheckFailed
from understudy.suite.protocols import ROLES
from understudy.suite.scoring.contrasts import CLAIMS
from understudy.suite.scoring.evidence import Evidence, Predictions
from understudy.suite.scoring.rules import Minima, Rules, Thresholds
from understudy.suite.scoring.scored_runs import ScoredRun
from understudy.suite.scoring.verdicts import Verdict
from understudy.suite.tasks import Task

RUNS = (  # fields of `Evidence` whose order must not matter
    "runs",
    "starts",
    "reference_runs",
    "reference_starts",
    "random_starts",
    "yoked",
    "flipped",
    "predictions",
)
RULES = Rules(
    watched_moves=200,
    moves=400,
    end_moves=100,
    episode_cap_moves=10,
    thresholds=Thresholds(0.5, 0.1, 0.8, 1.25, 0.5, 0.95, 0.975, 0.9),
    minima=Minima(5, 4, 4, 10, 20, 20),
)


def check_task(task: Task, seed: int = 0) -> None:
    """Raise CheckFailed, with the names of task and case, unless the task conforms to the protocol.

    Verdicts are computed on made-up runs: random, without episode ends, unequal in number, too short or none.
    Each must be equal when computed twice and for any order of the runs, leave the runs unchanged, and be
    plain JSON without NaN.

    Args:
        task: the task to check.
        seed: of the made-up runs.
    """
    if not task.name or not task.question.endswith("?") or not set(task.roles) <= set(ROLES):
        _fail(task, "description", f"a name, a question, roles among {', '.join(ROLES)}", task)
    rng = np.random.default_rng(seed)
    for case, evidence in cases(rng):
        before = _bytes(evidence)
        verdict = task.verdict(evidence, RULES)
        text = _json(task, case, verdict)
        if _bytes(evidence) != before:
            _fail(task, case, "its runs unchanged", "other bytes in them")
        if text != _json(task, case, task.verdict(evidence, RULES)):
            _fail(task, case, "an equal verdict when computed twice", "another one")
        shuffled = _with(evidence, {name: _shuffled(getattr(evidence, name), rng) for name in RUNS})
        if text != _json(task, case, task.verdict(shuffled, RULES)):
            _fail(task, case, "an equal verdict for any order of runs", "another one")
        if task.comparable(evidence, RULES) != task.comparable(shuffled, RULES):
            _fail(task, case, "equal values of the units for any order of runs", "others")


def cases(rng: np.random.Generator) -> Iterator[tuple[str, Evidence]]:
    """Yield named evidence of both claims: complete, and with each field in turn missing or unusual."""
    for claim in CLAIMS:
        complete = made_up(rng, claim)
        yield f"{claim}: complete", complete
        yield f"{claim}: nothing", Evidence(claim)
        for name in RUNS:
            yield f"{claim}: without {name}", _with(complete, {name: ()})
            if name != "predictions":
                endless = tuple(_endless(run) for run in getattr(complete, name))
                yield f"{claim}: {name} without an end", _with(complete, {name: endless})
                short = tuple(_cut(run, RULES.moves // 2) for run in getattr(complete, name))
                yield f"{claim}: {name} cut short", _with(complete, {name: short})
        yield f"{claim}: two reference runs", replace(complete, reference_runs=complete.reference_runs[:2])
        yield f"{claim}: teacher run incomplete", replace(complete, watched_moves=RULES.watched_moves - 1)
        yield f"{claim}: no points scored", _scaled(complete, 0.0)


def made_up(rng: np.random.Generator, claim: str, units: int = 5, lanes: int = 3) -> Evidence:
    """Return evidence of random runs in which imitator and teacher gain about as much."""

    def runs(start: float, end: float, count: int = lanes) -> tuple[ScoredRun, ...]:
        return tuple(_run(rng, f"run-{u}", lane, start, end) for u in range(units) for lane in range(count))

    return Evidence(
        claim,
        runs=runs(5.0, 15.0),
        starts=runs(5.0, 5.0),
        reference_runs=runs(5.0, 15.0, 1),
        reference_starts=runs(5.0, 5.0),
        random_starts=runs(1.0, 1.0),
        predictions=tuple(_predictions(rng, f"run-{u}") for u in range(units)),
        watched_moves=RULES.watched_moves,
        skill_answer="yes",
        yoked=runs(5.0, 12.0),
        flipped=runs(5.0, 6.0),
        ends_by_failure=True,
        gains_of_draws={
            "redrawn": (0.1, 0.0, -0.2),
            "shuffled": (0.3, 0.2, 0.1),
            "retrained": (9.0, 9.5, 8.0),
        },
        isolation_holds=True,
    )


def _run(rng: np.random.Generator, unit: str, lane: int, start: float, end: float) -> ScoredRun:
    """Return a run whose points an episode rise from `start` to `end`, in episodes of about five moves."""
    ended = rng.random(RULES.moves) < 0.2
    reward = np.where(ended, np.linspace(start, end, RULES.moves) + rng.normal(0.0, 1.0, RULES.moves), 0.0)
    return ScoredRun(unit, 0, lane, reward.astype(np.float32), ended)


def _predictions(rng: np.random.Generator, unit: str) -> Predictions:
    n = 200
    chosen = rng.integers(0, 3, n)
    predicted = np.where(rng.random(n) < 0.8, chosen, 0)
    loss = rng.exponential(0.5, n)
    return Predictions(unit, 0, chosen, rng.random(n) < 0.1, predicted, loss, np.full(n, 0.95), 0.1 * loss)


def _endless(run: ScoredRun) -> ScoredRun:
    return replace(run, ended=np.zeros_like(run.ended))


def _cut(run: ScoredRun, moves: int) -> ScoredRun:
    return replace(run, reward=run.reward[:moves], ended=run.ended[:moves])


def _scaled(evidence: Evidence, factor: float) -> Evidence:
    def scale(run: ScoredRun) -> ScoredRun:
        return replace(run, reward=np.float32(factor) * run.reward)

    names = [name for name in RUNS if name != "predictions"]
    return _with(evidence, {name: tuple(map(scale, getattr(evidence, name))) for name in names})


def _with(evidence: Evidence, changes: dict[str, Any]) -> Evidence:
    return replace(evidence, **changes)


def _shuffled(items: tuple[Any, ...], rng: np.random.Generator) -> tuple[Any, ...]:
    return tuple(items[i] for i in rng.permutation(len(items)))


def _bytes(evidence: Evidence) -> list[bytes]:
    rows = [row for name in RUNS for row in getattr(evidence, name)]
    values = [getattr(row, each.name) for row in rows for each in fields(row)]
    return [value.tobytes() for value in values if isinstance(value, np.ndarray)]


def _json(task: Task, case: str, verdict: Verdict) -> str:
    """Return the verdict as JSON text; CheckFailed if it is another task's or not plain JSON."""
    if verdict.task != task.name:
        _fail(task, case, f"a verdict of task {task.name!r}", f"one of {verdict.task!r}")
    try:
        return json.dumps(verdict.as_json(), allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        _fail(task, case, "plain JSON without NaN", error)


def _fail(task: Task, case: str, expected: str, found: object) -> NoReturn:
    raise CheckFailed(f"task {task.name!r}, {case}: expected {expected}; found {found}")
