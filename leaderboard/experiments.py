"""Experiments: how each trained entry and its rows are made, from one file, by the commands that anyone has.

`leaderboard/experiments.toml` lists them; `make results` runs what is missing. An experiment searches its
settings on watched games that are held out from the search's trainings, trains the entry, and plays its rows.
"""

from __future__ import annotations

import csv
import itertools
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import pydantic
from pydantic import BaseModel, Field

from understudy.suite import registry, validation
from understudy.suite.errors import InputError
from understudy.suite.io import checkout, files
from understudy.suite.io.file_names import CONFIG, TRAINING_LOG, WEIGHTS
from understudy.suite.reserved_names import DECLARATION

EXPERIMENTS: Final = checkout.ROOT / "leaderboard" / "experiments.toml"
# Values that are never another's.
OWN: Final = ("name", "like", "plays", "search", "tried_by_hand", "weights_of")
OPTIONS: Final = {  # of `train`, of settings that have one of their own
    "updates": "--updates",
    "seed": "--seed",
    "held_out": "--held-out",
    "patience": "--patience",
}

Numbers = dict[str, int | float]


class Play(BaseModel):
    """A row of an entry."""

    model_config = validation.STRICT

    budget: Literal["full", "tenth", "quick"]
    round: int | None = Field(default=None, ge=1)  # in which the entry was committed; None: dev
    tasks: list[str] = []  # alone; none: all of the budget
    claim: bool = False  # with the interventions that a yes needs
    lanes: int | None = Field(default=None, ge=1)


class Search(BaseModel):
    """The settings that are tried, all combinations; the lowest validation loss decides."""

    model_config = validation.STRICT

    grid: dict[str, list[int | float]] = Field(min_length=1)
    settings: Numbers  # of the search's trainings, where they differ; they hold out watched games or runs


class Experiment(BaseModel):
    """How an entry is trained, and the rows that it plays."""

    model_config = validation.STRICT

    name: str
    benchmark: str
    architecture: str
    like: str | None = None  # an experiment whose values hold where this one has none
    data: list[str] = []  # data folders beside the usual ones, from the checkout's root
    teacher_seeds: str | None = None
    mode: str | None = None
    targets: Literal["chosen", "executed"] = "chosen"
    num_seeds: int = Field(default=1, ge=1)
    settings: Numbers = {}
    search: Search | None = None
    tried_by_hand: int = Field(default=0, ge=0)  # other settings, before it was written down
    weights_of: str | None = None  # an experiment whose weights and values it has, under another decoding
    decoding: Literal["greedy", "sample"] = "greedy"
    plays: list[Play] = []


@dataclass(frozen=True)
class Folders:
    """Where entries, rows and searches are made."""

    entries: Path  # <entries>/<benchmark>/<name>
    results: Path
    searches: Path  # <searches>/<benchmark>/<name>.json: losses and choice of a search, and costs
    work: Path  # what is not kept: <work>/trials/<benchmark>/<name>/<settings>, the trainings of a search
    suffix: str = ""  # of the entries' names

    def entry(self, experiment: Experiment) -> Path:
        """Return the folder of an experiment's submission.

        That of another's weights is made again from them, in <work>/redecoded: nothing is kept twice.
        """
        folder = self.entries if experiment.weights_of is None else self.work / "redecoded"
        return folder / experiment.benchmark / f"{experiment.name}{self.suffix}"


@dataclass(frozen=True)
class Step:
    """A command of an experiment: the arguments of `understudy`."""

    what: str  # search, training or playing
    title: str
    arguments: tuple[str, ...]


def read(path: Path = EXPERIMENTS) -> dict[str, Experiment]:
    """Return the experiments of a file by `<benchmark>/<name>`; InputError for one that is malformed."""
    found: dict[str, Experiment] = {}
    raw: dict[str, dict[str, Any]] = {}
    for number, table in enumerate(tables_of(path, "experiment"), 1):
        where = f"{path}: experiment {number}"
        values = _with_inherited(table, raw, where)
        try:
            experiment = Experiment.model_validate(values)
        except pydantic.ValidationError as error:
            raise InputError(f"{where}: {validation.problem_text(error.errors()[0])}") from error
        key = f"{experiment.benchmark}/{experiment.name}"
        if key in found:
            raise InputError(f"{where}: {key} stands twice; give another name")
        if experiment.weights_of is not None:
            registry.choose(experiment.weights_of, found, f"experiment in {where}: weights_of")
        found[key], raw[key] = experiment, values
    return found


def tables_of(path: Path, name: str) -> list[dict[str, Any]]:
    """Return the tables [[name]] of a TOML file; InputError where it has none, or cannot be read."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")).get(name)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable TOML ({error})") from error
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise InputError(f"{path}: expected tables [[{name}]]; found none")
    return found


def _with_inherited(
    table: Mapping[str, Any], earlier: Mapping[str, Mapping[str, Any]], where: str
) -> dict[str, Any]:
    """Return an experiment's values with those of the one that it is `like`, or whose weights it has.

    Settings are merged by name.
    """
    key = next((key for key in ("like", "weights_of") if key in table), None)
    if key is None:
        return dict(table)
    base = earlier[registry.choose(str(table[key]), earlier, f"experiment in {where}: {key}")]
    values = {k: v for k, v in base.items() if k not in OWN} | dict(table)
    values["settings"] = {**base.get("settings", {}), **table.get("settings", {})}
    return values


def searches(experiment: Experiment, folders: Folders) -> Iterator[tuple[Numbers, Path, Step]]:
    """Yield the trainings of an experiment's search: the settings tried, the folder, the command."""
    if experiment.search is None:
        return
    names = list(experiment.search.grid)
    for values in itertools.product(*experiment.search.grid.values()):
        tried = dict(zip(names, values, strict=True))
        label = "_".join(f"{name}-{value:g}" for name, value in tried.items())
        out = folders.work / "trials" / experiment.benchmark / experiment.name / label
        settings = {**experiment.settings, **experiment.search.settings, **tried}
        name = f"search-{experiment.name}"
        yield tried, out, replace(_training(experiment, settings, out, name, num_seeds=1), what="search")


def choose(experiment: Experiment, folders: Folders) -> Numbers:
    """Return the settings of the lowest final validation loss, and store all losses beside them.

    Raises InputError if a training of the search has no validation loss.
    """
    losses = [(tried, validation_loss(out)) for tried, out, _ in searches(experiment, folders)]
    if not losses:
        return {}
    best = min(losses, key=lambda each: each[1])[0]
    found = [{**tried, "loss": loss} for tried, loss in losses]
    _note(experiment, folders, {"chosen": best, "validation_losses": found})
    return best


def chosen(experiment: Experiment, folders: Folders) -> Numbers | None:
    """Return the settings that a finished search chose; None before it is finished."""
    if experiment.search is None:
        return {}
    found: Numbers | None = notes(experiment, folders).get("chosen")
    return found


def notes(experiment: Experiment, folders: Folders) -> dict[str, Any]:
    """Return what is noted so far of an experiment: `chosen`, `validation_losses`, `processor_seconds`."""
    path = _notes_file(experiment, folders)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def add_cost(experiment: Experiment, what: str, processor_seconds: float, folders: Folders) -> None:
    """Add a command's processor time, on the machine that it ran on, to what is noted of an experiment."""
    before = notes(experiment, folders).get("processor_seconds", {})
    after = {**before, what: round(before.get(what, 0) + processor_seconds)}
    _note(experiment, folders, {"processor_seconds": after})


def _note(experiment: Experiment, folders: Folders, values: Mapping[str, Any]) -> None:
    path = _notes_file(experiment, folders)
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {**notes(experiment, folders), **values}
    files.write_atomically(path, (json.dumps(document, indent=1, sort_keys=True) + "\n").encode())


def validation_loss(submission: Path) -> float:
    """Return the last validation loss, in nats, of a finished training; InputError if there is none."""
    path = submission / TRAINING_LOG
    with path.open(newline="", encoding="utf-8") as file:
        last = list(csv.DictReader(file))[-1]["validation_loss"]
    if not last:
        raise InputError(f"{path}: no validation loss; a search holds out games or runs: held_out_games = 13")
    return float(last)


def training(experiment: Experiment, chosen: Numbers, folders: Folders) -> Step:
    """Return the command that trains an experiment's entry."""
    out = folders.entry(experiment)
    searched = 1 if experiment.search is None else len(list(searches(experiment, folders)))
    trials = searched + experiment.tried_by_hand
    step = _training(
        experiment,
        {**experiment.settings, **chosen},
        out,
        f"{experiment.name}{folders.suffix}",
        experiment.num_seeds,
    )
    return replace(step, arguments=(*step.arguments, "--search-trials", str(trials)))


def rows(experiment: Experiment, folders: Folders) -> Iterator[Step]:
    """Yield the commands that play an experiment's rows."""
    for play in experiment.plays:
        arguments = [
            "score",
            str(folders.entry(experiment)),
            *("--benchmark", experiment.benchmark, "--budget", play.budget),
            *("--out", str(folders.results), "--round", "dev" if play.round is None else str(play.round)),
            *(each for task in play.tasks for each in ("--task", task)),
            *(["--claim", "--recheck"] if play.claim else ["--isolation"]),
            *(["--num-envs", str(play.lanes)] if play.lanes else []),
        ]
        yield Step(
            "playing", f"{experiment.benchmark} {experiment.name}: playing {play.budget}", tuple(arguments)
        )


def redecode(experiment: Experiment, source: Experiment, folders: Folders) -> None:
    """Write the entry that has another's weights under another decoding; nothing if it is there."""
    out, origin = folders.entry(experiment), folders.entry(source)
    if (out / DECLARATION).exists():
        return
    declared = json.loads((origin / DECLARATION).read_text(encoding="utf-8"))
    declared |= {"name": f"{experiment.name}{folders.suffix}", "decoding": experiment.decoding}
    for checkpoint in declared["checkpoints"]:
        folder = checkpoint["folder"]
        (out / folder).mkdir(parents=True, exist_ok=True)
        for name in (CONFIG, WEIGHTS):
            files.write_atomically(out / folder / name, (origin / folder / name).read_bytes())
    files.write_atomically(
        out / DECLARATION, (json.dumps(declared, indent=1, sort_keys=True) + "\n").encode()
    )


def _notes_file(experiment: Experiment, folders: Folders) -> Path:
    return folders.searches / experiment.benchmark / f"{experiment.name}.json"


def _training(experiment: Experiment, settings: Numbers, out: Path, name: str, num_seeds: int) -> Step:
    arguments = ["train", experiment.architecture, "--benchmark", experiment.benchmark, "--out", str(out)]
    arguments += ["--name", name, "--decoding", experiment.decoding, "--targets", experiment.targets]
    arguments += ["--num-seeds", str(num_seeds)]
    for option, value in (("--teacher-seeds", experiment.teacher_seeds), ("--mode", experiment.mode)):
        arguments += [option, value] if value is not None else []
    for setting, number in settings.items():
        known = OPTIONS.get(setting)
        arguments += [known, str(number)] if known else ["--set", f"{setting}={number}"]
    return Step("training", f"{experiment.benchmark} {name}: training", tuple(arguments))
