"""Custom code: an architecture of somebody else's package, and errors that such code raises."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, Field

from understudy.suite import validation
from understudy.suite.errors import CheckFailed, InputError, MachineError

PACKAGE: Final = Path(__file__).resolve().parent.parent  # of this package, or the checkout
OURS: Final = ("suite", "baselines", "submissions", "leaderboard", "understudy", "evaluation.py")
OBJECT: Final = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"  # package.module:OBJECT


class CustomCode(BaseModel):
    """Code that is never fetched, only found installed."""

    model_config = validation.STRICT

    object: Annotated[str, Field(pattern=OBJECT, max_length=200)]
    package: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]  # as pip installs it
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+!_-]{0,63}$")]

    def __str__(self) -> str:
        return f"{self.object} of {self.package} {self.version}"


@contextmanager
def calling(what: str) -> Iterator[None]:
    """Raise whatever a stranger's code raises in the block as InputError: what failed, where, and why.

    Errors of this package, of files and of memory pass as they are.
    """
    try:
        yield
    except (InputError, CheckFailed, MachineError, OSError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{what} fails{place_of(error)}: {type(error).__name__}: {first_line(error)}; mend it there"
        ) from error


def place_of(error: BaseException) -> str:
    """Return the newest place of an error that is neither in torch nor in this package, in brackets."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "torch" not in Path(frame.filename).parts and not _is_ours(Path(frame.filename))
    ]
    if not frames:
        return ""
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno}: {frames[-1].line})"


def first_line(error: BaseException) -> str:
    """Return the first sentence of an error's message, or its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].partition(". ")[0]


def _is_ours(file: Path) -> bool:
    """Return whether a file is of this package, in a checkout or installed."""
    return file.is_relative_to(PACKAGE) and file.relative_to(PACKAGE).parts[0] in OURS
