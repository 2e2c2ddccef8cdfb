"""Scores: verdicts as a pure function of stored lives and teacher data; nothing is played."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.leaderboard import stored
from understudy.leaderboard.references import References
from understudy.leaderboard.stored import RowFolder
from understudy.suite import benchmarks, files, records, tasks
from understudy.suite.benchmarks import Benchmark
from understudy.suite.judging.contrasts import CHECKPOINT, METHOD
from understudy.suite.judging.evidence import Evidence, Likeness
from understudy.suite.judging.lives import Life
from understudy.suite.verdicts import Verdict

SCORES = "scores.json"


@dataclass(frozen=True)
class ScoredRow:
    """A row's verdicts under today's rules."""

    folder: RowFolder
    row: dict[str, Any]  # row.json
    verdicts: tuple[Verdict, ...]  # of the tasks that the budget has
    other_lanes: tuple[int, ...] = ()  # lives in lock-step of jobs that don't have the budget's number


def rescore(results: Path) -> list[ScoredRow]:
    """Judge every row anew and write its `scores.json`."""
    scored = judge_all(results)
    for one in scored:
        files.write_json(one.folder.path / SCORES, scores_of(one))
    return scored


def judge_all(results: Path) -> list[ScoredRow]:
    """Return every row with its verdicts; nothing is written."""
    judges: dict[tuple[str, str], _Judge] = {}
    scored = []
    for row in stored.rows_in(results):
        key = row.benchmark, row.budget
        judges.setdefault(key, _Judge(results, *key))
        scored.append(judges[key].judge(row))
    return scored


def judge_row(results: Path, row: RowFolder) -> ScoredRow:
    """Return one row with its verdicts; nothing is written."""
    return _Judge(results, row.benchmark, row.budget).judge(row)


def scores_of(scored: ScoredRow) -> dict[str, Any]:
    """Return what `scores.json` holds."""
    return {"row": scored.row["name"], "verdicts": [verdict.as_json() for verdict in scored.verdicts]}


def isolation_holds(folder: RowFolder, role: str) -> bool | None:
    """Return whether isolation holds in every job of a role; None where it was not checked in all of them.

    A check of other lives or weights than are stored here is none.
    """
    jobs = stored.job_folders(folder, role)
    found = [stored.isolation(job) for job in jobs]
    if not found or not all(one is not None and one.mismatch is None for one in found):
        return None
    return all(one is not None and one.holds for one in found)


class _Judge:
    """Judges the rows of one benchmark and budget, reading references and teacher lives once."""

    def __init__(self, results: Path, benchmark_name: str, budget_name: str) -> None:
        self.benchmark: Benchmark = benchmarks.load(benchmark_name)
        self.budget = self.benchmark.budget(budget_name)
        self.references = References(results, self.benchmark, self.budget)

    def judge(self, folder: RowFolder) -> ScoredRow:
        row = files.read_json(folder.path / stored.ROW)
        stored.require_benchmark(row, folder, self.benchmark.sha256)
        skill = tasks.load("skill").verdict(self._skill(folder), self._rules("skill"))
        found = [skill]
        answer = skill.part("skill").answer if skill.parts else None
        if "improvement" in self.budget.tasks:
            evidence = self._improvement(folder, answer)
            found.append(tasks.load("improvement").verdict(evidence, self._rules("improvement")))
        if "transfer" in self.budget.tasks:
            found.append(tasks.load("transfer").verdict(self._transfer(folder), self._rules("transfer")))
        return ScoredRow(folder, row, tuple(found), self._other_lanes(folder))

    def _other_lanes(self, folder: RowFolder) -> tuple[int, ...]:
        jobs = (files.read_json(path / records.JOB) for path in stored.job_folders(folder))
        return tuple(sorted({len(job["lanes"]) for job in jobs} - {self.budget.lanes}))

    def _rules(self, task: str) -> Any:
        return self.benchmark.rules(self.budget.name, task)

    def _skill(self, folder: RowFolder) -> Evidence:
        starts = stored.lives(folder, "start")
        claim = self._claim(starts)
        units = {life.unit for life in starts}
        watched = self.references.teacher_starts
        return Evidence(
            claim=claim,
            starts=starts,
            ruler_starts=tuple(life for life in watched if life.unit in units),
            random_starts=self.references.random_starts,
            likeness=tuple(self._likeness(folder)),
            watched_moves=self.references.watched_moves(units),
        )

    def _improvement(self, folder: RowFolder, skill_answer: str | None) -> Evidence:
        lives = stored.lives(folder, "continue")
        starts = stored.lives(folder, "start")
        claim = self._claim(lives)
        units = {life.unit for life in lives}
        return Evidence(
            claim=claim,
            lives=lives,
            starts=starts,
            ruler_lives=self.references.continuations(units if claim == METHOD else None),
            ruler_starts=self.references.teacher_starts,
            random_starts=self.references.random_starts,
            watched_moves=self.references.watched_moves(units),
            skill_answer=skill_answer,
            isolation_holds=isolation_holds(folder, "continue"),
        )

    def _transfer(self, folder: RowFolder) -> Evidence:
        lives = stored.lives(folder, "transfer")
        return Evidence(
            claim=self._claim(lives),
            lives=lives,
            starts=stored.lives(folder, "start-new"),
            ruler_lives=self.references.lives_from_scratch(),
            random_starts=self.references.random_starts_new,
            watched_moves=self.references.watched_moves(),
            isolation_holds=isolation_holds(folder, "transfer"),
        )

    def _claim(self, lives: Sequence[Life]) -> str:
        """Return method where there are enough distinct units, else checkpoint."""
        units = {life.unit for life in lives}
        return METHOD if len(units) >= self.benchmark.minima.method_units else CHECKPOINT

    def _likeness(self, folder: RowFolder) -> Iterator[Likeness]:
        seeds = _training_seeds(folder)
        for path in sorted(folder.path.glob("likeness/*/*.safetensors")):
            columns = files.read_columns(path)
            unit = path.stem.replace(".", "/")
            yield Likeness(unit=unit, training_seed=seeds[path.parent.name], **columns)


def _training_seeds(folder: RowFolder) -> dict[str, int]:
    """Return each checkpoint's training seed, as the jobs of the row say."""
    jobs = (files.read_json(path / records.JOB) for path in stored.job_folders(folder))
    return {job["player"]["checkpoint"]: job["player"]["training_seed"] or 0 for job in jobs}
