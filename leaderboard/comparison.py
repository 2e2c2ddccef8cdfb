"""Comparison: named rows of one benchmark and budget, every two of them compared in every question."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from understudy.leaderboard import eligibility, ranking
from understudy.leaderboard.scores import ScoredRow
from understudy.suite import benchmarks, registry, tasks
from understudy.suite.benchmarks import Benchmark
from understudy.suite.scoring import pairs, verdicts
from understudy.suite.scoring.curves import Curves
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.pairs import Pair

FORMAT: Final = 1  # of `Comparison.as_json`


@dataclass(frozen=True)
class ComparedRow:
    """A row's number in one question."""

    name: str
    number: Interval | None  # that of the table, with its own interval at the benchmark's confidence
    answer: str  # the verdict, e.g. `no` or `(no)`; `no verdict` if there is none
    claim: str | None  # checkpoint or method; None: not measured
    reason: str | None  # why there is no answer, or an undecided one


@dataclass(frozen=True)
class ComparedPair:
    """Two rows in one question: one - other."""

    one: str
    other: str
    pair: Pair | None  # None: not compared
    reason: str | None = None  # why not


@dataclass(frozen=True, eq=False)
class Question:
    """One question with its rows and all pairs of them."""

    task: str
    label: str  # e.g. "Q2 improvement"
    heading: str  # what the number is: "points an episode" or "normalised gain"
    is_gain: bool  # whether the number is a gain, shared by the teacher's
    rows: tuple[ComparedRow, ...]
    pairs: tuple[ComparedPair, ...]
    curves: Mapping[str, Curves]  # row -> its curves; empty: not a gain


@dataclass(frozen=True, eq=False)
class Comparison:
    """Rows of one benchmark and budget, compared."""

    benchmark: str
    budget: str
    names: tuple[str, ...]  # as given
    confidence: float  # with which all intervals of one question hold together
    questions: tuple[Question, ...]
    notes: tuple[str, ...]  # what must be known of a row, or of two beside each other, a line each

    @property
    def num_pairs(self) -> int:
        """Number of pairs of rows."""
        return len(self.names) * (len(self.names) - 1) // 2

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values, with null for unknown."""
        return {
            "format": FORMAT,
            "benchmark": self.benchmark,
            "budget": self.budget,
            "rows": list(self.names),
            "confidence": self.confidence,
            "pairs_a_question": self.num_pairs,
            "questions": [_question_json(question) for question in self.questions],
            "notes": list(self.notes),
        }


def compare(scored: Sequence[ScoredRow], chosen: Sequence[str] = ()) -> Comparison:
    """Return the comparison of some rows.

    Args:
        scored: at least two rows of one benchmark and budget, of distinct names.
        chosen: names of the tasks to compare in; all of the budget if empty.

    Raises:
        InputError: the budget does not ask one of the tasks.
        ValueError: the rows are fewer, of several benchmarks or budgets, or two of one name.
    """
    names = tuple(one.folder.name for one in scored)
    places = {(one.folder.benchmark, one.folder.budget) for one in scored}
    if len(names) < 2 or len(set(names)) < len(names) or len(places) > 1:
        raise ValueError(f"expected two rows or more, distinct, of one benchmark and budget; found {names}")
    benchmark_name, budget = next(iter(places))
    benchmark = benchmarks.load(benchmark_name)
    asked = asked_tasks(benchmark, budget, chosen)
    return Comparison(
        benchmark=benchmark.name,
        budget=budget,
        names=names,
        confidence=benchmark.thresholds.confidence,
        questions=tuple(_question(scored, task, benchmark) for task in asked),
        notes=tuple(_notes(scored, asked)),
    )


def asked_tasks(benchmark: Benchmark, budget: str, chosen: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the chosen tasks of a budget in its order, all if none is chosen; InputError for any other."""
    asked = benchmark.budget(budget).tasks
    for task in chosen:
        tasks.load(task)
        registry.choose(task, asked, f"task of {benchmark.name} {budget}")
    return tuple(task for task in asked if task in (chosen or asked))


def _question(scored: Sequence[ScoredRow], task: str, benchmark: Benchmark) -> Question:
    loaded = tasks.load(task)
    curves = {one.folder.name: one.described[task].curves for one in scored if task in one.described}
    return Question(
        task=task,
        label=loaded.label,
        heading=loaded.column.heading,
        is_gain=loaded.gain is not None,
        rows=tuple(_row(one, task) for one in scored),
        pairs=tuple(_pairs(scored, task, benchmark)),
        curves={name: found for name, found in curves.items() if found is not None},
    )


def _row(one: ScoredRow, task: str) -> ComparedRow:
    verdict, name = one.verdict(task), one.folder.name
    if verdict is None:
        return ComparedRow(name, None, "no verdict", None, "not asked at this budget")
    number = verdict.numbers.get(tasks.load(task).column.number)
    answer = verdict.answer or "no verdict"
    shown = f"({answer})" if verdict.bracketed and verdict.decided else answer
    claim = one.comparable[task].claim if task in one.comparable else None
    return ComparedRow(name, number, shown, claim, None if verdict.decided else verdict.reason)


def _pairs(scored: Sequence[ScoredRow], task: str, benchmark: Benchmark) -> list[ComparedPair]:
    """Return every two rows in their order, with intervals that hold together."""
    every = list(itertools.combinations(scored, 2))
    confidence = 1 - (1 - benchmark.thresholds.confidence) / len(every)
    found = []
    for one, other in every:
        names = one.folder.name, other.folder.name
        missing = [x.folder.name for x in (one, other) if task not in x.comparable]
        if missing:
            verdict = next(x for x in (one, other) if x.folder.name == missing[0]).verdict(task)
            why = verdict.reason if verdict is not None and verdict.reason else verdicts.NOT_PLAYED
            found.append(ComparedPair(*names, None, f"{missing[0]}: {why}"))
            continue
        pair = pairs.compare(
            one.comparable[task],
            other.comparable[task],
            confidence,
            benchmark.thresholds.power,
            benchmark.minima.method_units,
        )
        found.append(ComparedPair(*names, pair, pair.reason if pair.points is None else None))
    return found


def _notes(scored: Sequence[ScoredRow], chosen: Sequence[str]) -> list[str]:
    """Return what must be known beside the numbers."""
    found = []
    for one in scored:
        name = one.folder.name
        if one.row["control"]:
            found.append(f"{name} is a control, and never ranked")
        found += [f"{name} is not ranked: {reason}" for reason in eligibility.unranked_because(one)]
    if len({one.track for one in scored}) > 1:
        shown = ", ".join(f"{one.folder.name} {one.track}" for one in scored)
        found.append(f"of different tracks, which are ranked apart: {shown}")
    for task in chosen:
        found += _notes_of_task(scored, task)
    return found


def _notes_of_task(scored: Sequence[ScoredRow], task: str) -> list[str]:
    label, found = tasks.load(task).label, []
    for one in scored:
        verdict = one.verdict(task)
        if verdict is not None and verdicts.PROVISIONAL in verdict.marks:
            found.append(f"{one.folder.name}, {label}: the reference is provisional")
        if verdict is not None and verdict.reason in ranking.FAILED:
            found.append(f"{one.folder.name}, {label}: {verdict.reason}")
    claims = {one.comparable[task].claim: one.folder.name for one in scored if task in one.comparable}
    if len(claims) > 1:
        shown = ", ".join(f"{name} for a {claim}" for claim, name in sorted(claims.items()))
        found.append(f"{label}: the rows speak for different things ({shown})")
    return found


def _question_json(question: Question) -> dict[str, Any]:
    return {
        "task": question.task,
        "label": question.label,
        "number": question.heading,
        "rows": [
            {
                "name": row.name,
                "number": _json(row.number),
                "answer": row.answer,
                "claim": row.claim,
                "reason": row.reason,
            }
            for row in question.rows
        ],
        "pairs": [_pair_json(each, question.is_gain) for each in question.pairs],
    }


def _pair_json(each: ComparedPair, is_gain: bool) -> dict[str, Any]:
    pair = each.pair
    return {
        "one": each.one,
        "other": each.other,
        "difference": _json(shown_difference(pair, is_gain)),
        "difference_of": shown_as(pair, is_gain),
        "points": _json(pair.points if pair else None),
        "normalised_gain": _json(pair.normalised if pair else None),
        "shown": pair.shown if pair else None,
        "probability_of_improvement": _json(pair.improvement if pair else None),
        "units": list(pair.units) if pair else None,
        "paired": pair.paired if pair else None,
        "needed_units": pair.needed_units if pair else None,
        "reason": each.reason or (pair.reason if pair else None),
    }


def shown_difference(pair: Pair | None, is_gain: bool) -> Interval | None:
    """Return the difference that is shown: of normalised gains if both have one reference, else in points."""
    if pair is None:
        return None
    return pair.normalised if is_gain and pair.normalised is not None else pair.points


def shown_as(pair: Pair | None, is_gain: bool) -> str | None:
    """Return what `shown_difference` is in."""
    if pair is None or pair.points is None:
        return None
    return "normalised gain" if is_gain and pair.normalised is not None else "points an episode"


def _json(interval: Interval | None) -> dict[str, Any] | None:
    return None if interval is None else dataclasses.asdict(interval)
