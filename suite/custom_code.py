"""Custom code: an architecture of somebody else's package, by object, package and version."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, Field

from understudy.suite import validation

OBJECT: Final = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"  # package.module:OBJECT


class CustomCode(BaseModel):
    """Code that is never fetched, only found installed."""

    model_config = validation.STRICT

    object: Annotated[str, Field(pattern=OBJECT, max_length=200)]
    package: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]  # as pip installs it
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+!_-]{0,63}$")]

    def __str__(self) -> str:
        return f"{self.object} of {self.package} {self.version}"
