"""Axes: one recipe trained again with one thing changed at a time, and what each training gains in new games.

`leaderboard/axes.toml` says what is changed, `leaderboard/axes/<benchmark>.json` what was measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pydantic
from pydantic import BaseModel, Field

from understudy.leaderboard import experiments
from understudy.leaderboard.experiments import Experiment, Folders, Play
from understudy.leaderboard.scores import SCORES
from understudy.suite import registry, validation
from understudy.suite.errors import InputError
from understudy.suite.harness import records
from understudy.suite.io import bounded, checkout, files

AXES: Final = checkout.ROOT / "leaderboard" / "axes.toml"
MEASURED: Final = checkout.ROOT / "leaderboard" / "axes"  # <benchmark>.json
# Changes that are values of an experiment; all others are settings.
OF_EXPERIMENTS: Final = ("architecture", "teacher_seeds", "targets", "decoding")
OMIT: Final = "omit"
GAIN: Final = "normalised gain"  # of a verdict's numbers
NAME_CHARACTERS: Final = 40  # of the changes in a point's name

Quantity = Literal["million moves", "watched runs", "moves of context", "parameters"]
Changes = dict[str, Any]


class Axis(BaseModel):
    """What is changed, and what is played."""

    model_config = validation.STRICT

    name: str
    like: str | None = None  # an earlier axis, whose values hold where this one has none
    base: str  # <benchmark>/<name> of an experiment
    values: Changes = {}  # of the experiment, where they differ; settings are merged by name
    budget: Literal["full", "tenth", "quick"]
    task: Literal["improvement", "transfer"]
    quantity: Quantity | None = None  # over which the gains are drawn; None: a table alone
    points: list[Changes] = Field(min_length=1)

    @property
    def benchmark(self) -> str:
        """The benchmark's name."""
        return self.base.partition("/")[0]


@dataclass(frozen=True)
class Point:
    """A training of an axis and the row that it plays."""

    changes: Changes
    experiment: Experiment
    source: Experiment | None  # whose weights it has, under another decoding


class Measured(BaseModel):
    """What was measured at a point; gains are normalised, with 95 % intervals."""

    model_config = validation.STRICT

    changes: Changes
    identity: str  # of the submission
    watched_runs: int
    moves: int  # of windows, all updates together
    context_moves: int | None
    parameters: int
    answer: str | None
    gain: dict[str, float]  # estimate, low, high
    demonstrated_to: int | None  # moves up to which the gain is shown
    refuted_from: int | None
    processor_seconds: dict[str, int]  # training, playing


_KEPT: Final = pydantic.TypeAdapter(dict[str, Measured])


def read(path: Path = AXES) -> list[Axis]:
    """Return the axes of a file; InputError for one that is malformed."""
    raw: dict[str, dict[str, Any]] = {}
    found = []
    for number, table in enumerate(experiments.tables_of(path, "axis"), 1):
        where = f"{path}: axis {number}"
        values = dict(table)
        if "like" in values:
            earlier = raw[registry.choose(str(values["like"]), raw, f"axis in {where}: like")]
            values = {key: value for key, value in earlier.items() if key != "quantity"} | values
        try:
            axis = Axis.model_validate(values)
        except pydantic.ValidationError as error:
            raise InputError(f"{where}: {validation.problem_text(error.errors()[0])}") from error
        if axis.name in raw:
            raise InputError(f"{where}: {axis.name!r} stands twice; give another name")
        raw[axis.name] = values
        found.append(axis)
    return found


def points(axis: Axis, known: Mapping[str, Experiment]) -> list[Point]:
    """Return the points of an axis; InputError if its base is unknown, or a value is unfit.

    Args:
        axis: the axis.
        known: experiments by `<benchmark>/<name>`.
    """
    base = known[registry.choose(axis.base, known, f"experiment, base of axis {axis.name!r}")]
    found = []
    for changes in axis.points:
        experiment = _changed(axis, base, changes)
        source = None
        if "decoding" in changes:
            source = _changed(axis, base, {k: v for k, v in changes.items() if k != "decoding"})
            experiment = experiment.model_copy(update={"weights_of": f"{source.benchmark}/{source.name}"})
        found.append(Point(changes, experiment, source))
    return found


def _changed(axis: Axis, base: Experiment, changes: Changes) -> Experiment:
    """Return the experiment of a point; its name has a hash of all that determines it."""
    values = {name: value for name, value in base.model_dump().items() if name not in experiments.OWN}
    values |= {name: value for name, value in axis.values.items() if name != "settings"}
    values |= {name: changes[name] for name in OF_EXPERIMENTS if name in changes}
    settings = {**base.settings, **axis.values.get("settings", {})}
    settings = {name: value for name, value in settings.items() if name not in changes.get(OMIT, ())}
    settings |= {k: v for k, v in changes.items() if k not in (*OF_EXPERIMENTS, OMIT)}
    values |= {"settings": settings, "plays": [Play(budget=axis.budget, tasks=[axis.task]).model_dump()]}
    determined = files.text_sha256(files.canonical_json(values))
    values["name"] = f"{label(changes)[:NAME_CHARACTERS]}-{determined[:8]}"
    try:
        return Experiment.model_validate(values)
    except pydantic.ValidationError as error:
        raise InputError(f"axis {axis.name!r}: {validation.problem_text(error.errors()[0])}") from error


def label(changes: Changes) -> str:
    """Return changes as part of a name, e.g. `updates-16`; `base` for none."""
    parts = (f"{name}-{value}" for name, value in changes.items() if name != OMIT)
    return ".".join(parts).replace(":", "-").lower() or "base"


def kept(benchmark: str, folder: Path = MEASURED) -> dict[str, Measured]:
    """Return what was measured of a benchmark's points, by the names of their experiments."""
    path = folder / f"{benchmark}.json"
    if not path.exists():
        return {}
    try:
        return _KEPT.validate_json(bounded.read(path))
    except pydantic.ValidationError as error:
        raise InputError(f"{path}: {validation.problem_text(error.errors()[0])}; restore it") from error


def keep(point: Point, measured: Measured, folder: Path = MEASURED) -> None:
    """Store what was measured at a point."""
    benchmark = point.experiment.benchmark
    known = {**kept(benchmark, folder), point.experiment.name: measured}
    document = {name: each.model_dump() for name, each in known.items()}
    path = folder / f"{benchmark}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(path, document)


def measure(axis: Axis, point: Point, folders: Folders) -> Measured:
    """Return what a point's row says, which `understudy score` has played and scored; OSError without one."""
    experiment = point.experiment
    context = experiment.settings.get("context_moves")
    folder = folders.results / axis.benchmark / axis.budget / experiment.name
    row, scored = (json.loads((folder / name).read_text(encoding="utf-8")) for name in (records.ROW, SCORES))
    facts, settings = row["facts"], row["facts"]["training"]
    (verdict,) = (each for each in scored["verdicts"] if each["task"] == axis.task)
    gain, horizon = verdict["numbers"][GAIN], scored["horizons"][axis.task]
    trained = experiments.notes(point.source or experiment, folders).get("processor_seconds", {})
    played = experiments.notes(experiment, folders).get("processor_seconds", {})
    return Measured(
        changes=point.changes,
        identity=row["identity"],
        watched_runs=facts["watched_runs"],
        moves=settings["updates"] * settings["batch_size"] * settings["window_moves"],
        context_moves=None if context is None else int(context),
        parameters=facts["parameters"],
        answer=verdict["answer"],
        gain={name: gain[name] for name in ("estimate", "low", "high")},
        demonstrated_to=horizon["demonstrated_to"],
        refuted_from=horizon["refuted_from"],
        processor_seconds={"training": trained.get("training", 0), "playing": played.get("playing", 0)},
    )


def position(quantity: Quantity, measured: Measured) -> float:
    """Return where a point lies on the axis of a quantity."""
    return {
        "million moves": measured.moves / 1e6,
        "watched runs": float(measured.watched_runs),
        "moves of context": float(measured.context_moves or 0),
        "parameters": float(measured.parameters),
    }[quantity]


def together(axes: Sequence[Axis], known: Mapping[str, Experiment]) -> list[tuple[Axis, Point]]:
    """Return the points of axes in their order, each once."""
    found: dict[str, tuple[Axis, Point]] = {}
    for axis in axes:
        for point in points(axis, known):
            found.setdefault(f"{axis.benchmark}/{point.experiment.name}", (axis, point))
    return list(found.values())
