"""Outcomes of cases: accepted, refused in one clear line, or a fault of the reader."""

from __future__ import annotations

import contextlib
import io
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from understudy.suite import escaping
from understudy.suite.errors import CheckFailed, InputError

ACCEPTED, REFUSED, FAULT = "accepted", "refused", "fault"
MOST_CHARACTERS = 1_200  # of one clear line
OUT_OF_MEMORY = ("ArrowMemoryError", "malloc of size", "Unable to allocate", "not enough memory")
EXIT_CODES = {0: ACCEPTED, 1: REFUSED, 2: REFUSED}


class HangError(BaseException):
    """A case took too long; no `except Exception` of the code under test may catch it."""


@dataclass(frozen=True)
class Outcome:
    """What a reader did with a mutated file."""

    kind: str
    text: str = ""  # the refusal's line, or the fault with its traceback


def of_call(call: Callable[[Path], object], folder: Path) -> Outcome:
    """Return the outcome of a reader that raises InputError or CheckFailed for what it refuses."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            call(folder)
    except (InputError, CheckFailed) as refusal:
        problem = unclear(str(refusal))
        return (
            Outcome(FAULT, f"{problem}: {str(refusal)!r:.3000}")
            if problem
            else Outcome(REFUSED, str(refusal))
        )
    except HangError:
        return Outcome(FAULT, f"a hang\n{traceback.format_exc()}")
    except BaseException as error:
        return Outcome(FAULT, f"{type(error).__name__}: {error!s:.300}\n{traceback.format_exc()[-3000:]}")
    return Outcome(ACCEPTED)


def of_command(run: Callable[[Path], int], folder: Path) -> Outcome:
    """Return the outcome of a command of the command line, which returns its exit code."""
    screen, errors = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(errors):
            code = run(folder)
    except HangError:
        return Outcome(FAULT, f"a hang\n{traceback.format_exc()}")
    except BaseException:
        return Outcome(FAULT, traceback.format_exc()[-3000:])
    lines = errors.getvalue().splitlines()
    if code not in EXIT_CODES:
        return Outcome(FAULT, f"exit code {code}: {lines[-1:]}")
    if "Traceback" in screen.getvalue() + errors.getvalue():
        return Outcome(FAULT, f"a traceback is shown: {errors.getvalue()[-3000:]}")
    if code == 0:
        return Outcome(ACCEPTED)
    if not lines or not lines[-1].startswith("understudy: "):
        return Outcome(FAULT, f"expected an error in the last line, found {lines[-3:]}")
    problem = unclear(lines[-1])
    return Outcome(FAULT, f"{problem}: {lines[-1]!r:.3000}") if problem else Outcome(REFUSED, lines[-1])


def unclear(text: str) -> str | None:
    """Return why a message is not one clear line, as the command line shows it, or None."""
    line = escaping.terminal(" ".join(text.split()))
    if not line:
        return "an empty message"
    if len(line) > MOST_CHARACTERS:
        return f"a message of {len(line):,} characters"
    if not line.isprintable():
        return "characters that a terminal interprets"
    if any(words in text for words in OUT_OF_MEMORY):
        return "memory ran out"
    return None


def write_to_terminal(outcome: Outcome) -> None:
    """Show an outcome."""
    print(f"{outcome.kind}: {outcome.text}", file=sys.stderr if outcome.kind == FAULT else sys.stdout)
