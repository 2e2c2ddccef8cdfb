"""Checked settings: a frozen dataclass of bounded numbers, read from keywords or from a stranger's JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from understudy.suite import registry
from understudy.suite.errors import InputError

Settings = TypeVar("Settings")


def bounded(least: float, most: float, default: Any = dataclasses.MISSING) -> Any:
    """Return a dataclass field for a number in [least, most]."""
    return dataclasses.field(default=default, metadata={"least": least, "most": most})


def checked(kind: type[Settings], values: Mapping[str, Any], owner: str) -> Settings:
    """Return `kind(**values)`; InputError for settings of `owner` that are unknown, missing or unfit.

    The fields of `kind` are annotated `int` or `float` and made by `bounded`.
    """
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(kind)  # type: ignore[arg-type]
    known = {field.name: field for field in fields}
    for name in values:
        registry.choose(name, known, f"setting of {owner}")
    for name, field in known.items():
        if name in values:
            _check_number(values[name], field, owner)
        elif field.default is dataclasses.MISSING:
            raise InputError(
                f"{owner}: the setting {name!r} is missing; make the config with {owner}'s defaults"
            )
    return kind(**values)


def _check_number(value: Any, field: dataclasses.Field[Any], owner: str) -> None:
    wanted = int if field.type == "int" else (int, float)
    least, most = field.metadata["least"], field.metadata["most"]
    if isinstance(value, bool) or not isinstance(value, wanted) or not least <= value <= most:
        kind = "a whole number" if field.type == "int" else "a number"
        raise InputError(f"{owner}: {field.name} must be {kind} in [{least}, {most}]; found {value!r}")
