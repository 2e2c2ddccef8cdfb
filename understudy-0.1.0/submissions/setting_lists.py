"""Lists the settings of training and of an architecture, with their defaults and meanings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from understudy.baselines import Architecture
from understudy.baselines.training import settings
from understudy.baselines.training.settings import Setting, TrainingSettings
from understudy.submissions import architectures
from understudy.suite import games
from understudy.suite.benchmarks import Benchmark
from understudy.suite.protocols import Game


def of_training() -> list[Setting]:
    """Return the settings of the training loop."""
    return settings.listed(TrainingSettings, vars(TrainingSettings()))


def names_of(architecture: Architecture, game: Game) -> set[str]:
    """Return the names of an architecture's settings, also of those left out at their default."""
    kind = getattr(architecture, "settings", None)
    declared = {field.name for field in fields(kind)} if kind is not None else set()
    return declared | set(architecture.config(game))


def of_architecture(name: str, benchmarks: Sequence[Benchmark]) -> list[Setting]:
    """Return an architecture's settings; defaults that depend on the benchmark's family stand side by side.

    Families that it does not read are left out. Bounds and meanings are those of the dataclass `settings` of
    the architecture, if it has one.
    Raises InputError for an unknown architecture, and for one that reads none of the families.
    """
    architecture = architectures.find(name).architecture
    watched = {each.family: games.load(each.watched_games[0]) for each in benchmarks}
    reads = getattr(architecture, "reads", lambda game: True)
    readable = {family: game for family, game in watched.items() if reads(game)} or watched
    configs = {family: architecture.config(game) for family, game in readable.items()}
    kind = getattr(architecture, "settings", None)
    declared = {field.name: field.default for field in fields(kind)} if kind is not None else {}
    defaults = {}
    for setting in {**next(iter(configs.values())), **declared}:
        values = {family: config.get(setting, declared.get(setting)) for family, config in configs.items()}
        alike = len(set(values.values())) == 1
        named = ", ".join(f"{family} {value}" for family, value in values.items())
        defaults[setting] = str(next(iter(values.values()))) if alike else named
    if kind is None:
        return [Setting(setting, default, "", "") for setting, default in defaults.items()]
    return settings.listed(kind, defaults)
