"""The instrument check: players with known answers, what they were found to answer, and what that proves.

A table is believed only where these players got their answers by the same code. What was found is a pure
function of stored lives; `instrument.json` keeps it, and `understudy verify` derives it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import understudy
from understudy.leaderboard import scores, stored
from understudy.leaderboard.scores import ScoredRow
from understudy.suite import benchmarks, files, records, verdicts
from understudy.suite.benchmarks import Benchmark
from understudy.suite.errors import InputError
from understudy.suite.judging import conditions
from understudy.suite.stats import Interval
from understudy.suite.verdicts import Verdict

INSTRUMENT: Final = "instrument.json"  # in <results>/<benchmark>/<budget>
YES, NO, NOT_YES, COVERS, MEASURED = "yes", "no", "not yes", "f covers {share}", "measured"
FOUND, UNDECIDED, MISSED = "found", "undecided", "missed"  # what became of a known answer
MARKS: Final = {FOUND: "as expected", UNDECIDED: "undecided", MISSED: "MISSED", None: ""}  # as shown
SHORT_BUDGET: Final = "quick"  # at which a known answer may also stay undecided


@dataclass(frozen=True)
class Expectation:
    """What one player must be found to answer to one question."""

    player: str
    task: str
    answer: str  # yes, no, not yes, measured, or that f's interval covers `share`
    share: float | None = None
    families: tuple[str, ...] = ()  # of games; empty: all

    @property
    def text(self) -> str:
        """The answer as shown."""
        return self.answer.format(share=self.share)


# Source: the table of docs/protocol.md, "The instrument check".
EXPECTATIONS: Final = (
    Expectation("dqn-carrying-on", "skill", YES),
    Expectation("dqn-carrying-on", "improvement", YES),
    Expectation("dqn-fresh", "transfer", YES),
    Expectation("dqn-transplanted", "transfer", MEASURED),
    Expectation("in-state-learner", "transfer", YES, families=("darkroom",)),
    Expectation("in-state-learner", "transfer", MEASURED, families=("minatar", "atari")),
    *(
        Expectation("transformer", task, MEASURED, families=("darkroom",))
        for task in ("skill", "improvement", "transfer")
    ),
    *(Expectation(f"injected-{share:g}", "improvement", COVERS, share=share) for share in (0.1, 0.25, 0.5)),
    *(Expectation("random", task, NO) for task in ("skill", "improvement", "transfer")),
    Expectation("policy-at-w", "skill", YES),
    *(Expectation("policy-at-w", task, NO) for task in ("improvement", "transfer")),
    *(
        Expectation(player, task, NO)
        for player in ("teacher-replayer", "step-counter", "nearest-neighbours")
        for task in ("improvement", "transfer")
    ),
    *(Expectation("sandbagger", task, NOT_YES) for task in ("improvement", "transfer")),
)


@dataclass(frozen=True)
class Finding:
    """One question put to one player."""

    player: str
    task: str
    expected: str
    found: str  # the verdict's label
    outcome: str | None  # found, undecided or missed; None: nothing was expected
    f: Interval | None  # own gain as a share of the ruler's
    detection_limit: float | None  # share of G that would be told from a threshold with the power
    n: int | None
    m: int | None


@dataclass(frozen=True)
class Check:
    """What the instrument was found to say at one benchmark and budget."""

    benchmark: str
    benchmark_sha256: str
    budget: str
    findings: tuple[Finding, ...]
    lives_sha256: str  # over the records of the players' lives
    other_lanes: tuple[int, ...] = ()  # that the players' lives had, where not the budget's

    @property
    def missed(self) -> tuple[Finding, ...]:
        """The known answers that were not found."""
        return self._of(MISSED)

    @property
    def text(self) -> str:
        """The result in words, for a table's title."""
        known = sum(finding.outcome is not None for finding in self.findings)
        undecided = f", {len(self._of(UNDECIDED))} undecided" if self._of(UNDECIDED) else ""
        counts = f"{len(self._of(FOUND))} of {known} known answers{undecided}"
        lanes = f" at {', '.join(map(str, self.other_lanes))} lanes" if self.other_lanes else ""
        if not self.missed:
            return f"instrument checked{lanes}, {counts}"
        names = ", ".join(f"{finding.player} {finding.task}" for finding in self.missed)
        return f"INSTRUMENT FAILS{lanes}, {counts}, missed: {names}"

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"understudy": understudy.__version__, "text": self.text, **asdict(self)}

    def _of(self, outcome: str) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.outcome == outcome)


def expected_of(family: str, tasks: Sequence[str]) -> list[Expectation]:
    """Return what is expected of the players of a family's benchmark at a budget with these tasks."""
    return [
        each for each in EXPECTATIONS if each.task in tasks and (not each.families or family in each.families)
    ]


def players_of(family: str, tasks: Sequence[str], measured: bool = True) -> list[str]:
    """Return an instrument check's players, each once, in order; those that are only measured if wanted."""
    expected = expected_of(family, tasks)
    return list(dict.fromkeys(each.player for each in expected if measured or each.answer != MEASURED))


def lanes_of(benchmark: Benchmark, budget_name: str) -> int:
    """Return how many lives each player of a check has at a budget, unless others are asked for.

    At `quick` the budget's. Above it an undecided answer counts as missed, so there are enough to tell a
    player that gains nothing: at least one of each watched game.
    """
    lanes = benchmark.budget(budget_name).lanes
    return lanes if budget_name == SHORT_BUDGET else max(lanes, len(benchmark.watched_games))


def check(results: Path, benchmark_name: str, budget_name: str) -> Check:
    """Return what the stored players of a benchmark and budget answer, beside what is expected.

    Raises InputError where a player with a known answer has not been played.
    """
    benchmark = benchmarks.load(benchmark_name)
    expected = expected_of(benchmark.family, benchmark.budget(budget_name).tasks)
    folder = results / benchmark_name / budget_name
    rows = {}
    for player in dict.fromkeys(each.player for each in expected):
        row = stored.RowFolder(folder / player, benchmark_name, budget_name, player)
        if (row.path / stored.ROW).exists():
            rows[player] = row
        elif any(each.player == player and each.answer != MEASURED for each in expected):
            raise InputError(f"{row.path}: {player} has not been played; run understudy instrument")
    judged = {one.row["name"]: one for one in scores.judge_rows(results, list(rows.values()))}
    played = (each for each in expected if each.player in rows)
    findings = tuple(_finding(each, judged[each.player], budget_name) for each in played)
    lanes = sorted({number for row in judged.values() for number in row.other_lanes})
    lives_sha256 = _lives_sha256(rows.values())
    return Check(benchmark_name, benchmark.sha256, budget_name, findings, lives_sha256, tuple(lanes))


def claiming_yes(
    results: Path, benchmark_name: str, budget_name: str, players: Sequence[str]
) -> dict[str, list[str]]:
    """Return, by question about a gain, the players whose stored lives say yes: they owe what a yes needs."""
    return _players_with(_says_yes, results, benchmark_name, budget_name, players)


def owing_flipped(
    results: Path, benchmark_name: str, budget_name: str, players: Sequence[str]
) -> dict[str, list[str]]:
    """Return, by question, the players whose gain stays with yoked rewards, where living on may be it."""
    return _players_with(_owes_flipped, results, benchmark_name, budget_name, players)


def write(results: Path, found: Check) -> Path:
    """Keep what a check found beside its players' rows."""
    path = results / found.benchmark / found.budget / INSTRUMENT
    files.write_json(path, found.as_json())
    return path


def status(results: Path, benchmark_name: str, budget_name: str) -> str | None:
    """Return what the check of a benchmark and budget said, None where there is none of this benchmark.

    It is looked for in the results, then in those that come with the package; one made by another version
    names it.
    """
    for folder in (results, stored.RESULTS):
        path = folder / benchmark_name / budget_name / INSTRUMENT
        if path.exists():
            kept = files.read_json(path)
            if kept.get("benchmark_sha256") == benchmarks.load(benchmark_name).sha256:
                version = kept["understudy"]
                return str(kept["text"]) + ("" if version == understudy.__version__ else f" ({version})")
    return None


def _finding(expectation: Expectation, row: ScoredRow, budget: str) -> Finding:
    verdict = next(verdict for verdict in row.verdicts if verdict.task == expectation.task)
    limit = verdict.numbers.get("detection limit")
    return Finding(
        expectation.player,
        expectation.task,
        expectation.text,
        verdict.label,
        _outcome(expectation, verdict, budget),
        verdict.numbers.get("f"),
        None if limit is None else limit.estimate,
        verdict.n,
        verdict.m,
    )


def _outcome(expectation: Expectation, verdict: Verdict, budget: str) -> str | None:
    if expectation.answer == MEASURED:
        return None
    if verdict.answer is None:
        return MISSED
    undecided = UNDECIDED if budget == SHORT_BUDGET else MISSED
    if expectation.share is not None:
        f = verdict.numbers.get("f")
        if f is None or f.low is None or f.high is None:
            return undecided
        return FOUND if f.low <= expectation.share <= f.high else MISSED
    if expectation.answer == NOT_YES:
        return MISSED if verdict.answer in (verdicts.YES, verdicts.YES_UNVERIFIED) else FOUND
    if verdict.answer == verdicts.UNDECIDED:
        return undecided
    return FOUND if verdict.answer == expectation.answer else MISSED


def _players_with(
    found: Callable[[Verdict], bool],
    results: Path,
    benchmark_name: str,
    budget_name: str,
    players: Sequence[str],
) -> dict[str, list[str]]:
    """Return, by question about a gain, the players whose verdict is so; others are left out."""
    folder = results / benchmark_name / budget_name
    rows = [stored.RowFolder(folder / name, benchmark_name, budget_name, name) for name in players]
    named: dict[str, list[str]] = {}
    for one in scores.judge_rows(results, rows):
        for verdict in one.verdicts:
            if verdict.task in scores.GAIN_ROLES and found(verdict):
                named.setdefault(verdict.task, []).append(one.row["name"])
    return named


def _owes_flipped(verdict: Verdict) -> bool:
    return verdict.answer == verdicts.YES_UNVERIFIED and conditions.FLIPPED_REWARD in str(verdict.reason)


def _says_yes(verdict: Verdict) -> bool:
    """Whether the contrasts say yes, whatever was found of what a yes needs besides."""
    return verdict.answer in (verdicts.YES, verdicts.YES_UNVERIFIED) or verdict.reason in (
        verdicts.REWARD_FREE,
        verdicts.NOT_ISOLATED,
    )


def _lives_sha256(rows: Iterable[stored.RowFolder]) -> str:
    """Return one hash over all records of these rows, whatever order they are read in."""
    lives = sorted(
        (row.name, str(path.relative_to(row.path)), records.read(path)["record_sha256"])
        for row in rows
        for path in stored.life_folders(row)
    )
    return files.text_sha256(files.canonical_json(lives))
