"""Arguments: every path that a user gives to a command is expanded and checked by one of these parsers.

As in `Annotated[Path, typer.Option(parser=arguments.folder, help=...)]`. Help shows a parser's name as the
kind of value.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import typer

from understudy.suite.errors import InputError
from understudy.suite.io import paths

Value = TypeVar("Value")


def folder(text: str | Path) -> Path:
    """Return the path of a folder, which need not exist."""
    return _parsed(paths.folder, text)


def file(text: str | Path) -> Path:
    """Return the path of a file, which need not exist."""
    return _parsed(paths.file, text)


def path(text: str | Path) -> Path:
    """Return the path of a file or folder, which need not exist."""
    return _parsed(paths.place, text)


def text(text: str) -> str:
    """Return a text that is a path or a name: of an entry, a control, a dataset or submission on the Hub."""
    return _parsed(paths.from_user, text)


def numbers(settings: Sequence[str]) -> dict[str, float]:
    """Return the settings of texts KEY=NUMBER; InputError for another form."""
    found: dict[str, float] = {}
    for each in settings:
        key, _, value = each.partition("=")
        try:
            found[key] = int(value) if value.lstrip("-").isdecimal() else float(value)
        except ValueError as error:
            raise InputError(
                f"--set: expected KEY=NUMBER, e.g. layers=2; found {each!r}; what is no number has an "
                "option of its own: --help"
            ) from error
    return found


def seeds(given: str, option: str) -> range:
    """Return the seeds FIRST, FIRST + 1, ..., END - 1 of a text FIRST:END; InputError for another form."""
    first, colon, end = given.partition(":")
    if not (colon and first.isdecimal() and end.isdecimal() and int(first) < int(end) <= 100_000):
        raise InputError(f"{option}: expected FIRST:END with FIRST < END, e.g. 0:4; found {given!r}")
    return range(int(first), int(end))


PARSERS = (folder, file, path, text)


def _parsed(check: Callable[[str], Value], given: str | Path) -> Value:
    """Return the value; a message then begins with the name of the option."""
    try:
        return check(os.fspath(given))
    except InputError as error:
        raise typer.BadParameter(str(error)) from error
