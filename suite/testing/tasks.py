"""Conformance of a task: a verdict must be a pure function of lives, and say what it doesn't know.

from understudy.suite import tasks
from understudy.suite.testing.tasks import check_task

check_task(tasks.load("improvement"))
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from understudy.suite.errors import CheckFailed
from understudy.suite.judging.contrasts import CLAIMS
from understudy.suite.judging.evidence import Evidence, Likeness
from understudy.suite.judging.lives import Life
from understudy.suite.judging.rules import Minima, Rules, Thresholds
from understudy.suite.tasks import Task
from understudy.suite.verdicts import Verdict

KINDS = ("start", "continue", "transfer")
LIVES = ("lives", "starts", "ruler_lives", "ruler_starts", "random_starts", "yoked", "flipped", "likeness")
RULES = Rules(
    watched_moves=200,
    moves=400,
    end_moves=100,
    episode_cap_moves=10,
    thresholds=Thresholds(0.5, 0.1, 0.8, 1.25, 0.5, 0.95, 0.975, 0.9),
    minima=Minima(5, 4, 4, 10, 20, 20),
)


def check_task(task: Task, seed: int = 0) -> None:
    """Raise CheckFailed, naming the task and the case, unless the task keeps the suite's promises.

    Its verdict on a range of made-up lives (random, never ending, unequal, too short, missing) must be
    the same twice, the same for any order of the lives, leave them unchanged and be plain JSON without NaN.
    """
    if not task.name or not task.question.endswith("?") or not set(task.kinds) <= set(KINDS):
        _fail(task, "its description", f"a name, a question, kinds among {', '.join(KINDS)}", task)
    rng = np.random.default_rng(seed)
    for case, evidence in cases(rng):
        before = _bytes(evidence)
        verdict = task.verdict(evidence, RULES)
        text = _json(task, case, verdict)
        if _bytes(evidence) != before:
            _fail(task, case, "the lives it was given, unchanged", "other bytes in them")
        if text != _json(task, case, task.verdict(evidence, RULES)):
            _fail(task, case, "the same verdict twice", "another one")
        shuffled = _with(evidence, {name: _shuffled(getattr(evidence, name), rng) for name in LIVES})
        if text != _json(task, case, task.verdict(shuffled, RULES)):
            _fail(task, case, "the same verdict for any order of lives", "another one")


def cases(rng: np.random.Generator) -> Iterator[tuple[str, Evidence]]:
    """Yield named evidence of both claims: whole, and with each thing that may be missing or odd."""
    for claim in CLAIMS:
        whole = made_up(rng, claim)
        yield f"{claim}: whole", whole
        yield f"{claim}: nothing", Evidence(claim)
        for name in LIVES:
            yield f"{claim}: without {name}", _with(whole, {name: ()})
            if name != "likeness":
                endless = tuple(_endless(life) for life in getattr(whole, name))
                yield f"{claim}: {name} without an end", _with(whole, {name: endless})
                short = tuple(_cut(life, RULES.moves // 2) for life in getattr(whole, name))
                yield f"{claim}: {name} cut short", _with(whole, {name: short})
        yield f"{claim}: two ruler lives", replace(whole, ruler_lives=whole.ruler_lives[:2])
        yield f"{claim}: teacher life incomplete", replace(whole, watched_moves=RULES.watched_moves - 1)
        yield f"{claim}: nobody scores", _scaled(whole, 0.0)


def made_up(rng: np.random.Generator, claim: str, units: int = 5, lanes: int = 3) -> Evidence:
    """Return evidence of random lives in which imitator and ruler gain about as much."""

    def lives(start: float, end: float, count: int = lanes) -> tuple[Life, ...]:
        return tuple(_life(rng, f"life-{u}", lane, start, end) for u in range(units) for lane in range(count))

    return Evidence(
        claim,
        lives=lives(5.0, 15.0),
        starts=lives(5.0, 5.0),
        ruler_lives=lives(5.0, 15.0, 1),
        ruler_starts=lives(5.0, 5.0),
        random_starts=lives(1.0, 1.0),
        likeness=tuple(_likeness(rng, f"life-{u}") for u in range(units)),
        watched_moves=RULES.watched_moves,
        skill_answer="yes",
        yoked=lives(5.0, 12.0),
        flipped=lives(5.0, 6.0),
        ends_by_failure=True,
        control_owns={"redrawn": (0.1, 0.0, -0.2), "shuffled": (0.3, 0.2, 0.1)},
        isolation_holds=True,
    )


def _life(rng: np.random.Generator, unit: str, lane: int, start: float, end: float) -> Life:
    """A life whose points an episode rise from start to end; episodes of about five moves."""
    ended = rng.random(RULES.moves) < 0.2
    reward = np.where(ended, np.linspace(start, end, RULES.moves) + rng.normal(0.0, 1.0, RULES.moves), 0.0)
    return Life(unit, 0, lane, reward.astype(np.float32), ended)


def _likeness(rng: np.random.Generator, unit: str) -> Likeness:
    n = 200
    chosen = rng.integers(0, 3, n)
    predicted = np.where(rng.random(n) < 0.8, chosen, 0)
    loss = rng.exponential(0.5, n)
    return Likeness(unit, 0, chosen, rng.random(n) < 0.1, predicted, loss, np.full(n, 0.95), 0.1 * loss)


def _endless(life: Life) -> Life:
    return replace(life, ended=np.zeros_like(life.ended))


def _cut(life: Life, moves: int) -> Life:
    return replace(life, reward=life.reward[:moves], ended=life.ended[:moves])


def _scaled(evidence: Evidence, factor: float) -> Evidence:
    def scale(life: Life) -> Life:
        return replace(life, reward=np.float32(factor) * life.reward)

    names = [name for name in LIVES if name != "likeness"]
    return _with(evidence, {name: tuple(map(scale, getattr(evidence, name))) for name in names})


def _with(evidence: Evidence, changes: dict[str, Any]) -> Evidence:
    return replace(evidence, **changes)


def _shuffled(items: tuple[Any, ...], rng: np.random.Generator) -> tuple[Any, ...]:
    return tuple(items[i] for i in rng.permutation(len(items)))


def _bytes(evidence: Evidence) -> list[bytes]:
    rows = [row for name in LIVES for row in getattr(evidence, name)]
    return [array.tobytes() for row in rows for array in vars(row).values() if isinstance(array, np.ndarray)]


def _json(task: Task, case: str, verdict: Verdict) -> str:
    """The verdict's text; CheckFailed if it is another task's or no plain JSON."""
    if verdict.task != task.name:
        _fail(task, case, f"a verdict of task {task.name!r}", f"one of {verdict.task!r}")
    try:
        return json.dumps(verdict.as_json(), allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        _fail(task, case, "plain JSON without NaN", error)


def _fail(task: Task, case: str, expected: str, found: object) -> NoReturn:
    raise CheckFailed(f"task {task.name!r}, {case}: expected {expected}; found {found}")
