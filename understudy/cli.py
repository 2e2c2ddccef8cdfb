"""The command line: finds the commands, runs one, and reports an error as one line and an exit code."""

from __future__ import annotations

import select
import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer
import typer.main

import understudy
from understudy import screen
from understudy.suite import escaping, registry
from understudy.suite.errors import CheckFailed, InputError, MachineError
from understudy.suite.io import interrupts

DONE: Final = 0  # also: already finished
CHECK_FAILED: Final = 1
BAD_INPUT: Final = 2
MACHINE_FAILED: Final = 3
OUR_BUG: Final = 70
INTERRUPTED: Final = 130

GROUP: Final = "_group"  # in a folder of commands, the module with the group itself
HELP_ORDER: Final = (  # other commands come last, by name
    "demo",
    "benchmarks",
    "train-teacher",
    "histories",
    "train",
    "check",
    "score",
    "submissions",
    "rescore",
    "verify",
    "controls",
    "references",
    "leaks",
    "rounds",
    "compare",
    "board",
    "export",
    "release",
    "cite",
)

# typer exports no name for UsageError, only for this subclass of it.
USAGE_ERROR: Final[Any] = typer.BadParameter.__mro__[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the arguments after the program's name; those of the process if None.

    Returns:
        The exit code: 0 done, 1 the thing checked does not hold, 2 bad usage or input, 3 the machine failed,
        70 our bug, 130 interrupted. Unless it is 0, one line is written to standard error.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        interrupts.treat_sigterm_as_ctrl_c()
    screen.escape_unwritable_characters()
    try:
        _run(given)
        sys.stdout.flush()  # so that a full disk behind a pipe or file is reported here
    except typer.Exit as stopped:
        return int(stopped.exit_code)
    except BrokenPipeError as error:
        unread = _has_no_reader(sys.stdout) or _has_no_reader(sys.stderr)
        return _reader_left() if unread else _say(str(error), MACHINE_FAILED)
    except KeyboardInterrupt as interrupt:
        resuming = [each for each in given if each != "--restart"]  # keeps the runs played so far
        again = f"to go on: {shlex.join(['understudy', *resuming])}"
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
            return _say(_usage_line(error), BAD_INPUT)
        return _say(_bug_line(error, given), OUR_BUG)
    return DONE


def commands() -> tuple[str, ...]:
    """Return the commands' names in the order of the help, without importing them."""
    folder = Path(__file__).parent / "commands"
    known = (*registry.names([folder]), *(group.parent.name for group in folder.glob(f"*/{GROUP}.py")))
    return tuple(sorted(known, key=lambda name: (_position(name), name)))


def _position(name: str) -> int:
    return HELP_ORDER.index(name) if name in HELP_ORDER else len(HELP_ORDER)


def _run(given: list[str]) -> None:
    """Parse and run without typer's own main, which would report errors in its own way."""
    known = commands()
    needed = given[:1] if given[:1] and given[0] in known else known  # import only the command that runs
    command = typer.main.get_command(_application(needed))
    try:
        with command.make_context("understudy", given or ["--help"]) as context:
            command.invoke(context)
    except USAGE_ERROR as error:
        if type(error).__name__ != "NoArgsIsHelpError":
            raise
        typer.echo(error.ctx.get_help())  # a group without a command shows its help


def _application(names: Sequence[str]) -> typer.Typer:
    """Return the application of these commands; the help is plain, because rich doubles the start-up time."""
    application = typer.Typer(
        add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}
    )
    application.callback()(_front_door)
    for name in names:
        application.add_typer(_load(name))
    return application


def _load(name: str) -> typer.Typer:
    package = "understudy.commands"
    is_group = (Path(__file__).parent / "commands" / name / f"{GROUP}.py").is_file()
    found = (
        registry.load(f"{package}.{name}", GROUP, "COMMAND")
        if is_group
        else registry.load(package, name, "COMMAND")
    )
    command: typer.Typer = found
    return command


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
    print(f"understudy: {escaping.terminal(' '.join(message.split()))}", file=sys.stderr)
    return code


def _usage_line(error: Any) -> str:
    path = error.ctx.command_path if error.ctx is not None else "understudy"
    message = error.format_message().strip()
    stop = "" if message.endswith((".", "?", ")")) else "."
    return f"{message}{stop} See: {path} --help"


def _bug_line(error: Exception, given: list[str]) -> str:
    """Write the traceback to a file and return the line that names it."""
    what = f"{type(error).__name__}: {error}"
    command = shlex.join(["understudy", *given])
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            prefix="understudy-",
            suffix=".traceback.txt",
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",  # an argument or a file's name need not be UTF-8
        ) as file:
            file.write(f"understudy {understudy.__version__}, Python {sys.version}\n{command}\n\n")
            traceback.print_exception(error, file=file)
    except OSError as unwritable:
        traceback.print_exception(error)  # rather than lose it
        return f"a bug of ours ({what}); its traceback could not be written to a file ({unwritable})"
    return f"a bug of ours ({what}); please report it with {file.name}"


def _has_no_reader(stream: TextIO | None) -> bool:
    """Return whether a stream is a pipe whose reader has closed it."""
    try:
        watched = select.poll()
        watched.register(stream.fileno(), 0)  # type: ignore[union-attr]
        return any(events & (select.POLLERR | select.POLLHUP) for _, events in watched.poll(0))
    except (AttributeError, OSError, ValueError):  # no stream, closed here, or without a file
        return False


def _reader_left() -> int:
    """Return the exit code after a closed pipe, as in `understudy board | head`, which is no failure."""
    sys.stdout = None  # else the interpreter flushes into the closed pipe at exit
    return DONE
