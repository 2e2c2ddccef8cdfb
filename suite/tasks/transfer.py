"""Q3: in a game it never saw, does the imitator begin badly and become expert, as the teacher would?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from understudy.suite.scoring import gain_verdicts, gains, references
from understudy.suite.scoring.comparisons import Comparable
from understudy.suite.scoring.contrasts import METHOD
from understudy.suite.scoring.evidence import Evidence
from understudy.suite.scoring.rules import Rules
from understudy.suite.scoring.verdicts import Verdict
from understudy.suite.tasks import Column, GainReference, ReferenceRuns, RowRuns, _gain_evidence

ROLES = ("start-new", "transfer")
REFERENCE_PLAYERS = {"random": ("start-new",)}


def reference_evidence(reference_runs: ReferenceRuns) -> Evidence:
    """Return what measures the teachers' runs from scratch, every unit of them and no imitator."""
    return Evidence(
        METHOD,
        reference_runs=reference_runs.runs_from_scratch(),
        random_starts=reference_runs.starts("random", "start-new"),
        watched_moves=reference_runs.watched_moves(),
        pinned=reference_runs.pinned(on_new_games=True),
    )


COLUMN = Column(gains.NORMALISED_GAIN, "normalised gain", gains.GAIN, gains.TEACHER_GAIN, signed=True)
GAIN = GainReference(
    on_new_games=True,
    start=("random", "start-new"),
    measure=references.runs_from_scratch,
    evidence=reference_evidence,
    roles=ROLES,
)


@dataclass(frozen=True)
class Transfer:
    """The imitator's gain on the new game, compared with teachers that learn it from scratch."""

    name: str = "transfer"
    question: str = "In a game it never saw, does it begin badly and become expert, as the teacher would?"
    label: str = "Q3 transfer"
    column: Column = COLUMN
    roles: tuple[str, ...] = ROLES
    reference_players: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(REFERENCE_PLAYERS))
    needs_predictions: bool = False
    gain: GainReference = GAIN

    def evidence(self, row: RowRuns, reference_runs: ReferenceRuns) -> Evidence:
        """Return the row's runs on the new games, begun with an empty memory, beside the teachers'."""
        return _gain_evidence.of_row(
            row,
            reference_runs,
            ROLES,
            on_new_games=True,
            reference_runs=reference_runs.runs_from_scratch(),
            random_starts=reference_runs.starts("random", "start-new"),
            watched_moves=reference_runs.watched_moves(),
            pinned=reference_runs.pinned(on_new_games=True),
        )

    def verdict(self, evidence: Evidence, rules: Rules) -> Verdict:
        """Answer from `runs`, `starts`, `reference_runs` and `random_starts`.

        Raises InputError where runs don't belong together.
        """
        return gain_verdicts.verdict(self.name, evidence, rules, references.runs_from_scratch)

    def comparable(self, evidence: Evidence, rules: Rules) -> Comparable | None:
        """Return the gain of each unit; None if it was not played to its end."""
        return gain_verdicts.comparable(evidence, rules, references.runs_from_scratch)


TASK = Transfer()
