"""Reading a benchmark's TOML file: every key is required and checked; an error is one line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from understudy.suite import tasks, validation
from understudy.suite.benchmarks.benchmark import Benchmark, Budget
from understudy.suite.errors import InputError
from understudy.suite.scoring.rules import Minima, PublishedReference, Thresholds

Section = TypeVar("Section", Thresholds, Minima)
TABLES = ("thresholds", "minima", "budgets", "provisional_references")


def parse(text: str, where: str) -> Benchmark:
    """Return the benchmark that a file's text declares.

    `where` names the file in messages. Raises InputError for a value that is missing, unknown, of another
    type or inconsistent with others.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of a number without end, or nested without end
        raise InputError(f"{where}: expected TOML; {error}") from error
    plain = {key: value for key, value in document.items() if key not in TABLES}
    benchmark = validation.checked(
        Benchmark,
        plain,
        where,
        "key",
        thresholds=_section(Thresholds, document, "thresholds", where),
        path=Path(where),
        minima=_section(Minima, document, "minima", where),
        budgets=_budgets(_table(document, "budgets", where), where),
        provisional_references=_references(document.get("provisional_references", {}), where),
    )
    for problem in _problems(benchmark):
        raise InputError(f"{where}: {problem}")
    return benchmark


def _table(document: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    table = document.get(key)
    if not isinstance(table, dict):
        raise InputError(f"{where}: expected a table [{key}]; found {table!r}")
    return table


def _section(kind: type[Section], document: Mapping[str, Any], key: str, where: str) -> Section:
    return validation.checked(kind, _table(document, key, where), f"{where} [{key}]", "key")


def _budgets(tables: Mapping[str, Any], where: str) -> tuple[Budget, ...]:
    return tuple(
        validation.checked(
            Budget, _table(tables, name, f"{where} [budgets]"), f"{where} [budgets.{name}]", "key", name=name
        )
        for name in tables
    )


def _references(tables: Mapping[str, Any], where: str) -> tuple[tuple[str, str, PublishedReference], ...]:
    found = []
    for budget in tables:
        section = f"{where} [provisional_references.{budget}"
        by_task = _table(tables, budget, f"{where} [provisional_references]")
        for task in by_task:
            values = _table(by_task, task, f"{section}]")
            reference = validation.checked(PublishedReference, values, f"{section}.{task}]", "key")
            found.append((budget, task, reference))
    return tuple(found)


def _problems(benchmark: Benchmark) -> list[str]:
    """Return the inconsistencies between fields that are each well formed."""
    found = []
    sizes = ("watched_moves", "episode_cap_moves", "state_cap_bytes", "segment_moves")
    found += [f"expected {size} above 0" for size in sizes if getattr(benchmark, size) < 1]
    if not 0 <= benchmark.exploration < 1:
        found.append(f"expected exploration in [0, 1); found {benchmark.exploration}")
    if not benchmark.watched_games or not benchmark.new_games:
        found.append("expected at least one watched and one new game")
    found += [
        f"game {game!r} is not of the family {benchmark.family!r}"
        for game in benchmark.games
        if game.partition("/")[0] != benchmark.family
    ]
    repeated = sorted({game for game in benchmark.games if benchmark.games.count(game) > 1})
    found += [f"game {game!r} is listed twice; a new game is never watched" for game in repeated]
    for budget in benchmark.budgets:
        found += [f"[budgets.{budget.name}] {problem}" for problem in _budget_problems(budget)]
    if "full" not in benchmark.budget_names:
        found.append("expected a table [budgets.full]")
    tasks_of = {budget.name: budget.tasks for budget in benchmark.budgets}
    for budget_name, task, reference in benchmark.provisional_references:
        section = f"[provisional_references.{budget_name}.{task}]"
        if task not in tasks_of.get(budget_name, ()):
            found.append(f"{section}: no such budget or task in it")
        if reference.game not in benchmark.games:
            found.append(f"{section} is of {reference.game!r}, which is not a game of this benchmark")
    return found


def _budget_problems(budget: Budget) -> list[str]:
    sizes = ("moves", "start_moves", "end_moves", "agreement_moves", "lanes")
    found = [f"expected {size} above 0" for size in sizes if getattr(budget, size) < 1]
    if budget.end_moves > budget.moves:
        found.append(f"end_moves {budget.end_moves} is more than moves {budget.moves}")
    unknown = [task for task in budget.tasks if task not in tasks.names()]
    if unknown or not budget.tasks:
        found.append(f"expected tasks among {', '.join(tasks.names())}; found {list(budget.tasks)}")
    return found
