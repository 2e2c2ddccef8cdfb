"""The command line: finds the commands, runs one, and turns every error into one line and an exit code."""

from __future__ import annotations

import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import typer.main

import understudy
from understudy.suite import interrupts, registry
from understudy.suite.errors import CheckFailed, InputError, MachineError

DONE: Final = 0  # also: already finished
CHECK_FAILED: Final = 1
BAD_INPUT: Final = 2
MACHINE_FAILED: Final = 3
OUR_BUG: Final = 70
INTERRUPTED: Final = 130

HELP_ORDER: Final = (  # a command that isn't listed comes last, by name
    "demo",
    "benchmarks",
    "rulers",
    "teach",
    "histories",
    "train",
    "check",
    "score",
    "rescore",
    "verify",
    "instrument",
    "leaks",
    "board",
)

# UsageError has no public name in typer, only this child of it.
USAGE_ERROR: Final[Any] = typer.BadParameter.__mro__[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: what follows the program's name; those of the process if None.

    Returns:
        The exit code: 0 done, 1 the thing checked does not hold, 2 bad usage or input, 3 the machine failed,
        70 our bug, 130 interrupted. For each but 0 one line is written to standard error.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        interrupts.end_as_on_ctrl_c()
    try:
        _run(given)
        sys.stdout.flush()  # here, so that a full disk behind a pipe or file is reported as one
    except typer.Exit as stopped:
        return int(stopped.exit_code)
    except BrokenPipeError:
        return _reader_left()
    except KeyboardInterrupt as interrupt:
        anew = [each for each in given if each != "--restart"]  # or what was played till now would be lost
        again = f"to go on: {shlex.join(['understudy', *anew])}"
        return _say(str(interrupt) or f"interrupted; {again}", INTERRUPTED)
    except InputError as error:
        return _say(str(error), BAD_INPUT)
    except CheckFailed as error:
        return _say(str(error), CHECK_FAILED)
    except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        wrong = "a folder" if isinstance(error, IsADirectoryError) else "a file"
        return _say(f"{error.filename}: is {wrong}, or lies below one; name another place", BAD_INPUT)
    except (MachineError, OSError, MemoryError) as error:
        return _say(str(error) or type(error).__name__, MACHINE_FAILED)
    except Exception as error:
        if isinstance(error, USAGE_ERROR):
            return _answer_usage(error)
        return _say(_bug_line(error, given), OUR_BUG)
    return DONE


def commands() -> tuple[str, ...]:
    """Return the commands' names in the order in which help shows them; imports none of them."""
    known = registry.names(Path(__file__).parent / "commands")
    return tuple(sorted(known, key=lambda name: (_position(name), name)))


def _position(name: str) -> int:
    return HELP_ORDER.index(name) if name in HELP_ORDER else len(HELP_ORDER)


def _run(given: list[str]) -> None:
    """Parse and run outside of typer's own main, which would answer errors in its own way."""
    known = commands()
    needed = given[:1] if given[:1] and given[0] in known else known  # one file is enough to run one command
    command = typer.main.get_command(_application(needed))
    with command.make_context("understudy", given or ["--help"]) as context:
        command.invoke(context)


def _application(names: Sequence[str]) -> typer.Typer:
    """Return the application of these commands; plain help, for rich doubles the start-up time."""
    application = typer.Typer(
        add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}
    )
    application.callback()(_front_door)
    for name in names:
        application.add_typer(registry.load("understudy.commands", name, "COMMAND"))
    return application


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"understudy {understudy.__version__}")
        raise typer.Exit


def _front_door(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and leave.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Can an imitator of a learner keep learning? Skill, improvement and transfer, measured."""


def _say(message: str, code: int) -> int:
    """Write one line to standard error and return the code."""
    print(f"understudy: {' '.join(message.split())}", file=sys.stderr)
    return code


def _answer_usage(error: Any) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":  # a group of commands, named alone: as the bare program
        typer.echo(error.ctx.get_help())
        return DONE
    path = error.ctx.command_path if error.ctx is not None else "understudy"
    message = error.format_message().strip()
    stop = "" if message.endswith((".", "?", ")")) else "."
    return _say(f"{message}{stop} See: {path} --help", BAD_INPUT)


def _bug_line(error: Exception, given: list[str]) -> str:
    """Keep the traceback in a file and return the line that names it."""
    what = f"{type(error).__name__}: {error}"
    command = shlex.join(["understudy", *given])
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="understudy-", suffix=".traceback.txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(f"understudy {understudy.__version__}, Python {sys.version}\n{command}\n\n")
            traceback.print_exception(error, file=file)
    except OSError as unwritable:
        traceback.print_exception(error)  # better on the screen than lost
        return f"a bug of ours ({what}); its traceback could not be kept in a file ({unwritable})"
    return f"a bug of ours ({what}); please report it with {file.name}"


def _reader_left() -> int:
    """Answer a closed pipe, as in `understudy board | head`, without a line: nobody reads it."""
    sys.stdout = None  # else the interpreter flushes into the closed pipe at exit
    return MACHINE_FAILED
