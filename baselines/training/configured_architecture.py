"""An architecture whose settings are checked numbers, with defaults for each kind of observation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from understudy.baselines.training import seeded_parameters
from understudy.baselines.training.encoder import observation_kind
from understudy.suite import validation
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
                dataclass whose fields `validation.bounded` made.
            small: settings of a small model, for quick tests.
        """
        self.name, self.module, self.defaults, self.small = name, module, defaults, small
        (self.settings,) = {type(each) for each in defaults.values()}

    def config(self, game: Game, **overrides: Any) -> dict[str, Any]:
        """Return all settings: the game's defaults with overrides; InputError for an unknown or unfit one."""
        default = self.defaults.get(observation_kind(game))
        given = {} if default is None else validation.stored(default)
        return validation.stored(validation.checked(self.settings, given | overrides, self.name, "setting"))

    def build(self, config: Mapping[str, Any], game: Game, seed: int = 0) -> nn.Module:
        """Return an untrained model with parameters drawn from `seed`; InputError for a bad config."""
        checked = validation.checked(self.settings, config, self.name, "setting")
        with seeded_parameters.parameters_from(seed):
            return self.module(checked, game)
