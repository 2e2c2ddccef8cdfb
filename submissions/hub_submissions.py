"""Submissions on the Hub: `hf://user/repo@<commit hash>` stands for the folder that the Hub's client caches.

Only the files of a submission are fetched, none above the format's limits, each checked by its hash in that
commit. What is in the cache needs no network.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from understudy.submissions import submission_format
from understudy.submissions.submission_format import MAX_DECLARATION_BYTES, Declaration
from understudy.suite import escaping
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.hub import client, locations
from understudy.suite.hub.locations import Location
from understudy.suite.reserved_names import DECLARATION

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def fetched(name_or_path: str) -> Path | None:
    """Return the cached folder of a submission on the Hub, downloaded if need be; None for other names.

    Raises:
        InputError: the location is malformed, not pinned (the message has the commit hash), a dataset, or
            can't be read; a file that is declared is missing, too large, or has other bytes than the commit.
        MachineError: the Hub is needed and can't be reached, or HF_HUB_OFFLINE is set.
    """
    if not locations.names_hub(name_or_path):
        return None
    location = _location(name_or_path)
    try:
        folder = _fetch(location, {DECLARATION: MAX_DECLARATION_BYTES})
        declared = submission_format.parsed(Declaration, folder / DECLARATION, MAX_DECLARATION_BYTES, folder)
        return _fetch(location, submission_format.files_of(declared))
    except CheckFailed as error:
        raise InputError(str(error)) from error


def pinned_name(name_or_path: str) -> str | None:
    """Return the pinned name of a submission on the Hub; None for other names. Raises as `fetched`."""
    return str(_location(name_or_path)) if locations.names_hub(name_or_path) else None


def named(
    function: Callable[Concatenate[str, Parameters], Result],
) -> Callable[Concatenate[str, Parameters], Result]:
    """Return a function of a submission's name whose errors say `hf://...` in place of the cache's path."""

    @functools.wraps(function)
    def naming(name_or_path: str, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return function(name_or_path, *args, **kwargs)
        except InputError as error:
            if not locations.names_hub(name_or_path):
                raise
            raise InputError(_renamed(str(error), name_or_path)) from error

    return naming


def _location(text: str) -> Location:
    """Return the pinned location of a submission."""
    location = locations.parse(text)
    if location.repo_type != "model":
        raise InputError(
            f"{text}: expected a submission, {locations.SCHEME}user/repo@<commit hash>; found a "
            f"{location.repo_type}, which holds runs"
        )
    return client.pinned(text)


def _fetch(location: Location, limits: dict[str, int]) -> Path:
    return client.fetch_files(location, limits, lambda line: print(escaping.terminal(line), file=sys.stderr))


def _renamed(message: str, name: str) -> str:
    """Return a message in which the Hub's name stands in place of the cached folder, or before it all."""
    if name in message:
        return message
    renamed = message.replace(str(client.snapshot(locations.parse(name))), name)
    return renamed if name in renamed else f"{name}: {renamed}"
