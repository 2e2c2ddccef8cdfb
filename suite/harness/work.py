"""Work items: the smallest parts of scoring a row, each done by one process."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.suite import games, protocols
from understudy.suite.benchmarks import pins
from understudy.suite.errors import InputError
from understudy.suite.harness import (
    child_player,
    interventions,
    jobs,
    records,
    rollout,
    row_documents,
    row_files,
)
from understudy.suite.harness.entry import Facts
from understudy.suite.harness.interventions import Intervention
from understudy.suite.harness.jobs import PlannedJob
from understudy.suite.harness.requests import PlayProgress, Report, RequestedRow
from understudy.suite.harness.row_player import RowPlayer

PLAY, AGREEMENT, ISOLATION, RECHECK = "play", "agreement", "isolation", "recheck"


@dataclass(frozen=True)
class WorkItem:
    """A job of a row to be played or checked, or a player's agreement to be measured."""

    row: RequestedRow
    what: str  # PLAY, AGREEMENT, ISOLATION or RECHECK
    role: str = ""  # of the job's runs; empty for AGREEMENT
    player: int = 0  # position among the role's jobs, for AGREEMENT among the entry's players; checks: all
    intervention: str | None = None  # name of the intervention of these runs; None: scored runs


def planned_job(item: WorkItem) -> PlannedJob:
    """Return the job of an item that plays one."""
    return item.row.jobs(item.role, _intervention(item))[item.player]


def run(item: WorkItem, report: Report) -> None:
    """Do one item unless it is done."""
    player = RowPlayer(item.row, report)
    if item.what == AGREEMENT:
        player.measure_agreement(item.player)
    elif item.what == ISOLATION:
        player.check_isolation(item.role)
    elif item.what == RECHECK:
        player.recheck(item.role, _intervention(item))
    else:
        player.play(item.role, item.player, _intervention(item))


def items_of(
    row: RequestedRow, tasks: Sequence[str], applied: Sequence[Intervention] = ()
) -> Iterator[WorkItem]:
    """Yield the items that tasks need of a row; interventions that change nothing for it are left out."""
    roles = jobs.roles_of(tasks)
    players = range(len(row.entry.players))
    yield from (WorkItem(row, PLAY, role, player) for role in roles for player in players)
    if jobs.need_predictions(tasks):
        yield from (WorkItem(row, AGREEMENT, player=player) for player in players)
    for intervention in applied:
        if why_meaningless(intervention, row):
            continue
        changed = [role for role in roles if intervention.touches(*protocols.ROLES[role])]
        yield from (
            WorkItem(row, PLAY, role, number, intervention.name)
            for role in changed
            for number in range(len(row.jobs(role, intervention)))
        )


def check_items(row: RequestedRow, what: str) -> list[WorkItem]:
    """Return the items that check a row's stored runs.

    Args:
        row: the row, played.
        what: ISOLATION, of scored runs whose memory is not restored at episode starts; or RECHECK, of all
            runs, those of interventions too.

    Raises InputError if no such run has been played.
    """
    roles = [role for role, each in protocols.ROLES.items() if what == RECHECK or each.kind != "start"]
    applied = [None, *(interventions.INTERVENTIONS.values() if what == RECHECK else ())]
    stored = {(role, each): interventions.role_of(role, each) for each in applied for role in roles}
    played = [
        key
        for key, stored_as in stored.items()
        if row_files.find(row.folder, f"{stored_as}/*/lane-*/{records.RECORD}")
    ]
    if not played:
        raise InputError(f"{row.folder}: no runs of kind {' or '.join(roles)} here; score them first")
    return [WorkItem(row, what, role, intervention=each.name if each else None) for role, each in played]


def refuse_other_jobs(items: Sequence[WorkItem]) -> None:
    """Raise InputError if an item's folder holds another job's runs, unless they are to be replaced."""
    for item in items:
        if item.what == PLAY and not item.row.request.restart:
            planned = planned_job(item)
            rollout.refuse_other_job(planned.job, row_files.root(item.row.folder) / planned.path)


def require_player(row: RequestedRow, tasks: Sequence[str], report: Report) -> None:
    """Make one lane of each player of a row: one that can't be made is refused before anything is written."""

    def report_making(what: str, done: int, total: int) -> None:
        report(PlayProgress(row.entry.name, what, done, total))

    for role in jobs.roles_of(tasks)[-1:]:
        for planned in row.jobs(role):
            player = planned.load(row.folder, report_making, planned.job.lanes[:1], row.is_ranked)
            with child_player.closing(player):
                pass


def why_meaningless(intervention: Intervention, row: RequestedRow) -> str | None:
    """Return why an intervention changes nothing for a row's player or games; None if it does."""
    if intervention.needs_priming and not row.entry.priming_moves:
        return f"{row.entry.name} is not primed, so its runs would be the scored ones"
    if intervention.parameters != "own" and row.entry.is_control:
        return f"{row.entry.name} is a control and has no trained parameters"
    if intervention.parameters != "own" and row.entry.in_memory:
        return f"{row.entry.name} is a model in memory, whose training cannot be repeated"
    if intervention.parameters in interventions.TRAINED and row.entry.training_targets is None:
        return f"{row.entry.name} declares no training that could be repeated"
    if not intervention.concerns([games.load(name) for name in row.benchmark.games]):
        return f"no game of {row.benchmark.name} shows its score"
    return None


def row_file(row: RequestedRow) -> tuple[Path, dict[str, Any]]:
    """Return the path of a row's `row.json` and its content; nothing is written.

    Raises InputError if another entry's row is stored there.
    """
    path, values = row.folder / records.ROW, declared(row)
    if row.request.restart or not path.exists():
        return path, values
    stored = row_documents.read(row_documents.Row, path)
    if stored.get("weights"):  # of this identity, so the same bytes wherever they are read today
        values = {"weights": stored["weights"], **values}
    differing = games.differing_settings(_deciding(values), _deciding(stored))
    if differing:
        raise InputError(
            f"{path}: another {row.entry.name!r} was scored here ({differing[0][:200]}); use another folder "
            "for --out, or --restart to play its runs again (in Python: out=, restart=True)"
        )
    return path, values


def _deciding(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of `row.json` without what decides nothing, which earlier versions did not write."""
    return {name: value for name, value in values.items() if name not in ("facts", "weights")}


def declared(row: RequestedRow) -> dict[str, Any]:
    """Return what `row.json` holds of a row."""
    entry, benchmark = row.entry, row.benchmark
    return {
        "format": row_documents.Row.number,
        "name": entry.name,
        "identity": entry.identity,
        "benchmark": benchmark.name,
        "benchmark_identity": benchmark.identity,
        "architecture": entry.architecture,
        "control": entry.is_control,
        "decoding": entry.decoding,
        "track": entry.track,
        "watched": entry.watched,
        "priming_moves": entry.priming_moves,
        "search_trials": entry.search_trials,
        "training_targets": entry.training_targets,
        "round": row.round.name,
        "declaration": entry.declaration,
        "other_teacher_data": not pins.of(benchmark).come_with(benchmark),
        "checkpoints": {player.checkpoint: player.identity for player in entry.players},
        **({"custom_code": entry.custom_code.model_dump()} if entry.custom_code else {}),
        **({"in_memory": entry.in_memory} if entry.in_memory else {}),
        **({"facts": _facts(entry.facts)} if entry.facts else {}),
        **({"weights": entry.weights} if entry.weights else {}),
    }


def _facts(facts: Facts) -> dict[str, Any]:
    training = None if facts.training is None else dict(facts.training)
    return {**dataclasses.asdict(facts), "training": training}


def _intervention(item: WorkItem) -> Intervention | None:
    return interventions.INTERVENTIONS[item.intervention] if item.intervention else None
