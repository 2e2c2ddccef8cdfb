"""Q2: does the imitator keep improving past what it saw its teacher do, as the teacher would?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from understudy.suite.scoring import gain_verdicts, gains, references, verdicts
from understudy.suite.scoring.comparisons import Comparable
from understudy.suite.scoring.contrasts import METHOD
from understudy.suite.scoring.evidence import Evidence
from understudy.suite.scoring.rules import Rules
from understudy.suite.scoring.verdicts import Verdict
from understudy.suite.tasks import Column, GainReference, ReferenceRuns, RowRuns, _gain_evidence

ROLES = ("start", "continue")
REFERENCE_PLAYERS = {"frozen-teacher": ("start",), "random": ("start",)}


def reference_evidence(reference_runs: ReferenceRuns) -> Evidence:
    """Return what measures the teachers' continuations, every unit of them and no imitator."""
    return Evidence(
        METHOD,
        reference_runs=reference_runs.continuations(),
        reference_starts=reference_runs.starts("frozen-teacher", "start"),
        watched_moves=reference_runs.watched_moves(),
        pinned=reference_runs.pinned(),
    )


COLUMN = Column(gains.NORMALISED_GAIN, "normalised gain", gains.GAIN, gains.TEACHER_GAIN, signed=True)
GAIN = GainReference(
    on_new_games=False,
    start=("frozen-teacher", "start"),
    measure=references.continuations,
    evidence=reference_evidence,
    roles=ROLES,
)


@dataclass(frozen=True)
class Improvement:
    """The imitator's gain on the watched game, compared with the teachers' own continuations."""

    name: str = "improvement"
    question: str = "Does it keep improving past what it saw the teacher do, as the teacher would?"
    label: str = "Q2 improvement"
    column: Column = COLUMN
    roles: tuple[str, ...] = ROLES
    reference_players: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(REFERENCE_PLAYERS))
    needs_predictions: bool = False
    gain: GainReference = GAIN

    def evidence(self, row: RowRuns, reference_runs: ReferenceRuns) -> Evidence:
        """Return the row's continuations beside the teachers' own; units of a method claim are teachers."""
        units = {run.unit for run in row.of_role("continue")}
        skill = row.verdict("skill")
        return _gain_evidence.of_row(
            row,
            reference_runs,
            ROLES,
            on_new_games=False,
            reference_runs=reference_runs.continuations(units if row.claim("continue") == METHOD else None),
            reference_starts=reference_runs.starts("frozen-teacher", "start"),
            random_starts=reference_runs.starts("random", "start"),
            watched_moves=reference_runs.watched_moves(units),
            pinned=reference_runs.pinned(),
            skill_answer=skill.part("skill").answer if skill.parts else None,
        )

    def verdict(self, evidence: Evidence, rules: Rules) -> Verdict:
        """Answer from `runs`, `starts`, `reference_runs`, `reference_starts`; in brackets without Q1's skill.

        Raises InputError where runs don't belong together.
        """
        found = gain_verdicts.verdict(self.name, evidence, rules, references.continuations)
        has_skill = evidence.skill_answer in (verdicts.YES, verdicts.ABOVE)
        return replace(found, bracketed=not has_skill)

    def comparable(self, evidence: Evidence, rules: Rules) -> Comparable | None:
        """Return the gain of each unit; None if it was not played to its end."""
        return gain_verdicts.comparable(evidence, rules, references.continuations)


TASK = Improvement()
