"""What the questions about a gain share: the imitator's runs, their interventions and checks, as evidence."""

from __future__ import annotations

from typing import Any

from understudy.suite.scoring.evidence import Evidence
from understudy.suite.tasks import ReferenceRuns, RowRuns


def of_row(
    row: RowRuns, references: ReferenceRuns, roles: tuple[str, str], *, on_new_games: bool, **more: Any
) -> Evidence:
    """Return the evidence of a gain from a start role to a run role; `more` are its references."""
    start_role, run_role = roles
    runs = row.of_role(run_role)
    return Evidence(
        claim=row.claim(run_role if runs else start_role),  # of what was played
        runs=runs,
        starts=row.of_role(start_role),
        shows_score=references.shows_score(on_new_games),
        ends_by_failure=references.ends_by_failure(on_new_games),
        gains_of_draws=row.gains_of_draws(roles),
        isolation_holds=row.isolation_holds(run_role),
        declares_training=row.declares_training,
        learns_by_construction=row.learns_by_construction,
        yoked=row.of_role(run_role, "yoked"),
        flipped=row.of_role(run_role, "flipped"),
        blanked=row.of_role(run_role, "blanked"),
        **more,
    )
