"""`understudy submissions`: the group of commands on submissions; each other file here is one command."""

from __future__ import annotations

import typer

from understudy.commands import submissions
from understudy.suite import registry

COMMAND = typer.Typer(name="submissions", help="Submissions: start one, share one.", no_args_is_help=True)

for _name in registry.names(submissions.__path__):
    COMMAND.add_typer(registry.load(submissions.__name__, _name, "COMMAND"))
