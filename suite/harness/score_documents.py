"""The JSON documents of what follows from stored runs: a row's `scores.json`, and `controls.json`.

Strict as those of `row_documents`, which reads and writes them; `docs/row-format.md` describes them.
"""

from __future__ import annotations

from typing import Literal

from understudy.suite.harness.row_documents import Count, Document, Number, Part, Text
from understudy.suite.validation import Sha256


class Interval(Part):
    """An estimate and its interval; a bound is null where it is unknown."""

    estimate: Number
    low: Number | None
    high: Number | None
    confidence: Number


class Verdict(Part):
    """One answer, or the reason why there is none, with every number behind it."""

    task: Text
    claim: Text
    answer: Text | None
    reason: Text | None
    marks: tuple[Text, ...]
    bracketed: bool
    numbers: dict[Text, Interval | None]
    n: Count | None
    m: Count | None
    needed_runs: Count | None
    parts: tuple[Verdict, ...]


class HorizonWindow(Part):
    """Gains by one move of the runs."""

    moves: Count
    begin: Count
    gain: Interval
    end_above_start: Interval
    teacher_gain: Interval
    gain_beyond: Interval
    end_above_start_beyond: Interval
    left_out: Text | None


class Horizon(Part):
    """Up to which run length a share of the teacher's gain is demonstrated."""

    share: Number
    demonstrated_to: Count | None
    refuted_from: Count | None
    reason: Text | None
    windows: tuple[HorizonWindow, ...]


class Aggregates(Part):
    """A method claim's normalised scores in one number."""

    units: Count
    seed: Count
    resamples: Count
    interquartile_mean: Interval
    probability_of_improvement: Interval | None
    compared_with: Text


class Scores(Document):
    """`scores.json`, in a row's folder: its verdicts under the present rules."""

    advice = "write it again: understudy rescore"
    row: Text
    track: Literal["frozen", "learning"]
    rechecked: bool | None
    state_bytes: Count | None
    leak_nats: Number | None
    leak_suspected: bool | None
    verdicts: tuple[Verdict, ...]
    interventions: dict[Text, dict[Text, Interval]]  # task -> intervention -> gain
    horizons: dict[Text, Horizon]
    aggregates: dict[Text, Aggregates | None]


class ControlResult(Part):
    """The expected and the measured answer of one control in one task."""

    player: Text
    task: Text
    expected: Text
    found: Text
    outcome: Text | None
    normalised_gain: Interval | None
    detection_limit: Number | None
    n: Count | None
    m: Count | None


class Controls(Document):
    """`controls.json`, in the folder of a benchmark's budget: the controls' answers."""

    advice = "run the controls again: understudy controls"
    understudy: Text  # version
    text: Text
    benchmark: Text
    benchmark_identity: Sha256
    budget: Text
    results: tuple[ControlResult, ...]
    runs_sha256: Sha256
    other_lanes: tuple[Count, ...]
