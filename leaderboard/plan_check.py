"""The plan check: a row's stored jobs must be the planned ones, each in its own folder and complete.

A replay does not detect a run stored in place of another: of another player, budget or role, or one run
stored as sixteen. The expected jobs follow from the benchmark's file and `row.json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from understudy.leaderboard import stored_rows
from understudy.leaderboard.stored_rows import RowFolder
from understudy.suite import benchmarks, protocols, reserved_names
from understudy.suite.benchmarks import Benchmark, pins
from understudy.suite.errors import InputError
from understudy.suite.harness import interventions, lanes, records, rounds
from understudy.suite.harness.rounds import Round
from understudy.suite.io import file_names
from understudy.suite.io.readable import Readable

NOT_DECLARED = "0" * 64


def differences(folder: RowFolder) -> Iterator[str]:
    """Yield each difference of a row's jobs from the planned ones, and each missing job.

    Raises InputError if the row or a job cannot be read.
    """
    row = stored_rows.row_of(folder)
    benchmark = benchmarks.load(folder.benchmark)
    if reserved_names.is_entry(folder.benchmark, row["name"]) and not any(
        is_committed_to(row, of_round) for of_round in rounds.read()
    ):
        yield (
            f"{folder.path / records.ROW}: {row['name']!r} is an entry of the package, whose identity is not "
            f"{row['identity'][:12]}; rename the submission and score it again"
        )
    if row["control"] != (list(row["checkpoints"]) == ["control"]):
        yield f"{folder.path / records.ROW}: control is {row['control']}, its checkpoints say otherwise"
    try:
        of_round, salt = _round_and_salt(row)
    except InputError as error:
        yield f"{folder.path / records.ROW}: {error}"
    else:
        for job_folder in stored_rows.job_folders(folder):
            yield from _job(benchmark, folder.budget, row, job_folder, of_round, salt)
    yield from _numbers_of_lanes(folder)
    yield from _missing(folder, row)


def _numbers_of_lanes(folder: RowFolder) -> Iterator[str]:
    """Yield a job that has another number of lanes than the row's first: all that is compared has one."""
    counts = {path: len(records.read_job(path)["lanes"]) for path in stored_rows.job_folders(folder)}
    first = next(iter(counts.values()), 0)
    for path, count in counts.items():
        if count != first:
            yield f"{path / records.JOB}: {count} lanes, another job of this row has {first}"
            return


def _job(
    benchmark: Benchmark,
    budget_name: str,
    row: Mapping[str, Any],
    job_folder: Readable,
    of_round: Round,
    salt: str,
) -> Iterator[str]:
    """Yield each difference of a job from the planned one in its folder."""
    path = job_folder / records.JOB
    job = records.read_job(job_folder)
    try:
        expected = required(benchmark, budget_name, row, job_folder, job, of_round, salt)
    except InputError as error:
        yield f"{path}: {error}"
        return
    yield from (f"{path}: {text}" for text in _strange_teachers(benchmark, job))
    for name, planned in expected.items():
        if (found := _part(job, name)) != planned:
            yield f"{path}: {name} is {_short(found)}, expected {_short(planned)} in this folder"
    yield from _runs(job_folder, job, benchmark.name, budget_name)


def required(
    benchmark: Benchmark,
    budget_name: str,
    row: Mapping[str, Any],
    job_folder: Readable,
    job: Mapping[str, Any],
    of_round: Round,
    salt: str,
) -> dict[str, Any]:
    """Return the values that a job in this folder must have, by name; free choices are left out.

    Only the number of lanes and, of a submission, the teachers in the order of the lanes are taken from the
    job itself.

    Raises InputError for a folder of an unknown role, intervention or checkpoint.
    """
    role, _, intervention_name = job_folder.parent.name.partition("@")
    if role not in protocols.ROLES:
        raise InputError(f"no role {role!r}; expected {', '.join(protocols.ROLES)}")
    intervention = interventions.chosen([intervention_name])[0] if intervention_name else None
    checkpoint = job_folder.name
    if checkpoint not in row["checkpoints"]:
        raise InputError(f"{checkpoint!r} is no checkpoint of this row: {', '.join(row['checkpoints'])}")
    identity = row["checkpoints"][checkpoint]
    primed = lanes.is_primed(role, row["priming_moves"], intervention)
    teachers = list(dict.fromkeys(str(lane["teacher"]) for lane in job["lanes"]))
    if row["control"]:  # it plays with all pinned runs
        teachers = list(pins.of(benchmark).names(benchmark, benchmark.watched_games))
    num_lanes = len(job["lanes"])
    assigned = lanes.assign(benchmark, role, teachers, num_lanes, primed, salt, row["identity"], identity)
    budget = benchmark.budget(budget_name)
    return {
        "labels.benchmark": benchmark.name,
        "labels.budget": budget.name,
        "labels.name": row["name"],
        "labels.architecture": row["architecture"],
        "labels.checkpoint": checkpoint,
        "labels.training_targets": row["training_targets"],
        "benchmark": benchmark.identity,
        "kind": protocols.ROLES[role].kind,
        "player.identity": row["identity"],
        "player.checkpoint_identity": identity,
        "player.track": row["track"],
        "round": of_round.name,
        "salt": salt,
        "decoding": intervention.decoding_of(row["decoding"]) if intervention else row["decoding"],
        "priming_moves": row["priming_moves"] if primed else 0,
        "moves": lanes.moves(budget, role, num_lanes),
        "exploration": benchmark.exploration,
        "segment_moves": benchmark.segment_moves,
        "intervention": intervention.spec() if intervention else None,
        **{f"lanes.{index}": lane.spec() for index, lane in enumerate(assigned)},
    }


def _strange_teachers(benchmark: Benchmark, job: Mapping[str, Any]) -> Iterator[str]:
    """Yield each teacher of a job's lanes that is no pinned run of a watched game."""
    known = set(pins.of(benchmark).names(benchmark, benchmark.watched_games))
    for name in dict.fromkeys(str(lane["teacher"]) for lane in job["lanes"]):
        if name not in known:
            yield f"teacher {name!r} is no pinned run of a watched game of {benchmark.name}"


def _round_and_salt(row: Mapping[str, Any]) -> tuple[Round, str]:
    """Return a row's round and its salt; InputError unless its submission was committed as it is."""
    if row["control"]:
        of_round = rounds.of_controls()
        return of_round, of_round.require(None)
    of_round = rounds.load(row["round"])
    return of_round, of_round.require(_committed(row))


def is_committed(row: Mapping[str, Any]) -> bool:
    """Return whether a row is a control's, or its submission was committed to its round as it is."""
    return row["control"] or any(
        each.name == row["round"] and is_committed_to(row, each) for each in rounds.read()
    )


def is_committed_to(row: Mapping[str, Any], of_round: Round) -> bool:
    """Return whether a row's submission was committed to a round as it is."""
    return _committed(row) in of_round.committed


def _committed(row: Mapping[str, Any]) -> rounds.Committed:
    """Return what has to be committed to a row's round; without a declaration nothing is."""
    values = {field.name: row[field.name] for field in fields(rounds.Committed)}
    return rounds.Committed(**{**values, "declaration": row["declaration"] or NOT_DECLARED})


def _runs(job_folder: Readable, job: Mapping[str, Any], benchmark: str, budget: str) -> Iterator[str]:
    """Yield each log that is of another game than its lane, or of another length than its job."""
    for index, lane in enumerate(job["lanes"]):
        path = job_folder / f"lane-{index}" / file_names.HISTORY
        if not path.exists():
            continue
        history = stored_rows.log(job_folder / f"lane-{index}", benchmark, budget)
        if history.header.game != lane["game"]:
            yield f"{path}: a run in {history.header.game}, {records.JOB} says {lane['game']}"
        if history.num_moves != job["moves"]:
            yield f"{path}: {history.num_moves:,} moves, {records.JOB} says {job['moves']:,}"


def _missing(folder: RowFolder, row: Mapping[str, Any]) -> Iterator[str]:
    """Yield each checkpoint without a job in a role in which another checkpoint has runs."""
    roles = {path.parent.parent.name for path in stored_rows.run_folders(folder)}
    for role in sorted(roles):
        for checkpoint in interventions.checkpoints_of_role(role, row["checkpoints"], row["round"]):
            path = folder.runs / role / checkpoint
            if not (path / records.JOB).exists():
                yield f"{path}: no job of this checkpoint; a row's checkpoints count together"


def _part(job: Mapping[str, Any], name: str) -> Any:
    found: Any = job
    for key in name.split("."):
        found = found[int(key)] if isinstance(found, list) else found.get(key)
    return found


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
