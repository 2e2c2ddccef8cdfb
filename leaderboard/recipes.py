"""Recipes: how each trained entry and its rows are made, from one file, by the commands that anyone has.

`leaderboard/recipes.toml` lists them; `make results` runs what is missing. A recipe searches its settings on
watched games that are held out from the search's trainings, trains the entry, and plays its rows.
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
from understudy.suite.io.file_names import TRAINING_LOG
from understudy.suite.reserved_names import DECLARATION

RECIPES: Final = checkout.ROOT / "leaderboard" / "recipes.toml"
OWN: Final = ("name", "like", "plays", "search", "search_of", "weights_of", "axes")  # never of another recipe
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
    round: int = Field(ge=1)  # in which the entry's identity was committed
    claim: bool = False  # with the interventions that a yes needs
    lanes: int | None = Field(default=None, ge=1)


class Search(BaseModel):
    """The settings that are tried, all combinations; the lowest validation loss decides."""

    model_config = validation.STRICT

    grid: dict[str, list[int | float]] = Field(min_length=1)
    settings: Numbers  # of the search's trainings, where they differ; they hold out watched games or runs


class Recipe(BaseModel):
    """How an entry is trained, and the rows that it plays."""

    model_config = validation.STRICT

    name: str
    benchmark: str
    architecture: str
    like: str | None = None  # a recipe whose values hold where this one has none
    data: list[str] = []  # data folders beside the usual ones, from the checkout's root
    teacher_seeds: str | None = None
    mode: str | None = None
    targets: Literal["chosen", "executed"] = "chosen"
    num_seeds: int = Field(default=1, ge=1)
    settings: Numbers = {}
    search: Search | None = None
    search_of: str | None = None  # a recipe whose chosen settings it has
    weights_of: str | None = None  # a recipe whose weights it has, under another decoding
    decoding: Literal["greedy", "sample"] = "greedy"
    plays: list[Play] = []
    is_packaged: bool = True  # the entry comes with the package; of others only rows are stored
    axes: list[str] = []  # on which its rows are points: the names of `leaderboard/axes.py`


@dataclass(frozen=True)
class Folders:
    """Where entries, rows and searches are made."""

    entries: Path  # <entries>/<benchmark>/<name>
    others: Path  # the same, of entries that do not come with the package
    results: Path
    searches: (
        Path  # <searches>/<benchmark>/<name>.json: the losses of a search, what was chosen, what all cost
    )
    trials: Path  # <trials>/<benchmark>/<name>/<settings>: the trainings of a search
    suffix: str = ""  # of the entries' names

    def entry(self, recipe: Recipe) -> Path:
        """Return the folder of a recipe's submission."""
        within = self.entries if recipe.is_packaged else self.others
        return within / recipe.benchmark / f"{recipe.name}{self.suffix}"


@dataclass(frozen=True)
class Step:
    """A command of a recipe: the arguments of `understudy`."""

    what: str  # search, training or playing
    title: str
    arguments: tuple[str, ...]


def read(path: Path = RECIPES) -> dict[str, Recipe]:
    """Return the recipes of a file by `<benchmark>/<name>`; InputError for one that is malformed."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("recipe", [])
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: not readable TOML ({error})") from error
    found: dict[str, Recipe] = {}
    raw: dict[str, dict[str, Any]] = {}
    for number, table in enumerate(tables, 1):
        where = f"{path}: recipe {number}"
        values = _with_inherited(table, raw, where)
        try:
            recipe = Recipe.model_validate(values)
        except pydantic.ValidationError as error:
            raise InputError(f"{where}: {validation.problem_text(error.errors()[0])}") from error
        key = f"{recipe.benchmark}/{recipe.name}"
        if key in found:
            raise InputError(f"{where}: {key} stands twice; give another name")
        for source in filter(None, (recipe.weights_of, recipe.search_of)):
            registry.choose(source, found, f"recipe in {where}: weights_of or search_of")
        found[key], raw[key] = recipe, values
    return found


def _with_inherited(
    table: Mapping[str, Any], earlier: Mapping[str, Mapping[str, Any]], where: str
) -> dict[str, Any]:
    """Return a recipe's values with those of the recipe that it is `like`; settings are merged by name."""
    if "like" not in table:
        return dict(table)
    base = earlier[registry.choose(table["like"], earlier, f"recipe in {where}: like")]
    values = {k: v for k, v in base.items() if k not in OWN} | dict(table)
    values["settings"] = {**base.get("settings", {}), **table.get("settings", {})}
    return values


def searches(recipe: Recipe, folders: Folders) -> Iterator[tuple[Numbers, Path, Step]]:
    """Yield the trainings of a recipe's search: the settings tried, the folder, the command."""
    if recipe.search is None:
        return
    names = list(recipe.search.grid)
    for values in itertools.product(*recipe.search.grid.values()):
        tried = dict(zip(names, values, strict=True))
        label = "_".join(f"{name}-{value:g}" for name, value in tried.items())
        out = folders.trials / recipe.benchmark / recipe.name / label
        settings = {**recipe.settings, **recipe.search.settings, **tried}
        name = f"search-{recipe.name}"
        yield tried, out, replace(_training(recipe, settings, out, name, num_seeds=1), what="search")


def choose(recipe: Recipe, folders: Folders) -> Numbers:
    """Return the settings of the lowest final validation loss, and store all losses beside them.

    Raises InputError if a training of the search has no validation loss.
    """
    losses = [(tried, validation_loss(out)) for tried, out, _ in searches(recipe, folders)]
    if not losses:
        return {}
    best = min(losses, key=lambda each: each[1])[0]
    found = [{**tried, "loss": loss} for tried, loss in losses]
    _note(recipe, folders, {"chosen": best, "validation_losses": found})
    return best


def chosen(recipe: Recipe, folders: Folders) -> Numbers | None:
    """Return the settings that a finished search chose; None before it is finished."""
    if recipe.search is None:
        return {}
    found: Numbers | None = notes(recipe, folders).get("chosen")
    return found


def notes(recipe: Recipe, folders: Folders) -> dict[str, Any]:
    """Return what is noted of a recipe: `chosen`, `validation_losses`, `processor_seconds`; maybe nothing."""
    path = _notes_file(recipe, folders)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def add_cost(recipe: Recipe, what: str, processor_seconds: float, folders: Folders) -> None:
    """Add a command's processor time, on the machine that it ran on, to what is noted of a recipe."""
    before = notes(recipe, folders).get("processor_seconds", {})
    after = {**before, what: round(before.get(what, 0) + processor_seconds)}
    _note(recipe, folders, {"processor_seconds": after})


def _note(recipe: Recipe, folders: Folders, values: Mapping[str, Any]) -> None:
    path = _notes_file(recipe, folders)
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {**notes(recipe, folders), **values}
    files.write_atomically(path, (json.dumps(document, indent=1, sort_keys=True) + "\n").encode())


def validation_loss(submission: Path) -> float:
    """Return the last validation loss, in nats, of a finished training; InputError if there is none."""
    path = submission / TRAINING_LOG
    with path.open(newline="") as file:
        last = list(csv.DictReader(file))[-1]["validation_loss"]
    if not last:
        raise InputError(f"{path}: no validation loss; a search holds out games or runs: held_out_games = 13")
    return float(last)


def training(recipe: Recipe, chosen: Numbers, folders: Folders) -> Step:
    """Return the command that trains a recipe's entry."""
    out = folders.entry(recipe)
    trials = 1 if recipe.search is None else len(list(searches(recipe, folders)))
    step = _training(
        recipe, {**recipe.settings, **chosen}, out, f"{recipe.name}{folders.suffix}", recipe.num_seeds
    )
    return replace(step, arguments=(*step.arguments, "--search-trials", str(trials)))


def rows(recipe: Recipe, folders: Folders) -> Iterator[Step]:
    """Yield the commands that play a recipe's rows."""
    for play in recipe.plays:
        arguments = [
            "score",
            str(folders.entry(recipe)),
            *("--benchmark", recipe.benchmark, "--budget", play.budget),
            *("--out", str(folders.results), "--round", str(play.round)),
            *(["--claim", "--recheck"] if play.claim else ["--isolation"]),
            *(["--num-envs", str(play.lanes)] if play.lanes else []),
        ]
        yield Step("playing", f"{recipe.benchmark} {recipe.name}: playing {play.budget}", tuple(arguments))


def redecode(recipe: Recipe, source: Recipe, folders: Folders) -> None:
    """Write the entry that has another's weights under another decoding; nothing if it is there."""
    out, origin = folders.entry(recipe), folders.entry(source)
    if (out / DECLARATION).exists():
        return
    declared = json.loads((origin / DECLARATION).read_text(encoding="utf-8"))
    declared |= {"name": f"{recipe.name}{folders.suffix}", "decoding": recipe.decoding}
    for checkpoint in declared["checkpoints"]:
        for path in sorted((origin / checkpoint["folder"]).iterdir()):
            target = out / checkpoint["folder"] / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            files.write_atomically(target, path.read_bytes())
    files.write_atomically(
        out / DECLARATION, (json.dumps(declared, indent=1, sort_keys=True) + "\n").encode()
    )


def _notes_file(recipe: Recipe, folders: Folders) -> Path:
    return folders.searches / recipe.benchmark / f"{recipe.name}.json"


def _training(recipe: Recipe, settings: Numbers, out: Path, name: str, num_seeds: int) -> Step:
    arguments = ["train", recipe.architecture, "--benchmark", recipe.benchmark, "--out", str(out)]
    arguments += ["--name", name, "--decoding", recipe.decoding, "--targets", recipe.targets]
    arguments += ["--num-seeds", str(num_seeds)]
    for option, value in (("--teacher-seeds", recipe.teacher_seeds), ("--mode", recipe.mode)):
        arguments += [option, value] if value is not None else []
    for setting, number in settings.items():
        known = OPTIONS.get(setting)
        arguments += [known, str(number)] if known else ["--set", f"{setting}={number}"]
    return Step("training", f"{recipe.benchmark} {name}: training", tuple(arguments))
