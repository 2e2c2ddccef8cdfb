"""A row's JSON documents: one with another key, type or format's number is refused in one line."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import rows

from understudy.suite.errors import InputError
from understudy.suite.harness import row_documents, score_documents
from understudy.suite.harness.row_documents import Document

SHA = "0123456789abcdef" * 4
CHECKED = {"format": 1, "histories_sha256": [SHA, SHA], "parameters_sha256": SHA, "checkpoint_identity": SHA}
INTERVAL = {"estimate": 1.5, "low": None, "high": 2, "confidence": 0.95}
WINDOW = {
    **dict.fromkeys(("gain", "end_above_start", "teacher_gain", "gain_beyond"), INTERVAL),
    "end_above_start_beyond": INTERVAL,
    "moves": 10,
    "begin": 5,
    "left_out": None,
}
VERDICT = {
    "task": "skill",
    "claim": "method",
    "answer": "yes",
    "reason": None,
    "marks": ["built-in"],
    "bracketed": False,
    "numbers": {"gain": INTERVAL, "limit": None},
    "n": 8,
    "m": 8,
    "needed_runs": None,
    "parts": [],
}
SECONDS = {"began": "2026-01-01T00:00:00+00:00", "host": "here", "moves": 5, "seconds": 1.5}
_EXAMPLES: dict[type[Document], dict[str, Any]] = {
    row_documents.Row: rows.declaration(),
    row_documents.Job: rows.job(
        intervention={
            "name": "yoked", "reward": "yoked", "priming": "last", "decoding": "own",
            "parameters": "own", "draw": 0,
        }
    ),
    row_documents.Record: {
        "format": 1,
        "lane": {**rows.job()["lanes"][1], "index": 1},
        "job": {
            name: value for name, value in rows.job(lanes=2).items() if name not in ("format", "labels")
        },
        "labels": rows.job()["labels"],
        "software": {"understudy": "0.1.0", "commit": None},
        "history_sha256": SHA, "record_sha256": SHA, "moves": 250, "points": 3.0, "episodes": 2,
        "explored": 20, "parameters_sha256": {"before": SHA, "after": SHA},
        "state_bytes": {"start": 8, "largest": 8},
    },
    row_documents.Isolation: {
        **CHECKED, "holds": False, "first_moves": 10_000, "last_moves": 0, "differs_at": 3
    },
    row_documents.Rechecked: {
        **CHECKED, "holds": True, "moves": 9, "differing": 0, "largest_gap": 0.0, "predicted_otherwise": 0.0
    },
    row_documents.Leaks: {
        "format": 1, "submission_identity": SHA, "difference_nats": 0.1, "low": None, "high": 0.2,
        "published_nats": 1.0, "held_back_nats": 1.1, "published": ["a/seed-0"],
        "held_back": {"a/seed-1": SHA},
    },
    row_documents.JobTiming: {"format": 1, **SECONDS},
    row_documents.Timing: {"format": 1, "jobs": {"start/all": SECONDS}},
    score_documents.Scores: {
        "format": 1, "row": "bc", "track": "frozen", "rechecked": None, "state_bytes": 8,
        "leak_nats": None, "leak_suspected": None,
        "verdicts": [{**VERDICT, "parts": [VERDICT]}],
        "interventions": {"improvement": {"yoked": INTERVAL}},
        "horizons": {
            "improvement": {
                "share": 0.5, "demonstrated_to": None, "refuted_from": 5, "reason": None,
                "windows": [WINDOW],
            }
        },
        "aggregates": {
            "transfer": None,
            "improvement": {
                "units": 8, "seed": 1, "resamples": 2, "interquartile_mean": INTERVAL,
                "probability_of_improvement": None, "compared_with": "frozen-teacher",
            },
        },
    },
    score_documents.Controls: {
        "format": 1, "understudy": "0.1.0", "text": "controls: 1 of 1", "benchmark": "darkroom-v1",
        "benchmark_identity": SHA, "budget": "quick", "runs_sha256": SHA, "other_lanes": [4],
        "results": [
            {
                "player": "random", "task": "skill", "expected": "no", "found": "no", "outcome": None,
                "normalised_gain": INTERVAL, "detection_limit": 0.1, "n": 8, "m": None,
            }
        ],
    },
}  # fmt: skip
EXAMPLES = {kind: json.loads(json.dumps(example)) for kind, example in _EXAMPLES.items()}  # no part is shared
KINDS = pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
NAMED_TWICE = ("interventions",)  # task -> intervention
OPEN = {
    "numbers",
    "jobs",
    "held_back",
    "interventions",
    "horizons",
    "aggregates",
    "checkpoints",
    "networks_at_w",
    "versions",
}  # keys are names in these
WHOLE = {"format", "moves", "begin", "units", "seed", "resamples", "n", "m", "first_moves", "state_bytes"}


def read(kind: type[Document], folder: Path, value: Any) -> dict[str, Any]:
    path = folder / "document.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return row_documents.read(kind, path)


def refusal(kind: type[Document], folder: Path, value: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(kind, folder, value)
    text = str(caught.value)
    assert text.startswith(f"{folder / 'document.json'}: ")
    assert text.endswith(f"; {kind.advice}")
    assert "\n" not in text
    assert len(text) < 500
    return text


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of each value in a document, outer ones first."""
    if place:
        yield place
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*place, key))


def changed(document: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return a copy with another value at a place."""
    copied = copy.deepcopy(document)
    inner: Any = copied
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return copied


def at(document: dict[str, Any], place: tuple[Any, ...]) -> Any:
    inner: Any = document
    for key in place:
        inner = inner[key]
    return inner


@KINDS
def test_a_whole_document_is_read_as_it_is(kind, tmp_path):
    assert read(kind, tmp_path, EXAMPLES[kind]) == EXAMPLES[kind]
    row_documents.write(kind, tmp_path / "written.json", {
        name: value for name, value in EXAMPLES[kind].items() if name != "format"
    })  # fmt: skip
    assert row_documents.read(kind, tmp_path / "written.json") == EXAMPLES[kind]


@KINDS
def test_each_key_is_needed_and_no_other_is_taken(kind, tmp_path):
    document = EXAMPLES[kind]
    tables = [(), *(place for place in places(document) if isinstance(at(document, place), dict))]
    closed = [place for place in tables if not (place and (place[-1] in OPEN or place[:-1] == NAMED_TWICE))]
    for place in closed:
        refused = refusal(kind, tmp_path, changed(document, (*place, "surplus"), 1))
        assert f"unknown key {'.'.join(map(str, (*place, 'surplus')))!r}" in refused
        for key in at(document, place):
            copied = copy.deepcopy(document)
            del at(copied, place)[key]
            missing = f"expected the key {'.'.join(map(str, (*place, key)))!r}, found none"
            assert missing in refusal(kind, tmp_path, copied)


@KINDS
def test_no_value_is_converted(kind, tmp_path):
    """A text for a number, a number for a text, 1 for true, 1.0 for 1: each at every place."""
    document = EXAMPLES[kind]
    for place in places(document):
        value = at(document, place)
        if isinstance(value, bool):
            others: list[Any] = [1, "true", 0.0]
        elif isinstance(value, int | float):
            others = [str(value), True, [value], *([float(value)] if place[-1] in WHOLE else [])]
        elif isinstance(value, str):
            others = [1, True, [value], {"a": value}]
        elif isinstance(value, list):
            others = [{"0": value}, "a", 1]
        elif isinstance(value, dict):
            others = [[value], "a", 1]
        else:
            others = [{"unknown": 1}, [[1]]]
        for other in others:
            refusal(kind, tmp_path, changed(document, place, other))


@KINDS
@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused(kind, constant, tmp_path):
    document = EXAMPLES[kind]
    numbers = [place for place in places(document) if isinstance(at(document, place), float)]
    for place in numbers:
        text = json.dumps(changed(document, place, "HERE")).replace('"HERE"', constant)
        refusal(kind, tmp_path, text)
    refusal(kind, tmp_path, json.dumps({**document, "format": "HERE"}).replace('"HERE"', constant))


@KINDS
@pytest.mark.parametrize("number", [0, 3, 10**30, -1, True, 1.0, 2.0, "1", None])
def test_another_formats_number_is_refused(kind, number, tmp_path):
    assert "format: " in refusal(kind, tmp_path, {**EXAMPLES[kind], "format": number})


@KINDS
@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "1", '"a"', '{"format": 1, "format": 1}', "[" * 9_999]
)
def test_what_is_no_object_of_these_keys_is_refused(kind, text, tmp_path):
    refusal(kind, tmp_path, text)


@pytest.mark.parametrize(
    ("threads", "said"), [(0, "at least 1"), (1_025, "at most 1,024"), (10**15, "at most")]
)
def test_threads_that_torch_cannot_be_set_to_are_refused(threads, said, tmp_path):
    kind = row_documents.Job
    assert read(kind, tmp_path, {**EXAMPLES[kind], "threads": 1_024})["threads"] == 1_024
    assert f"threads: expected {said}" in refusal(kind, tmp_path, {**EXAMPLES[kind], "threads": threads})


def test_a_newer_format_is_named_before_its_new_keys(tmp_path):
    newer = {**EXAMPLES[row_documents.Isolation], "format": 2, "surplus": 1}
    assert "format: this version reads 1; found 2" in refusal(row_documents.Isolation, tmp_path, newer)


def test_missing_and_unreadable_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.json: no such file"):
        row_documents.read(row_documents.Isolation, tmp_path / "absent.json")
    with pytest.raises(InputError, match="expected a regular file, found a folder"):
        row_documents.read(row_documents.Isolation, tmp_path)
    (tmp_path / "latin.json").write_bytes(b'{"format": "\xe4"}')
    with pytest.raises(InputError, match=r"latin\.json: not readable JSON"):
        row_documents.read(row_documents.Isolation, tmp_path / "latin.json")
