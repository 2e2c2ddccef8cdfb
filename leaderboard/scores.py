"""Scores: verdicts as a pure function of stored lives and teacher data; nothing is played."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from understudy.leaderboard import descriptions, leaks, predictions, stored
from understudy.leaderboard.descriptions import Description
from understudy.leaderboard.references import TEACHER, References
from understudy.leaderboard.stored import RowFolder
from understudy.suite import benchmarks, files, games, places, probes, records, tasks, verdicts
from understudy.suite.benchmarks import Benchmark
from understudy.suite.judging import gains
from understudy.suite.judging.contrasts import CHECKPOINT, METHOD
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.lives import Life
from understudy.suite.stats import Interval
from understudy.suite.verdicts import Verdict

SCORES = "scores.json"
GAIN_ROLES = {"improvement": ("start", "continue"), "transfer": ("start-new", "transfer")}


@dataclass(frozen=True)
class ScoredRow:
    """A row's verdicts under today's rules."""

    folder: RowFolder
    row: dict[str, Any]  # row.json
    verdicts: tuple[Verdict, ...]  # of the tasks that the budget has
    other_lanes: tuple[int, ...] = ()  # lives in lock-step of jobs that don't have the budget's number
    rederived: bool | None = None  # whether its weights, fed the logs, choose the same; None: not checked
    track: str = "frozen"  # as declared, or learning where its parameters moved or its rule is built in
    moved: bool = False  # whether its parameters moved while it played
    state_bytes: int | None = None  # of a life's memory, at its largest; None: nothing was played
    leak: leaks.Leak | None = None  # None: not tested
    probed: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)  # task -> probe -> its own
    described: Mapping[str, Description] = field(default_factory=dict)  # task -> what is shown besides
    reference: Mapping[str, Description] = field(default_factory=dict)  # the same of policy-at-w, if played


def rescore(results: Path) -> list[ScoredRow]:
    """Judge every row anew and write its `scores.json`."""
    scored = judge_all(results)
    for one in scored:
        files.write_json(one.folder.path / SCORES, scores_of(one))
    return scored


def judge_all(results: Path) -> list[ScoredRow]:
    """Return every row with its verdicts; nothing is written."""
    return judge_rows(results, stored.rows_in(results))


def judge_rows(results: Path, rows: Sequence[RowFolder]) -> list[ScoredRow]:
    """Return some rows with their verdicts; nothing is written."""
    judges: dict[tuple[str, str], _Judge] = {}
    scored = []
    for row in rows:
        key = row.benchmark, row.budget
        judges.setdefault(key, _Judge(results, *key))
        scored.append(judges[key].judge(row))
    return scored


def judge_row(results: Path, row: RowFolder) -> ScoredRow:
    """Return one row with its verdicts; nothing is written."""
    return _Judge(results, row.benchmark, row.budget).judge(row)


def scores_of(scored: ScoredRow) -> dict[str, Any]:
    """Return what `scores.json` holds."""
    return {
        "row": scored.row["name"],
        "track": scored.track,
        "rederived": scored.rederived,
        "state_bytes": scored.state_bytes,
        "leak_nats": scored.leak.difference_nats if scored.leak else None,
        "leak_suspected": scored.leak.suspected if scored.leak else None,
        "verdicts": [verdict.as_json() for verdict in scored.verdicts],
        "probes": {
            task: {probe: dataclasses.asdict(own) for probe, own in found.items()}
            for task, found in scored.probed.items()
        },
        "horizons": {task: found.horizon.as_json() for task, found in scored.described.items()},
        "aggregates": {task: _aggregates(scored, task) for task in scored.described},
    }


def _aggregates(scored: ScoredRow, task: str) -> dict[str, Any] | None:
    other = scored.reference.get(task) if scored.folder.name != TEACHER else None
    found = descriptions.aggregates_of(
        scored.described[task].normalised, other.normalised if other is not None else None
    )
    return found and {**found, "reference": TEACHER}


def isolation_holds(folder: RowFolder, role: str) -> bool | None:
    """Return whether isolation holds in every job of a role; None where it was not checked in all of them.

    A check of other lives or weights than are stored here is none.
    """
    return _holds(stored.job_folders(folder, role), records.ISOLATION)


def rederived(folder: RowFolder) -> bool | None:
    """Return whether every scored life came out again of its player, fed the log; None where not checked."""
    jobs = [path for path in stored.job_folders(folder) if "@" not in path.parent.name]
    return _holds(jobs, records.REDERIVED)


def _holds(jobs: Sequence[Path], name: str) -> bool | None:
    found = [stored.fed(job, name) for job in jobs]
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
        row = stored.row_of(folder)
        stored.require_benchmark(row, folder, self.benchmark.sha256)
        skill = tasks.load("skill").verdict(self._skill(folder), self._rules("skill"))
        found = [skill]
        answer = skill.part("skill").answer if skill.parts else None
        moved = stored.weights_moved(folder)
        track = "learning" if moved else row["track"]
        described = {}
        for task, evidence in self._gains(folder, answer, track):
            found.append(tasks.load(task).verdict(evidence, self._rules(task)))
            described[task] = descriptions.describe(task, evidence, self._rules(task))
        if any(verdicts.BUILT_IN in verdict.marks for verdict in found):
            track = "learning"
        return ScoredRow(
            folder,
            row,
            tuple(found),
            self._other_lanes(folder),
            rederived(folder),
            track,
            moved,
            stored.state_bytes(folder),
            leaks.measured(folder.path, row["sha256"]),
            {task: self._probed(folder, task) for task in GAIN_ROLES if task in self.budget.tasks},
            described,
            self._reference,
        )

    @cached_property
    def _reference(self) -> dict[str, Description]:
        """What is shown of the network at W, frozen; empty where it was not scored."""
        path = self.references.results / self.benchmark.name / self.budget.name / TEACHER
        folder = RowFolder(path, self.benchmark.name, self.budget.name, TEACHER)
        if not (path / stored.ROW).exists():
            return {}
        return {
            task: descriptions.describe(task, evidence, self._rules(task))
            for task, evidence in self._gains(folder, None, "frozen")
        }

    def _gains(
        self, folder: RowFolder, skill_answer: str | None, track: str
    ) -> Iterator[tuple[str, Evidence]]:
        """Yield the evidence of each task about a gain that the budget has."""
        if "improvement" in self.budget.tasks:
            yield "improvement", self._improvement(folder, skill_answer, track)
        if "transfer" in self.budget.tasks:
            yield "transfer", self._transfer(folder, track)

    def _other_lanes(self, folder: RowFolder) -> tuple[int, ...]:
        jobs = (records.read_job(path) for path in stored.job_folders(folder))
        return tuple(sorted({len(job["lanes"]) for job in jobs} - {self.budget.lanes}))

    def _rules(self, task: str) -> Any:
        return self.benchmark.rules(self.budget.name, task)

    def _skill(self, folder: RowFolder) -> Evidence:
        starts = stored.lives(folder, "start")
        claim = self._claim(folder, "start", starts)
        units = {life.unit for life in starts}
        teachers = self.references.teacher_starts
        own = tuple(life for life in teachers if life.unit in units)
        if claim == CHECKPOINT and len(own) < 2:  # one lane has no spread: teachers of the same recipe have
            own = teachers
        return Evidence(
            claim=claim,
            starts=starts,
            ruler_starts=own,
            random_starts=self.references.random_starts,
            likeness=predictions.of_row(folder, self.benchmark),
            watched_moves=self.references.watched_moves(units),
        )

    def _improvement(self, folder: RowFolder, skill_answer: str | None, track: str) -> Evidence:
        lives = stored.lives(folder, "continue")
        starts = stored.lives(folder, "start")
        claim = self._claim(folder, "continue", lives)
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
            yoked=stored.lives(folder, "continue@yoked"),
            flipped=stored.lives(folder, "continue@flipped"),
            blanked=stored.lives(folder, "continue@blanked"),
            shows_score=self._show_score(self.benchmark.watched_games),
            ends_by_failure=self.references.end_by_failure(on_new_games=False),
            control_owns=self._control_owns(folder, "improvement"),
            isolation_holds=isolation_holds(folder, "continue"),
            learns_by_construction=track == "learning",
        )

    def _transfer(self, folder: RowFolder, track: str) -> Evidence:
        lives = stored.lives(folder, "transfer")
        return Evidence(
            claim=self._claim(folder, "transfer", lives),
            lives=lives,
            starts=stored.lives(folder, "start-new"),
            ruler_lives=self.references.lives_from_scratch(),
            random_starts=self.references.random_starts_new,
            watched_moves=self.references.watched_moves(),
            yoked=stored.lives(folder, "transfer@yoked"),
            flipped=stored.lives(folder, "transfer@flipped"),
            blanked=stored.lives(folder, "transfer@blanked"),
            shows_score=self._show_score(self.benchmark.new_games),
            ends_by_failure=self.references.end_by_failure(on_new_games=True),
            control_owns=self._control_owns(folder, "transfer"),
            isolation_holds=isolation_holds(folder, "transfer"),
            learns_by_construction=track == "learning",
        )

    def _probed(self, folder: RowFolder, task: str) -> dict[str, Interval]:
        """Return own under each probe that was played to its end, with the row's start if unchanged."""
        start_role, role = GAIN_ROLES[task]
        found = {}
        for probe in probes.PROBES.values():
            lives = stored.lives(folder, probes.role_of(role, probe))
            if not lives or min(life.num_moves for life in lives) < self.budget.moves:
                continue
            changed = stored.lives(folder, probes.role_of(start_role, probe))
            starts = changed or stored.lives(folder, start_role)
            if starts:
                claim = self._claim(folder, role, lives)
                found[probe.name] = gains.own_alone(lives, starts, claim, self._rules(task))
        return found

    def _control_owns(self, folder: RowFolder, task: str) -> dict[str, tuple[float, ...]]:
        """Return own of each draw of redrawn and of shuffled parameters."""
        played = self._probed(folder, task)
        drawn = {"redrawn": probes.REDRAWN, "shuffled": probes.SHUFFLED}
        return {
            control: tuple(played[probe.name].estimate for probe in of_control if probe.name in played)
            for control, of_control in drawn.items()
        }

    @staticmethod
    def _show_score(names: Sequence[str]) -> bool:
        return any(games.load(name).score_rows is not None for name in names)

    def _claim(self, folder: RowFolder, role: str, lives: Sequence[Life]) -> str:
        """Return method for several checkpoints or enough distinct units, else checkpoint.

        Lanes of several sets of weights are no independent lives of one model. Lanes of one set that are
        primed with nothing are: that each is named after a teacher's life tells it nothing of that life.
        """
        units = {life.unit for life in lives}
        jobs = stored.job_folders(folder, role)
        if len(jobs) > 1:
            return METHOD
        played = self.benchmark.new_games if places.ROLES[role][1] else self.benchmark.watched_games
        control = stored.row_of(folder)["control"]
        told_apart = control or len(played) > 1 or any(records.read_job(job)["priming_moves"] for job in jobs)
        return METHOD if told_apart and len(units) >= self.benchmark.minima.method_units else CHECKPOINT
