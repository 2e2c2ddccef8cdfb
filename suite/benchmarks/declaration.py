"""Reading a benchmark's TOML file: every key is expected, typed and checked, with one line for an error."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from understudy.suite import registry, tasks
from understudy.suite.benchmarks.benchmark import Benchmark, Budget
from understudy.suite.errors import InputError
from understudy.suite.judging.rules import Minima, PublishedRuler, Thresholds

Record = TypeVar("Record")
TABLES = ("thresholds", "minima", "budgets", "provisional_rulers")


def parse(text: str, where: str, sha256: str) -> Benchmark:
    """Return the benchmark that a file's text declares.

    `where` names the file in messages; `sha256` is the file's. Raises InputError for anything that is
    missing, unknown, of another type or inconsistent.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where}: expected TOML; {error}") from error
    plain = {key: value for key, value in document.items() if key not in TABLES}
    benchmark = _record(
        Benchmark,
        plain,
        where,
        thresholds=_record(Thresholds, _table(document, "thresholds", where), f"{where} [thresholds]"),
        minima=_record(Minima, _table(document, "minima", where), f"{where} [minima]"),
        budgets=_budgets(_table(document, "budgets", where), where),
        provisional_rulers=_rulers(document.get("provisional_rulers", {}), where),
        sha256=sha256,
    )
    for problem in _problems(benchmark):
        raise InputError(f"{where}: {problem}")
    return benchmark


def _table(document: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    table = document.get(key)
    if not isinstance(table, dict):
        raise InputError(f"{where}: expected a table [{key}]; found {table!r}")
    return table


def _record(kind: type[Record], values: Mapping[str, Any], where: str, **given: Any) -> Record:
    """Build a frozen dataclass from a TOML table, its other fields being `given`."""
    types = typing.get_type_hints(kind)
    expected = [field.name for field in dataclasses.fields(kind) if field.name not in given]  # type: ignore[arg-type]
    for key in values:
        registry.choose(key, expected, f"key in {where}")
    missing = [key for key in expected if key not in values]
    if missing:
        raise InputError(f"{where}: missing {', '.join(missing)}")
    checked = {key: _typed(value, types[key], f"{where}: {key}") for key, value in values.items()}
    try:
        return kind(**checked, **given)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


def _typed(value: Any, expected: Any, where: str) -> Any:
    if expected == tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise InputError(f"{where}: expected a list of texts; found {value!r}")
        return tuple(value)
    if expected is float and type(value) is int:
        return float(value)
    if type(value) is not expected:
        raise InputError(f"{where}: expected {expected.__name__}; found {value!r}")
    return value


def _budgets(tables: Mapping[str, Any], where: str) -> tuple[Budget, ...]:
    return tuple(
        _record(Budget, _table(tables, name, f"{where} [budgets]"), f"{where} [budgets.{name}]", name=name)
        for name in tables
    )


def _rulers(tables: Mapping[str, Any], where: str) -> tuple[tuple[str, str, PublishedRuler], ...]:
    found = []
    for budget in tables:
        section = f"{where} [provisional_rulers.{budget}"
        by_task = _table(tables, budget, f"{where} [provisional_rulers]")
        for task in by_task:
            told = _table(by_task, task, f"{section}]")
            found.append((budget, task, _record(PublishedRuler, told, f"{section}.{task}]")))
    return tuple(found)


def _problems(benchmark: Benchmark) -> list[str]:
    """Return what is inconsistent between fields that are each well formed."""
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
    for budget_name, task, ruler in benchmark.provisional_rulers:
        section = f"[provisional_rulers.{budget_name}.{task}]"
        if task not in tasks_of.get(budget_name, ()):
            found.append(f"{section}: no such budget or task in it")
        if ruler.game not in benchmark.games:
            found.append(f"{section} is of {ruler.game!r}, which is not a game of this benchmark")
    return found


def _budget_problems(budget: Budget) -> list[str]:
    sizes = ("moves", "start_moves", "end_moves", "likeness_moves", "lanes")
    found = [f"expected {size} above 0" for size in sizes if getattr(budget, size) < 1]
    if budget.end_moves > budget.moves:
        found.append(f"end_moves {budget.end_moves} is more than moves {budget.moves}")
    unknown = [task for task in budget.tasks if task not in tasks.names()]
    if unknown or not budget.tasks:
        found.append(f"expected tasks among {', '.join(tasks.names())}; found {list(budget.tasks)}")
    return found
