"""Planned: whether a row's stored jobs are those that it had to play, each in its own place and whole.

A life says truly what was played, and yet may lie where another belongs: of another player, budget or role,
or one life stored as sixteen. What each job must be follows from the benchmark's file and `row.json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from understudy.leaderboard import stored
from understudy.leaderboard.stored import RowFolder
from understudy.suite import benchmarks, places, probes, records
from understudy.suite.benchmarks import Benchmark
from understudy.suite.errors import InputError
from understudy.suite.histories import format as history_format


def differences(folder: RowFolder) -> Iterator[str]:
    """Yield each job of a row that is not the one of its place, and each that is missing.

    Raises InputError where the row or a job can't be read.
    """
    row = stored.row_of(folder)
    benchmark = benchmarks.load(folder.benchmark)
    if row.get("name") != folder.name:
        yield f"{folder.path / stored.ROW}: the row of {row.get('name')!r} in the place of {folder.name!r}"
    if row["control"] != (list(row["checkpoints"]) == ["control"]):
        yield f"{folder.path / stored.ROW}: control is {row['control']}, its checkpoints say otherwise"
    for job_folder in stored.job_folders(folder):
        path = job_folder / records.JOB
        job = records.read_job(job_folder)
        try:
            expected = required(benchmark, folder.budget, row, job_folder, job)
        except InputError as error:
            yield f"{path}: {error}"
            continue
        for name, told in expected.items():
            if (found := _part(job, name)) != told:
                yield f"{path}: {name} is {_short(found)}, in this place it has to be {_short(told)}"
        yield from _lives(job_folder, job)
    yield from _missing(folder, row)


def required(
    benchmark: Benchmark, budget_name: str, row: Mapping[str, Any], job_folder: Path, job: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the job of a place has to say, by name; what it may choose is not in it.

    Of the job itself come only its number of lanes and its teachers, as the first lanes name them.

    Raises InputError where no job belongs: an unknown role, probe or checkpoint.
    """
    role, _, probe_name = job_folder.parent.name.partition("@")
    if role not in places.ROLES:
        raise InputError(f"no role {role!r}; expected {', '.join(places.ROLES)}")
    probe = probes.chosen([probe_name])[0] if probe_name else None
    checkpoint = job_folder.name
    if checkpoint not in row["checkpoints"]:
        raise InputError(f"{checkpoint!r} is no checkpoint of this row: {', '.join(row['checkpoints'])}")
    sha256 = row["checkpoints"][checkpoint]
    primed = places.is_primed(role, row["priming_moves"], probe)
    teachers = list(dict.fromkeys(str(lane["teacher"]) for lane in job["lanes"]))
    num_lanes = len(job["lanes"])
    lanes = places.lanes(benchmark, role, teachers, num_lanes, primed, row["salt"], row["sha256"], sha256)
    budget = benchmark.budget(budget_name)
    return {
        "benchmark": benchmark.name,
        "benchmark_sha256": benchmark.sha256,
        "budget": budget.name,
        "kind": places.ROLES[role][0],
        "player.name": row["name"],
        "player.sha256": row["sha256"],
        "player.track": row["track"],
        "player.checkpoint": checkpoint,
        "player.checkpoint_sha256": sha256,
        "salt": row["salt"],
        "decoding": probe.decoding_of(row["decoding"]) if probe else row["decoding"],
        "priming_moves": row["priming_moves"] if primed else 0,
        "moves": places.moves(budget, role, num_lanes),
        "exploration": benchmark.exploration,
        "segment_moves": benchmark.segment_moves,
        "probe": asdict(probe) if probe else None,
        **{f"lanes.{index}": lane.spec() for index, lane in enumerate(lanes)},
    }


def _lives(job_folder: Path, job: Mapping[str, Any]) -> Iterator[str]:
    """Yield each log that is of another game than its lane, or shorter than its job."""
    for index, lane in enumerate(job["lanes"]):
        path = job_folder / f"lane-{index}" / records.HISTORY
        if not path.exists():
            continue
        history = history_format.read(path)
        if history.header.game != lane["game"]:
            yield f"{path}: a life in {history.header.game}, {records.JOB} says {lane['game']}"
        if history.num_moves != job["moves"]:
            yield f"{path}: {history.num_moves:,} moves, {records.JOB} says {job['moves']:,}"


def _missing(folder: RowFolder, row: Mapping[str, Any]) -> Iterator[str]:
    """Yield each checkpoint without a job in a role in which another one has lives."""
    roles = {path.parent.parent.name for path in stored.life_folders(folder)}
    for role in sorted(roles):
        for checkpoint in row["checkpoints"]:
            path = folder.path / role / checkpoint
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
