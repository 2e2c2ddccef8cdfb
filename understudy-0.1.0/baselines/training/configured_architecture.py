"""An architecture whose settings are checked numbers, with defaults for each kind of observation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from understudy.baselines.training import seeded_parameters
from understudy.baselines.training.encoder import observation_kind
from understudy.suite import validation
from understudy.suite.errors import InputError
from understudy.suite.protocols import Game


class ConfiguredArchitecture:
    """An architecture (`baselines.Architecture`) of a module that is made by `module(config, game)`."""

    def __init__(
        self,
        name: str,
        module: Callable[[Any, Game], nn.Module],
        defaults: Mapping[str, Any],
        small: Mapping[str, float],
    ) -> None:
        """Take a module's class and its settings.

        Args:
            name: of the architecture: its file's, with hyphens.
            module: called with the settings and a game; it draws its parameters from torch's global
                generator.
            defaults: the settings by kind of observation, as `observation_kind` names it: objects of one
                dataclass whose fields `validation.bounded` made. A kind without any is not read: games of it
                are refused.
            small: settings of a small model, for quick tests.
        """
        self.name, self.module, self.defaults, self.small = name, module, defaults, small
        (self.settings,) = {type(each) for each in defaults.values()}

    def reads(self, game: Game) -> bool:
        """Return whether there are settings for the game's kind of observations."""
        return observation_kind(game) in self.defaults

    def config(self, game: Game, **overrides: Any) -> dict[str, Any]:
        """Return all settings: the game's defaults with overrides.

        Raises InputError for a setting that is unknown or unfit, and for a game that it does not read.
        """
        self._require_reads(game)
        given = validation.stored(self.defaults[observation_kind(game)])
        return validation.stored(validation.checked(self.settings, given | overrides, self.name, "setting"))

    def build(self, config: Mapping[str, Any], game: Game, seed: int = 0) -> nn.Module:
        """Return an untrained model with parameters drawn from `seed`; InputError as of `config`."""
        self._require_reads(game)
        checked = validation.checked(self.settings, config, self.name, "setting")
        with seeded_parameters.parameters_from(seed):
            return self.module(checked, game)

    def _require_reads(self, game: Game) -> None:
        if not self.reads(game):
            raise InputError(
                f"{self.name}: expected observations of kind {' or '.join(self.defaults)}, found kind "
                f"{observation_kind(game)} in {game.name}; choose another architecture or another benchmark"
            )
