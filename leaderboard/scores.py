"""Scores: verdicts as a pure function of stored lives and teacher data; nothing is played."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.suite import benchmarks, files, records, tasks
from understudy.suite.benchmarks import Benchmark, TeacherLife
from understudy.suite.errors import InputError
from understudy.suite.histories import format as history_format
from understudy.suite.histories.format import History
from understudy.suite.judging.contrasts import CHECKPOINT, METHOD
from understudy.suite.judging.evidence import Evidence, Likeness
from understudy.suite.judging.lives import Life
from understudy.suite.verdicts import Verdict

ROW, SCORES = "row.json", "scores.json"


@dataclass(frozen=True)
class RowFolder:
    """Where the lives of one row lie: `<results>/<benchmark>/<budget>/<name>`."""

    path: Path
    benchmark: str
    budget: str
    name: str


@dataclass(frozen=True)
class ScoredRow:
    """A row's verdicts under today's rules."""

    folder: RowFolder
    row: dict[str, Any]  # row.json
    verdicts: tuple[Verdict, ...]  # of the tasks that the budget has


def rows_in(results: Path) -> list[RowFolder]:
    """Return the rows below a results folder, sorted; InputError if there is none."""
    found = [
        RowFolder(path.parent, path.parts[-4], path.parts[-3], path.parts[-2])
        for path in sorted(results.glob(f"*/*/*/{ROW}"))
    ]
    if not found:
        raise InputError(
            f"{results}: no rows found, expected <benchmark>/<budget>/<name>/{ROW} in it; "
            "score something first: understudy score"
        )
    return found


def life_folders(row: RowFolder, role: str | None = None) -> list[Path]:
    """Return the folders of a row's finished lives, of one role or of all."""
    return sorted(path.parent for path in row.path.glob(f"{role or '*'}/*/lane-*/{records.RECORD}"))


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
    for row in rows_in(results):
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


class _Judge:
    """Judges the rows of one benchmark and budget, reading references and teacher lives once."""

    def __init__(self, results: Path, benchmark_name: str, budget_name: str) -> None:
        self.benchmark: Benchmark = benchmarks.load(benchmark_name)
        self.budget = self.benchmark.budget(budget_name)
        self.lives = benchmarks.teacher_lives(self.benchmark)
        self._histories: dict[Path, History] = {}
        base = results / benchmark_name / budget_name
        teacher, random = (
            RowFolder(base / name, benchmark_name, budget_name, name) for name in ("policy-at-w", "random")
        )
        self.teacher_starts = tuple(_lives(teacher, "start"))
        self.random_starts = tuple(_lives(random, "start"))
        self.random_starts_new = tuple(_lives(random, "start-new"))

    def judge(self, folder: RowFolder) -> ScoredRow:
        row = files.read_json(folder.path / ROW)
        if row["benchmark_sha256"] != self.benchmark.sha256:
            raise InputError(
                f"{folder.path}: scored under another {self.benchmark.name} (file SHA-256 "
                f"{row['benchmark_sha256'][:12]}, here {self.benchmark.sha256[:12]}); play its lives again"
            )
        skill = tasks.load("skill").verdict(self._skill(folder), self._rules("skill"))
        found = [skill]
        answer = skill.part("skill").answer if skill.parts else None
        if "improvement" in self.budget.tasks:
            evidence = self._improvement(folder, answer)
            found.append(tasks.load("improvement").verdict(evidence, self._rules("improvement")))
        if "transfer" in self.budget.tasks:
            found.append(tasks.load("transfer").verdict(self._transfer(folder), self._rules("transfer")))
        return ScoredRow(folder, row, tuple(found))

    def _rules(self, task: str) -> Any:
        return self.benchmark.rules(self.budget.name, task)

    def _skill(self, folder: RowFolder) -> Evidence:
        starts = tuple(_lives(folder, "start"))
        claim = self._claim(starts)
        units = {life.unit for life in starts}
        watched = self.teacher_starts
        return Evidence(
            claim=claim,
            starts=starts,
            ruler_starts=tuple(life for life in watched if life.unit in units),
            random_starts=self.random_starts,
            likeness=tuple(self._likeness(folder)),
            watched_moves=self._watched_moves(units),
        )

    def _improvement(self, folder: RowFolder, skill_answer: str | None) -> Evidence:
        lives = tuple(_lives(folder, "continue"))
        starts = tuple(_lives(folder, "start"))
        claim = self._claim(lives)
        units = {life.unit for life in lives}
        return Evidence(
            claim=claim,
            lives=lives,
            starts=starts,
            ruler_lives=tuple(self._continuations(units if claim == METHOD else None)),
            ruler_starts=self.teacher_starts,
            random_starts=self.random_starts,
            watched_moves=self._watched_moves(units),
            skill_answer=skill_answer,
            isolation_holds=_isolation(folder, "continue"),
        )

    def _transfer(self, folder: RowFolder) -> Evidence:
        lives = tuple(_lives(folder, "transfer"))
        return Evidence(
            claim=self._claim(lives),
            lives=lives,
            starts=tuple(_lives(folder, "start-new")),
            ruler_lives=tuple(self._lives_from_scratch()),
            random_starts=self.random_starts_new,
            watched_moves=self._watched_moves(set()),
            isolation_holds=_isolation(folder, "transfer"),
        )

    def _claim(self, lives: Sequence[Life]) -> str:
        """Return method where there are enough distinct units, else checkpoint."""
        units = {life.unit for life in lives}
        return METHOD if len(units) >= self.benchmark.minima.method_units else CHECKPOINT

    def _watched_moves(self, units: set[str]) -> int | None:
        """Return the moves recorded in the shortest watched life among the units, or among all."""
        watched = [life for life in self.lives if life.game in self.benchmark.watched_games]
        chosen = [life for life in watched if life.name in units] or watched
        return min((self._history(life).num_moves for life in chosen), default=None)

    def _continuations(self, units: set[str] | None) -> Iterator[Life]:
        for life in self.lives:
            if life.game in self.benchmark.watched_games and (units is None or life.name in units):
                yield _teacher_life(life, self._history(life), self.benchmark.watched_moves)

    def _lives_from_scratch(self) -> Iterator[Life]:
        for life in self.lives:
            if life.game in self.benchmark.new_games:
                yield _teacher_life(life, self._history(life), 0)

    def _likeness(self, folder: RowFolder) -> Iterator[Likeness]:
        seeds = _training_seeds(folder)
        for path in sorted(folder.path.glob("likeness/*/*.safetensors")):
            columns = files.read_columns(path)
            unit = path.stem.replace(".", "/")
            yield Likeness(unit=unit, training_seed=seeds[path.parent.name], **columns)

    def _history(self, life: TeacherLife) -> History:
        if life.history_path not in self._histories:
            self._histories[life.history_path] = history_format.read(life.history_path)
        return self._histories[life.history_path]


def _lives(folder: RowFolder, role: str) -> Iterable[Life]:
    for path in life_folders(folder, role):
        record = files.read_json(path / records.RECORD)
        history = history_format.read(path / records.HISTORY)
        lane = record["job"]["lanes"][record["lane"]]
        seed = record["job"]["player"]["training_seed"] or 0
        yield Life(lane["unit"], seed, lane["number"], history.reward, history.ended)


def _isolation(folder: RowFolder, role: str) -> bool | None:
    """Return whether isolation holds in every job of a role; None where it was not checked in all."""
    jobs = [path.parent for path in folder.path.glob(f"{role}/*/{records.JOB}")]
    found = [job / records.ISOLATION for job in jobs]
    if not found or not all(path.exists() for path in found):
        return None
    return all(files.read_json(path)["holds"] for path in found)


def _training_seeds(folder: RowFolder) -> dict[str, int]:
    """Return each checkpoint's training seed, as the jobs of the row say."""
    jobs = (files.read_json(path) for path in folder.path.glob(f"*/*/{records.JOB}"))
    return {job["player"]["checkpoint"]: job["player"]["training_seed"] or 0 for job in jobs}


def _teacher_life(life: TeacherLife, history: History, start: int) -> Life:
    return Life(life.name, 0, 0, history.reward[start:], history.ended[start:])
