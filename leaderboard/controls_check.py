"""The controls check: players with a known answer must get it from the code that scores submissions.

The result is a pure function of stored runs; `controls.json` keeps it, and `understudy verify` checks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import understudy
from understudy.leaderboard import scores, stored_rows
from understudy.leaderboard.scores import RowScorer, ScoredRow
from understudy.leaderboard.stored_rows import RowFolder
from understudy.suite import benchmarks, reserved_names, tasks
from understudy.suite.benchmarks import Benchmark
from understudy.suite.errors import InputError
from understudy.suite.harness import records, row_documents, score_documents
from understudy.suite.io import files, walks
from understudy.suite.scoring import conditions, gains, verdicts
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.verdicts import Verdict

CONTROLS: Final = "controls.json"  # in <results>/<benchmark>/<budget>
YES, NO, NOT_YES, COVERS, MEASURED = "yes", "no", "not yes", "normalised gain covers {share}", "measured"
AS_EXPECTED, UNDECIDED, MISSED = "as expected", "undecided", "missed"  # outcomes
NOT_RUN: Final = "controls not run"
SHORT_BUDGET: Final = "quick"  # the budget with as few runs as it has lanes
ENOUGH_RUNS: Final = 32  # at `tenth`, to show that nothing is gained; docs/protocol.md, "Controls"


@dataclass(frozen=True)
class Expectation:
    """The expected answer of one player in one task."""

    player: str
    task: str
    answer: str  # YES, NO, NOT_YES, MEASURED, or COVERS: the normalised gain's interval covers `share`
    share: float | None = None
    families: tuple[str, ...] = ()  # of games for which it is expected; empty: all

    @property
    def text(self) -> str:
        """The answer as shown."""
        return self.answer.format(share=self.share)


# Source: the table in docs/protocol.md, section "Controls".
EXPECTATIONS: Final = (
    Expectation("dqn-continued", "skill", YES),
    Expectation("dqn-continued", "improvement", YES),
    Expectation("dqn-scratch", "transfer", YES),
    Expectation("dqn-warm-start", "transfer", MEASURED),
    Expectation("in-state-learner", "transfer", YES, families=("darkroom",)),
    Expectation("in-state-learner", "transfer", MEASURED, families=("minatar", "atari")),
    *(
        Expectation("transformer", task, MEASURED, families=("darkroom",))
        for task in ("skill", "improvement", "transfer")
    ),
    *(Expectation(f"injected-{share:g}", "improvement", COVERS, share=share) for share in (0.1, 0.25, 0.5)),
    *(Expectation("random", task, NO) for task in ("skill", "improvement", "transfer")),
    Expectation("frozen-teacher", "skill", YES),
    *(Expectation("frozen-teacher", task, NO) for task in ("improvement", "transfer")),
    *(
        Expectation(player, task, NO)
        for player in ("open-loop-replay", "bc-time", "nearest-neighbours")
        for task in ("improvement", "transfer")
    ),
    *(Expectation("sandbagger", task, NOT_YES) for task in ("improvement", "transfer")),
    *(
        Expectation("checking-sandbagger", task, MEASURED, families=("darkroom",))
        for task in ("improvement", "transfer")
    ),
)


@dataclass(frozen=True)
class ControlResult:
    """The expected and the measured answer of one player in one task."""

    player: str
    task: str
    expected: str
    found: str  # label of the measured verdict
    outcome: str | None  # AS_EXPECTED, UNDECIDED or MISSED; None: only measured
    normalised_gain: Interval | None
    detection_limit: float | None  # of the normalised gain
    n: int | None
    m: int | None


@dataclass(frozen=True)
class ControlsCheck:
    """The controls' answers at one benchmark and budget."""

    benchmark: str
    benchmark_identity: str
    budget: str
    results: tuple[ControlResult, ...]
    runs_sha256: str  # over the records of the players' runs
    other_lanes: tuple[int, ...] = ()  # numbers of lanes of the runs that differ from the budget's

    @property
    def missed(self) -> tuple[ControlResult, ...]:
        """The results that are not as expected."""
        return self._of(MISSED)

    @property
    def text(self) -> str:
        """The result in words, as shown above a table."""
        known = sum(result.outcome is not None for result in self.results)
        undecided = f", {len(self._of(UNDECIDED))} undecided" if self._of(UNDECIDED) else ""
        counts = f"{len(self._of(AS_EXPECTED))} of {known} as expected{undecided}"
        lanes = f" at {', '.join(map(str, self.other_lanes))} lanes" if self.other_lanes else ""
        if not self.missed:
            return f"controls{lanes}: {counts}"
        names = ", ".join(f"{result.player} {result.task}" for result in self.missed)
        return f"controls{lanes}: {counts}, NOT AS EXPECTED: {names}"

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "format": score_documents.Controls.number,
            "understudy": understudy.__version__,
            "text": self.text,
            **asdict(self),
        }

    def _of(self, outcome: str) -> tuple[ControlResult, ...]:
        return tuple(result for result in self.results if result.outcome == outcome)


def expected_of(family: str, task_names: Sequence[str]) -> list[Expectation]:
    """Return the expectations for a family's benchmark at a budget with these tasks."""
    return [
        each
        for each in EXPECTATIONS
        if each.task in task_names and (not each.families or family in each.families)
    ]


def expected_answer(row: RowFolder, task: str) -> str | None:
    """Return a control's expected answer, in words; None for an imitator, or if it is not known."""
    if not reserved_names.is_control(row.name):
        return None
    family = benchmarks.load(row.benchmark).family
    found = (each for each in expected_of(family, [task]) if each.player == row.name)
    return next((each.text for each in found if each.answer != MEASURED), None)


def players_of(family: str, task_names: Sequence[str], measured: bool = True) -> list[str]:
    """Return the players of a controls check in order, with those only measured if `measured`."""
    expected = expected_of(family, task_names)
    return list(dict.fromkeys(each.player for each in expected if measured or each.answer != MEASURED))


def lanes_of(benchmark: Benchmark, budget_name: str) -> int:
    """Return the default number of runs of each player of a check at a budget.

    At `quick` it is the budget's. At the other budgets at least one run of each watched game is played: on
    darkroom as many as show that a player gains nothing.
    """
    lanes = benchmark.budget(budget_name).lanes
    return lanes if budget_name == SHORT_BUDGET else max(lanes, len(benchmark.watched_games))


def check(
    results: Path, benchmark_name: str, budget_name: str, scorer: RowScorer | None = None
) -> ControlsCheck:
    """Compare the stored controls' answers at a benchmark and budget with those expected.

    Args:
        results: the results folder.
        benchmark_name: the benchmark.
        budget_name: the budget.
        scorer: of the same results; it does not score again what it has scored. None: a new one.

    Raises InputError if a player with a known answer has not been played.
    """
    benchmark = benchmarks.load(benchmark_name)
    expected = expected_of(benchmark.family, benchmark.budget(budget_name).tasks)
    folder = results / benchmark_name / budget_name
    rows = {}
    for player in dict.fromkeys(each.player for each in expected):
        row = stored_rows.RowFolder(folder / player, benchmark_name, budget_name, player)
        if walks.is_file(row.path / records.ROW):
            rows[player] = row
        elif any(each.player == player and each.answer != MEASURED for each in expected):
            raise InputError(f"{row.path}: {player} has not been played; run understudy controls")
    scorer = scorer or RowScorer(results)
    scored = {name: scorer.score(row) for name, row in rows.items()}
    played = (each for each in expected if each.player in rows)
    results_found = tuple(_result(each, scored[each.player], budget_name) for each in played)
    lanes = sorted({number for row in scored.values() for number in row.other_lanes})
    runs_sha256 = _runs_sha256(rows.values())
    return ControlsCheck(
        benchmark_name, benchmark.identity, budget_name, results_found, runs_sha256, tuple(lanes)
    )


def claiming_yes(
    results: Path, benchmark_name: str, budget_name: str, players: Sequence[str]
) -> dict[str, list[str]]:
    """Return, by gain task, the players whose contrasts say yes; the conditions of a yes must be checked."""
    return _players_with(_says_yes, results, benchmark_name, budget_name, players)


def owing_flipped(
    results: Path, benchmark_name: str, budget_name: str, players: Sequence[str]
) -> dict[str, list[str]]:
    """Return, by gain task, the players whose gain survives yoked rewards; they need flipped runs."""
    return _players_with(_owes_flipped, results, benchmark_name, budget_name, players)


def write(results: Path, found: ControlsCheck) -> Path:
    """Write the result of a check beside its players' rows."""
    path = results / found.benchmark / found.budget / CONTROLS
    files.write_json(path, found.as_json())
    return path


def status(results: Path, benchmark_name: str, budget_name: str) -> str | None:
    """Return the stored result for a benchmark and budget in words, or None if there is none.

    The given results are searched first, then those that come with the package, which the text then says. A
    result of another version of the package is followed by that version.
    """
    for folder in (results, stored_rows.RESULTS):
        path = folder / benchmark_name / budget_name / CONTROLS
        if path.exists():
            kept = row_documents.read(score_documents.Controls, path)
            if kept["benchmark_identity"] == benchmarks.load(benchmark_name).identity:
                version, text = kept["understudy"], str(kept["text"])
                if folder.resolve() != results.resolve():
                    text = f"controls of the package's results{text.removeprefix('controls')}"
                return text + ("" if version == understudy.__version__ else f" ({version})")
    return None


def _result(expectation: Expectation, row: ScoredRow, budget: str) -> ControlResult:
    verdict = next(verdict for verdict in row.verdicts if verdict.task == expectation.task)
    limit = verdict.numbers.get("detection limit")
    return ControlResult(
        expectation.player,
        expectation.task,
        expectation.text,
        verdict.label,
        _outcome(expectation, verdict, budget),
        verdict.numbers.get(gains.NORMALISED_GAIN),
        None if limit is None else limit.estimate,
        verdict.n,
        verdict.m,
    )


def _outcome(expectation: Expectation, verdict: Verdict, budget: str) -> str | None:
    if expectation.answer == MEASURED:
        return None
    if verdict.answer is None:
        return MISSED
    undecided = UNDECIDED if _may_stay_undecided(budget, verdict.n) else MISSED
    if expectation.share is not None:
        normalised = verdict.numbers.get(gains.NORMALISED_GAIN)
        if normalised is None or normalised.low is None or normalised.high is None:
            return undecided
        return AS_EXPECTED if normalised.low <= expectation.share <= normalised.high else MISSED
    if expectation.answer == NOT_YES:
        return MISSED if verdict.answer in verdicts.EVERY_YES else AS_EXPECTED
    if verdict.answer == verdicts.UNDECIDED:
        return undecided
    return AS_EXPECTED if verdict.answer == expectation.answer else MISSED


def _may_stay_undecided(budget: str, n: int | None) -> bool:
    """Return whether a known answer may be undecided: for want of moves, or of runs."""
    return budget == SHORT_BUDGET or (budget == "tenth" and n is not None and n < ENOUGH_RUNS)


def _players_with(
    found: Callable[[Verdict], bool],
    results: Path,
    benchmark_name: str,
    budget_name: str,
    players: Sequence[str],
) -> dict[str, list[str]]:
    """Return, by gain task, the players whose verdict fulfils a condition."""
    folder = results / benchmark_name / budget_name
    rows = [stored_rows.RowFolder(folder / name, benchmark_name, budget_name, name) for name in players]
    named: dict[str, list[str]] = {}
    for one in scores.score_rows(results, rows):
        for verdict in one.verdicts:
            if tasks.load(verdict.task).gain is not None and found(verdict):
                named.setdefault(verdict.task, []).append(one.row["name"])
    return named


def _owes_flipped(verdict: Verdict) -> bool:
    return verdict.answer == verdicts.YES_UNVERIFIED and conditions.FLIPPED_REWARD in str(verdict.reason)


def _says_yes(verdict: Verdict) -> bool:
    """Return whether the contrasts say yes, whatever the conditions of a yes found."""
    return verdict.answer in verdicts.EVERY_YES or verdict.reason in (
        verdicts.REWARD_FREE,
        verdicts.NOT_ISOLATED,
    )


def _runs_sha256(rows: Iterable[stored_rows.RowFolder]) -> str:
    """Return one hash over all records of these rows, independent of the order of rows."""
    runs = sorted(
        (row.name, str(path.inner), records.read(path)["record_sha256"])
        for row in rows
        for path in stored_rows.run_folders(row)
    )
    return files.text_sha256(files.canonical_json(runs))
