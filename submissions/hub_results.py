"""Results for the Hub: what stored rows of a submission answer, in the Hub's two formats of results."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from understudy.submissions.submission_format import Submission
from understudy.suite import benchmarks, tasks
from understudy.suite.errors import InputError
from understudy.suite.harness import records, row_documents, score_documents
from understudy.suite.harness.rounds import DEV
from understudy.suite.hub.locations import Location
from understudy.suite.scoring.verdicts import Verdict

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

SCORES: Final = "scores.json"
EVAL_RESULTS: Final = ".eval_results/understudy.yaml"
TASK_TYPE: Final = "reinforcement-learning"  # one of the Hub's tasks
AGREEMENT: Final = "normalised agreement"
H50: Final = "log10 H50"


@dataclass(frozen=True)
class Metric:
    """One number behind an answer."""

    name: str  # with its unit
    value: float
    note: str  # its interval, in words
    interval: Mapping[str, float | None] | None  # confidence, low, high; None: it has none


@dataclass(frozen=True)
class Answer:
    """What a stored row answers to one question."""

    benchmark: str
    benchmark_identity: str
    budget: str
    round: str
    task: str
    question: str  # the heading of its column in a table, e.g. `Q2 improvement`
    verdict: str  # as a table shows it, e.g. `undecided (needs about 214 runs)`
    basis: tuple[str, ...]  # what it rests on and lacks, e.g. `method claim`, `n = 16`
    metrics: tuple[Metric, ...]  # first the one that a table shows; none if nothing was measured
    not_ranked: tuple[str, ...] = ()  # why its row may not be ranked

    @property
    def self_reported(self) -> bool:
        """Whether its runs were played by the author, under a salt that was known before."""
        return self.round == DEV


@dataclass(frozen=True)
class PublishedRow:
    """A stored row whose results are published."""

    path: Path  # its folder
    budget: str  # that it was played at
    not_ranked: tuple[str, ...] = ()  # why it may not be ranked


def read(row: PublishedRow, submission: Submission) -> tuple[Answer, ...]:
    """Return the answers in a row's `scores.json`, in the order of the tasks.

    Args:
        row: the row.
        submission: of which the row has to be.

    Raises InputError if a document is missing or malformed, or if the row is of another submission, of other
    weights, or of another benchmark of the same name.
    """
    declared = row_documents.read(row_documents.Row, row.path / records.ROW)
    benchmark = benchmarks.load(submission.declaration.benchmark)
    if (declared["name"], declared["identity"]) != (submission.declaration.name, submission.identity):
        raise InputError(
            f"{row.path}: expected a row of {submission.declaration.name} with identity "
            f"{submission.identity[:12]}, found {declared['name']} with {declared['identity'][:12]}; score "
            "it again"
        )
    if declared["benchmark_identity"] != benchmark.identity:
        raise InputError(
            f"{row.path}: scored under another {benchmark.name} than the present one; score it again"
        )
    scores = row_documents.read(score_documents.Scores, row.path / SCORES)
    return answers(declared, scores, row.budget, row.not_ranked)


def answers(
    row: Mapping[str, Any], scores: Mapping[str, Any], budget: str, not_ranked: tuple[str, ...] = ()
) -> tuple[Answer, ...]:
    """Return the answers of a row, in the order of the tasks.

    Args:
        row: the content of its `row.json`.
        scores: the content of its `scores.json`.
        budget: that it was played at.
        not_ranked: why it may not be ranked.
    """
    return tuple(
        Answer(
            benchmark=row["benchmark"],
            benchmark_identity=row["benchmark_identity"],
            budget=budget,
            round=row["round"],
            task=verdict["task"],
            question=tasks.load(verdict["task"]).label,
            verdict=_verdict_of(verdict).label,
            basis=tuple(_basis(row, scores, verdict)),
            metrics=tuple(_metrics(verdict, scores["horizons"].get(verdict["task"]))),
            not_ranked=not_ranked,
        )
        for verdict in scores["verdicts"]
    )


def model_index(answers: Sequence[Answer]) -> list[EvalResult]:
    """Return the answers as entries of a model card's `model-index`.

    A metric's arguments hold its answer, what that rests on, and the interval: the Hub's entry of a dataset
    holds the metrics of all questions at one benchmark and budget.

    Source: https://github.com/huggingface/hub-docs/blob/main/modelcard.md
    """
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type=TASK_TYPE,
            task_name="imitating a learner",
            dataset_type=answer.benchmark,
            dataset_name=f"{answer.benchmark}, budget {answer.budget}, {_standing(answer)}",
            dataset_config=answer.budget,
            dataset_args={"identity": answer.benchmark_identity, "round": answer.round},
            metric_type=_slug(answer.task, metric.name),
            metric_name=f"{answer.question}: {metric.name}",
            metric_value=metric.value,
            metric_args={
                **(metric.interval or {}),
                "answer": answer.verdict,
                "basis": ", ".join(answer.basis),
            },
        )
        for answer in answers
        for metric in answer.metrics
    ]


def eval_results(answers: Sequence[Answer], dataset: Location) -> bytes:
    """Return the answers as the content of a file in `.eval_results`; notes hold answers and intervals.

    Args:
        answers: those without a number are left out.
        dataset: pinned; whose runs were watched.

    Source: https://huggingface.co/docs/hub/eval-results
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    from huggingface_hub.utils import yaml_dump  # type: ignore[attr-defined]

    entries = [
        EvalResultEntry(
            dataset_id=dataset.repo,
            dataset_revision=dataset.revision,
            task_id=f"{answer.benchmark}.{answer.budget}.{_slug(answer.task, metric.name)}",
            value=metric.value,
            notes=f"{answer.question}: {answer.verdict}; {metric.name}, {metric.note}; "
            f"{', '.join(answer.basis)}; {_standing(answer)}",
        )
        for answer in answers
        for metric in answer.metrics
    ]
    return str(yaml_dump(eval_result_entries_to_yaml(entries), sort_keys=False)).encode()


def _standing(answer: Answer) -> str:
    """Return an answer's round, and why its row is not ranked."""
    because = f", not ranked: {'; '.join(answer.not_ranked)}" if answer.not_ranked else ""
    return f"round {answer.round}{because}"


def _verdict_of(verdict: Mapping[str, Any]) -> Verdict:
    """Return a stored verdict without its numbers."""
    kept = ("task", "claim", "answer", "reason", "bracketed", "needed_runs", "n", "m")
    return Verdict(**{name: verdict[name] for name in kept}, marks=tuple(verdict["marks"]))


def _basis(row: Mapping[str, Any], scores: Mapping[str, Any], verdict: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a stored verdict rests on and what it lacks, beyond its label."""
    found = _verdict_of(verdict)
    yield f"{found.claim} claim"
    yield from (f"{name} = {units}" for name, units in (("n", found.n), ("m", found.m)) if units is not None)
    if found.reason and found.decided:
        yield f"({found.reason})"
    yield from (mark for mark in found.marks if mark not in found.label)
    yield f"track {scores['track']}"
    yield f"{row['decoding']} decoding"


def _metrics(verdict: Mapping[str, Any], horizon: Mapping[str, Any] | None) -> Iterator[Metric]:
    """Yield the numbers to show of a stored verdict, those that were measured."""
    column = tasks.load(verdict["task"]).column
    shown = {column.number: column.heading}
    if column.points != column.number:
        shown[column.points] = f"{column.points} in points an episode"
    shown[AGREEMENT] = AGREEMENT
    for key, name in shown.items():
        found = verdict["numbers"].get(key)
        if found is not None:
            yield Metric(name, found["estimate"], _interval_text(found), _bounds(found))
    if horizon is not None and horizon["demonstrated_to"] is not None:
        until = horizon["refuted_from"]
        refuted = "not refuted" if until is None else f"refuted from {until:,} moves on"
        note = f"demonstrated to {horizon['demonstrated_to']:,} moves, {refuted}"
        yield Metric(H50, math.log10(horizon["demonstrated_to"]), note, None)


def _bounds(found: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: found[name] for name in ("confidence", "low", "high")}


def _interval_text(found: Mapping[str, Any]) -> str:
    low, high = (
        sign if bound is None else f"{bound:.4g}"
        for sign, bound in (("-inf", found["low"]), ("inf", found["high"]))
    )
    return f"{100 * found['confidence']:g} % interval [{low}, {high}]"


def _slug(*names: str) -> str:
    return "_".join(names).replace(" ", "_").replace("'", "")
