"""`understudy histories`: recorded lives; each of its commands is a file in `understudy/history_commands`."""

from __future__ import annotations

from pathlib import Path

import typer

from understudy import history_commands
from understudy.suite import registry

COMMAND = typer.Typer(
    name="histories", help="Recorded lives: look at them, prove them.", no_args_is_help=True
)
ORDER = ("info", "watch", "verify", "import", "list", "pull", "push")  # others come last, by name


def _position(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


for _name in sorted(registry.names(Path(history_commands.__path__[0])), key=_position):
    COMMAND.add_typer(registry.load(history_commands.__name__, _name, "COMMAND"))
