"""Failures of the Hub: turn each error of its client into one line, and retry when the Hub is overloaded."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from understudy.suite.errors import InputError, MachineError
from understudy.suite.hub.locations import Location

Result = TypeVar("Result")

WAITS_SECONDS: Final = (1.0, 3.0)  # before the second and the third attempt
OVERLOADED: Final = frozenset({429, 500, 502, 503, 504})
LOG_IN: Final = "log in with `hf auth login`, or set HF_TOKEN"


def ask(location: Location, call: Callable[[], Result]) -> Result:
    """Return the result of a call of the Hub's client, retried while the Hub is overloaded.

    Raises:
        InputError: the location doesn't exist, or the call isn't allowed; says what to do.
        MachineError: the Hub or the network failed.
    """
    import huggingface_hub.errors as raised

    # The base class of the transport's errors, from httpx or httpx2, depending on the client's version.
    transport: type[Exception] = raised.HfHubHTTPError.__mro__[1]
    for wait in (*WAITS_SECONDS, None):
        try:
            with _silent():
                return call()
        except (OSError, ValueError, transport) as error:
            if wait is None or status(error) not in OVERLOADED:
                known = advice(error, location)
                if known is None:
                    raise
                raise known from error
            time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def advice(error: Exception, location: Location) -> InputError | MachineError | None:
    """Return the error to raise instead of one of the Hub's client; None for an error of the disk."""
    import huggingface_hub.errors as raised

    if isinstance(error, raised.OfflineModeIsEnabled):
        return MachineError(f"{location}: the Hub is needed, but HF_HUB_OFFLINE is set; unset it")
    if isinstance(error, raised.LocalEntryNotFoundError):
        cause = error.__cause__
        if isinstance(cause, Exception) and (known := advice(cause, location)):
            return known
        return MachineError(
            f"{location}: not in the cache, and the Hub can't be reached; connect and try again"
        )
    if isinstance(error, raised.GatedRepoError):
        return InputError(f"{location}: gated by its owner; accept the terms on its page, then {LOG_IN}")
    if isinstance(error, raised.RepositoryNotFoundError):
        kind = location.repo_type
        return InputError(
            f"{location}: no such {kind} on the Hub, or a private one; check the name, or {LOG_IN}"
        )
    if isinstance(error, raised.RevisionNotFoundError):
        return InputError(
            f"{location}: {location.repo} has no revision {location.revision or 'main'}; its page lists its "
            "commits and tags"
        )
    if isinstance(error, raised.RemoteEntryNotFoundError):
        return InputError(
            f"{location}: a file of this revision is missing on the Hub; ask its owner to publish it again"
        )
    if isinstance(error, raised.HfHubHTTPError):
        return _by_status(error, location)
    if isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
        return None
    if isinstance(error, ValueError):
        return MachineError(  # without the error's text, which may contain the token
            f"{location}: {_endpoint()} doesn't answer like a Hub ({type(error).__name__}); check "
            "HF_ENDPOINT and HF_TOKEN, and that no login page of the network answers instead"
        )
    return MachineError(
        f"{location}: the Hub at {_endpoint()} can't be reached ({type(error).__name__}: {error}); check the "
        "network, and HF_ENDPOINT if it is set"
    )


def status(error: BaseException | None) -> int | None:
    """Return the HTTP status behind an error of the Hub's client, if there is one."""
    while error is not None:
        response = getattr(error, "response", None)
        if response is not None:
            return int(response.status_code)
        error = error.__cause__
    return None


def _by_status(error: Any, location: Location) -> InputError | MachineError:
    code = status(error)
    reason = error.server_message or "no reason given"
    if code == 401:
        return InputError(f"{location}: the Hub refused the token (401: {reason}); {LOG_IN}")
    if code == 403:
        return InputError(
            f"{location}: the token doesn't permit this (403: {reason}); use one with write access"
        )
    if code == 409:
        return InputError(f"{location}: the Hub reports a conflict (409: {reason}); choose another name")
    if code in OVERLOADED:
        return MachineError(
            f"{location}: the Hub is overloaded or broken (HTTP {code}: {reason}); try again later"
        )
    return MachineError(
        f"{location}: the Hub answered HTTP {code} ({reason}); try again, or update huggingface-hub"
    )


def _endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT


@contextmanager
def _silent() -> Iterator[None]:
    """Suppress the client's log lines, which repeat the raised error, and its bars without a terminal."""
    from logging import CRITICAL

    from huggingface_hub import constants
    from huggingface_hub.utils import logging
    from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

    bars_off = not sys.stderr.isatty() and constants.HF_HUB_DISABLE_PROGRESS_BARS is None
    before = logging.get_verbosity()
    logging.set_verbosity(CRITICAL)
    if bars_off:
        disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars_off:
            enable_progress_bars()
