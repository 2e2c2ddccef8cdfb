"""An architecture made of a module's class and the defaults of its settings, for models of one's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from understudy.baselines.training import seeded_parameters
from understudy.suite import custom_code, registry
from understudy.suite.errors import InputError
from understudy.suite.protocols import Game


class ModuleArchitecture:
    """An architecture (`baselines.Architecture`) of a module that is made by `module(game, **settings)`."""

    def __init__(self, name: str, module: Callable[..., nn.Module], **defaults: float) -> None:
        """Take a module's class and the defaults of its settings.

        Args:
            name: of the architecture: small letters, digits, '.', '_' and '-'.
            module: called with a game and all settings by name; it draws its parameters from torch's global
                generator, as modules do, which is seeded for it and restored afterwards.
            defaults: of every setting, numbers. One that is an int takes whole numbers only.
        """
        self.name, self.module, self.defaults = name, module, defaults

    def config(self, game: Game, **overrides: Any) -> dict[str, Any]:
        """Return all settings: the defaults with overrides; InputError for an unknown or unfit one."""
        for name, value in overrides.items():
            registry.choose(name, self.defaults, f"setting of {self.name}")
            whole = isinstance(self.defaults[name], int)
            if type(value) not in ((int,) if whole else (int, float)) or not math.isfinite(value):
                kind = "whole" if whole else "finite"
                raise InputError(f"{self.name}: {name}: expected a {kind} number; found {value!r}")
        return {**self.defaults, **overrides}

    def build(self, config: Mapping[str, Any], game: Game, seed: int = 0) -> nn.Module:
        """Return an untrained module with parameters drawn from `seed`; InputError for a bad config."""
        settings = self.config(game, **config)
        missing = sorted(self.defaults.keys() - config.keys())
        if missing:
            raise InputError(f"{self.name}: expected the setting {missing[0]!r}, found none")
        given = ", ".join(f"{name}={value}" for name, value in settings.items())
        with custom_code.calling(f"{self.name}({given})"), seeded_parameters.parameters_from(seed):
            return self.module(game, **settings)
