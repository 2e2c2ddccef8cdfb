"""`understudy histories`: the group of commands on recorded runs; each other file here is one command."""

from __future__ import annotations

import typer

from understudy.commands import histories
from understudy.suite import registry

COMMAND = typer.Typer(name="histories", help="Recorded runs: show, replay, share them.", no_args_is_help=True)
ORDER = ("info", "watch", "verify", "import", "list", "pull", "push")  # in help; others come last, by name


def _position(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


for _name in sorted(registry.names(histories.__path__), key=_position):
    COMMAND.add_typer(registry.load(histories.__name__, _name, "COMMAND"))
