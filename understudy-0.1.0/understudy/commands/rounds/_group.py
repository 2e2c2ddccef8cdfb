"""`understudy rounds`: the group of commands on rounds; each other file here is one command."""

from __future__ import annotations

import typer

from understudy.commands import rounds
from understudy.suite import registry

COMMAND = typer.Typer(name="rounds", help="Rounds of ranked rows: list, commit, draw.", no_args_is_help=True)

for _name in registry.names(rounds.__path__):
    COMMAND.add_typer(registry.load(rounds.__name__, _name, "COMMAND"))
