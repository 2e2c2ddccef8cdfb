"""Understudy: can an imitator of a learner keep learning? A benchmark suite and leaderboard."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from understudy.baselines.training.module_architecture import ModuleArchitecture
    from understudy.evaluation import Result, evaluate
    from understudy.stored_results import load_results
    from understudy.suite.errors import InputError
    from understudy.suite.protocols import Imitator, Timestep
    from understudy.suite.testing.imitator_checks import check_imitator
    from understudy.watched_histories import load_histories

__version__ = "0.1.0"
__all__ = [
    "Imitator",
    "InputError",
    "ModuleArchitecture",
    "Result",
    "Timestep",
    "check_imitator",
    "evaluate",
    "load_histories",
    "load_results",
]

# Where each name is; nothing is imported before it is used.
_PLACES: Final = {
    "Imitator": "suite.protocols",
    "InputError": "suite.errors",
    "ModuleArchitecture": "baselines.training.module_architecture",
    "Result": "evaluation",
    "Timestep": "suite.protocols",
    "check_imitator": "suite.testing.imitator_checks",
    "evaluate": "evaluation",
    "load_histories": "watched_histories",
    "load_results": "stored_results",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
