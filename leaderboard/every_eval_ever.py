"""Rows in the format of Every Eval Ever, a schema for results of any benchmark: one JSON record a row.

What the schema has no field for stands in its free details as text, under the names of `table_columns`.
Source: https://github.com/evaleval/every_eval_ever, schema 0.3.0; its use: `docs/results-table.md`.
"""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import understudy
from understudy.leaderboard import cells, citations, eligibility, table_columns, table_files
from understudy.leaderboard.scores import ScoredRow
from understudy.suite import benchmarks, tasks
from understudy.suite.errors import InputError
from understudy.suite.harness import records, rounds, row_storage
from understudy.suite.hub import locations
from understudy.suite.io import files

SCHEMA: Final = "0.3.0"
RANKED, NOT_RANKED = "understudy", "understudy-not-ranked"  # collections: folders of records
OWNER: Final = "understudy"  # stands for the owner of a model of which no repository is known
MODEL: Final = (
    *("kind", "architecture", "track", "watched", "primed_moves", "search_trials", "rechecked"),
    *("state_bytes", "identity", "weights", "parameters", "watched_runs", "watched_moves"),
    *("training_targets", "training_updates", "training", "custom_code", "in_memory"),
)  # columns of a row that describe what played
ROW: Final = (
    *("benchmark", "budget", "round", "benchmark_identity", "controls"),
    *("ranked", "not_ranked_because", "notes"),
)  # columns of a row that describe its evaluation
# Columns that a result does not repeat.
ELSEWHERE: Final = (*MODEL, "notes", "benchmark_identity", "shown", "shown_low", "shown_high")
T_INTERVAL: Final = "Student's t, or Welch's for independent samples, over units"
FIELLER: Final = "Fieller's, over units"
MEASURES: Final = {  # columns that become results -> the method of their interval
    "points": T_INTERVAL,
    "normalised_gain": FIELLER,
    "end_above_teacher_start": T_INTERVAL,
    "agreement": T_INTERVAL,
    "normalised_agreement": FIELLER,
}
SHARES: Final = ("agreement",)  # measures that lie between 0 and 1; the others are unbounded


@dataclass(frozen=True)
class _Time:
    """The time of a record, which is a fact of its row and not of the clock."""

    seconds: int  # since 1970
    what: str  # of which event it is
    begun: str | None  # when the row's first job began, in ISO 8601; None: unknown


def path(one: ScoredRow) -> str:
    """Return where a row's record belongs: `data/<collection>/<owner>/<model>/<UUID>.json`.

    The UUID is a hash of what identifies the row, so that a later record of the same row has the same path.
    """
    folder = one.folder
    key = "/".join((folder.benchmark, folder.budget, one.row["name"], one.row["identity"]))
    name = uuid.UUID(bytes=hashlib.sha256(key.encode()).digest()[:16], version=4)
    return f"data/{_collection(one)}/{_model_id(one)}/{name}.json"


def measured(one: ScoredRow) -> bool:
    """Return whether a row has a number; without one there is nothing to record."""
    return any(line[name] is not None for line in table_files.plain(cells.frame([one])) for name in MEASURES)


def to_bytes(one: ScoredRow) -> bytes:
    """Return a row's record as the content of a file; the same row gives the same bytes."""
    return (json.dumps(record(one), ensure_ascii=False, allow_nan=False, indent=2) + "\n").encode()


def record(one: ScoredRow) -> dict[str, Any]:
    """Return a row's record as plain JSON values, with a result for each number of each question.

    Raises InputError if the row has no number, or does not say when it was played.
    """
    lines = table_files.plain(cells.frame([one]))
    row, model, when = one.row, _model_id(one), _time(one)
    player = model if model == _own_id(one) else f"{model}/{_own_id(one)}"  # a repository may hold several
    place = f"{one.folder.benchmark}.{one.folder.budget}.round-{row['round']}"
    identity = f"{place}/{player.replace('/', '_')}/{when.seconds}"
    results = [result for line in lines for result in _results(one, line, identity)]
    if not results:
        raise InputError(f"{one.folder.path}: nothing was measured; play more of it: understudy score")
    return {
        "schema_version": SCHEMA,
        "evaluation_id": identity,
        **({} if when.begun is None else {"evaluation_timestamp": when.begun}),
        "retrieved_timestamp": str(when.seconds),
        "source_metadata": {
            "source_name": "Understudy",
            "source_type": "evaluation_run",
            "source_organization_name": citations.AUTHORS,
            "evaluator_relationship": "first_party"
            if row["control"] or row["round"] == rounds.DEV
            else "other",
            "additional_details": {
                **_texts(lines[0], ROW),
                **_unmeasured(lines),
                "evaluator": "a row names neither its author nor who played it",
                "retrieved_timestamp_is": f"{when.what}; the same row gives the same record",
                "verification": "none by this export, of stored runs; `understudy verify` replays them",
            },
        },
        "eval_library": {"name": "understudy", "version": understudy.__version__},
        "model_info": _model(one, lines[0], model),
        "evaluation_results": results,
    }


def _results(one: ScoredRow, line: Mapping[str, Any], identity: str) -> Iterator[dict[str, Any]]:
    """Yield a result for each number of one question."""
    task, columns = tasks.load(line["task"]), {each.name: each for each in table_columns.COLUMNS}
    unranked, report = "" if line["ranked"] else " (not ranked)", citations.report(one, task.name)
    details = {"report": report, **_texts(line, [each for each in line if each not in ELSEWHERE])}
    for name in MEASURES:
        if line[name] is None:
            continue
        yield {
            "evaluation_result_id": f"{identity}/{task.name}.{name}",
            "evaluation_name": f"{line['benchmark']}, budget {line['budget']}, {task.label}{unranked}",
            "source_data": _source(one),
            "metric_config": {
                "evaluation_description": f"{task.question} {name}: {columns[name].meaning}.",
                "metric_id": f"understudy.{task.name}.{name}",
                "metric_name": name.replace("_", " "),
                "metric_kind": name,
                "metric_unit": columns[name].unit,
                "lower_is_better": False,
                "score_type": "continuous",
                "min_score": 0.0 if name in SHARES else "-Infinity",
                "max_score": 1.0 if name in SHARES else "Infinity",
            },
            "score_details": {
                "score": line[name],
                "details": details,
                **_uncertainty(one, line, name),
            },
            "generation_config": {"additional_details": _texts(line, ("decoding", "primed_moves", "round"))},
        }


def _uncertainty(one: ScoredRow, line: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the interval of a number and its units; no interval where a bound is unknown or unbounded."""
    low, high = line[f"{name}_low"], line[f"{name}_high"]
    found: dict[str, Any] = {}
    if low is not None and high is not None:
        rules = benchmarks.load(one.folder.benchmark).rules(one.folder.budget, line["task"])
        found["confidence_interval"] = {
            "lower": low,
            "upper": high,
            "confidence_level": rules.thresholds.confidence,
            "method": MEASURES[name],
        }
    units = _units(one, line, name)
    if units is not None:
        found["num_samples"] = units
    return {"uncertainty": found} if found else {}


def _units(one: ScoredRow, line: Mapping[str, Any], name: str) -> int | None:
    """Return the imitator's units behind a number: its own in agreement, otherwise the column `n`."""
    if "agreement" not in name:
        units: int | None = line["n"]
        return units
    verdict = one.verdict(line["task"])
    parts = () if verdict is None else verdict.parts
    return next((part.n for part in parts if part.task == "agreement"), None)


def _unmeasured(lines: Collection[Mapping[str, Any]]) -> dict[str, str]:
    """Return the questions without any number, with the reason, which cannot be results."""
    found = [
        f"{line['question']}: {line['answer'] or 'no verdict'} ({line['reason'] or 'no number'})"
        for line in lines
        if all(line[name] is None for name in MEASURES)
    ]
    return {"questions_without_a_number": "; ".join(found)} if found else {}


def _model(one: ScoredRow, line: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return what played; whether its weights can be had is not known from a row."""
    row = one.row
    known = (
        {"weights_at": row["weights"]}
        if row.get("weights")
        else {"id_is": "name and identity; no repository is known"}
    )
    return {
        "name": row["name"],
        "id": model,
        "inference_engine": {"name": "understudy"},
        "additional_details": {
            "deployment_type": "self_deployed",
            "model_availability": "unknown",
            **known,
            **_texts(line, MODEL),
            **_texts(line, ("ranked", "not_ranked_because")),
        },
    }


def _source(one: ScoredRow) -> dict[str, Any]:
    benchmark = benchmarks.load(one.folder.benchmark)
    return {
        "dataset_name": benchmark.name,
        "source_type": "other",
        "additional_details": {
            "benchmark_identity": one.row["benchmark_identity"],
            "watched_games": "; ".join(benchmark.watched_games),
            "new_games": "; ".join(benchmark.new_games),
            "watched_moves": _text(benchmark.watched_moves),
            "moves": _text(benchmark.budget(one.folder.budget).moves),
        },
    }


def _model_id(one: ScoredRow) -> str:
    """Return `owner/model`: the repository on the Hub that played, or a name that no other player has."""
    if one.row.get("weights"):
        return locations.parse(one.row["weights"]).repo
    return _own_id(one)


def _own_id(one: ScoredRow) -> str:
    return f"{OWNER}/{one.row['name']}-{one.row['identity'][: citations.SHORT]}"


def _collection(one: ScoredRow) -> str:
    """Return the collection of a row; those that may not be ranked are in one of their own."""
    return RANKED if eligibility.ranked(one) else NOT_RANKED


def _time(one: ScoredRow) -> _Time:
    """Return the time of a row's record: the end of its last job, or else the day its round was drawn."""
    jobs, where = row_storage.timing(one.folder.path), one.folder.path / records.TIMING
    if jobs:
        begun = {name: _moment(job["began"], where) for name, job in jobs.items()}
        ended = max(begun[name].timestamp() + job["seconds"] for name, job in jobs.items())
        return _Time(math.ceil(ended), "the end of the row's last job", min(begun.values()).isoformat())
    drawn = next((each.drawn for each in rounds.read() if each.name == one.row["round"]), None)
    if drawn is None:
        raise InputError(f"{where}: expected when each job was played; score it again: understudy score")
    return _Time(
        int(_moment(drawn, where).timestamp()), "the draw of its round, after which it was played", None
    )


def _moment(text: str, where: Path) -> datetime:
    """Return the time of a text in ISO 8601, in UTC; InputError, with `where`, for another text."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{where}: expected a time in ISO 8601 ({error}); score it again") from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _texts(line: Mapping[str, Any], names: Collection[str]) -> dict[str, str]:
    """Return columns as texts, without those that are unknown."""
    return {name: _text(line[name]) for name in names if line[name] is not None and line[name] != ""}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else files.canonical_json(value)
