"""The card of a submission on the Hub: the Hub's metadata, what it is, its results, and how to load it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from string import Template
from typing import Final

from understudy.submissions import hub_results
from understudy.submissions.hub_results import Answer
from understudy.submissions.submission_format import Submission
from understudy.suite import escaping
from understudy.suite.hub.locations import Location

LIBRARY: Final = "understudy"
TAGS: Final = ("understudy", "imitation-learning", "in-context-reinforcement-learning")

_BODY: Final = Template("""\
# $title

$description

An imitator of DQN learners for the benchmark `$benchmark` of understudy: it watched teachers learn, and is
asked whether it keeps learning as they would. Nothing in this repository is run as code.

$facts

$watched

$results

## Load it

```sh
understudy check $name
understudy score $name --benchmark $benchmark --out results
```

```python
from understudy.submissions import checkpoint_source, loading, resolution
from understudy.suite import benchmarks, games

benchmark = benchmarks.load("$benchmark")
submission = resolution.find("$name", benchmark.name)
source = checkpoint_source.source_of(submission, submission.declaration.checkpoints[0], benchmark)
imitator = loading.load(source, games.load(benchmark.watched_games[0]))
```

`<commit hash>` stands for a commit of this repository, of 40 hex digits; a branch or tag is refused.
""")


def text(
    submission: Submission,
    facts: Sequence[tuple[str, str]],
    location: Location,
    licence: str | None = None,
    datasets: Sequence[Location] = (),
    answers: Sequence[Answer] = (),
) -> str:
    """Return the card; equal arguments give equal text.

    Args:
        submission: whose text is escaped wherever it is shown.
        facts: (name, value) of each fact to show, as `check` finds them.
        location: of the repository.
        licence: the Hub's identifier of a licence, e.g. `mit`; None: none is stated.
        datasets: on the Hub that hold runs that it watched.
        answers: of its stored rows.
    """
    from huggingface_hub import ModelCard, ModelCardData

    declared = submission.declaration
    metrics = list(dict.fromkeys(metric.name for answer in answers for metric in answer.metrics))
    data = ModelCardData(
        license=licence,
        library_name=LIBRARY,
        pipeline_tag=hub_results.TASK_TYPE,
        tags=[*TAGS, declared.benchmark, declared.architecture],
        datasets=[each.repo for each in datasets] or None,
        metrics=metrics or None,
        model_name=declared.name,
        eval_results=hub_results.model_index(answers) or None,
    )
    body = _BODY.substitute(
        title=escaping.markdown(declared.name),
        description=escaping.markdown(declared.description) or "No description was given.",
        benchmark=declared.benchmark,
        facts="\n".join(["| | |", "|---|---|", *_lines(facts)]),
        watched="\n".join(_watched(datasets)),
        results="\n".join(_results(answers)),
        name=location.at("<commit hash>"),
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}"))


def model_index(name: str, answers: Sequence[Answer]) -> bytes:
    """Return the `model-index` of a card's metadata, as YAML.

    Args:
        name: of the submission.
        answers: of its rows, with a number among them.
    """
    from huggingface_hub import ModelCardData

    data = ModelCardData(model_name=name, eval_results=hub_results.model_index(answers))
    return f"{data.to_yaml()}\n".encode()


def _lines(facts: Sequence[tuple[str, str]]) -> Iterator[str]:
    for name, value in facts:
        yield f"| {escaping.markdown(name)} | {escaping.markdown(value)} |"


def _watched(datasets: Sequence[Location]) -> Iterator[str]:
    if not datasets:
        yield "The runs that it watched are named in `submission.json`, with hashes of their moves."
        return
    yield "It watched runs of these datasets; `submission.json` names each, with the hash of its moves:"
    yield ""
    for each in datasets:
        yield f"- `{each}`"


def _results(answers: Sequence[Answer]) -> Iterator[str]:
    yield "## Results"
    yield ""
    if not answers:
        yield "None were published with it."
        return
    if any(answer.self_reported for answer in answers):
        yield (
            "Rows of the round `dev` are self-reported: their author could choose the seeds. "
            "`understudy score` plays them again."
        )
        yield ""
    unranked = dict.fromkeys((answer.budget, reason) for answer in answers for reason in answer.not_ranked)
    for budget, reason in unranked:
        yield f"Its row at budget {escaping.markdown(budget)} is not ranked: {escaping.markdown(reason)}."
        yield ""
    yield "| budget | round | question | answer | number | value | interval |"
    yield "|---|---|---|---|---|---:|---|"
    for answer in answers:
        asked = (answer.budget, answer.round, answer.question, answer.verdict)
        cells = " | ".join(map(escaping.markdown, asked))
        for metric in answer.metrics:
            name, note = map(escaping.markdown, (metric.name, metric.note))
            yield f"| {cells} | {name} | {metric.value:.4g} | {note} |"
        if not answer.metrics:
            yield f"| {cells} | - | - | - |"
