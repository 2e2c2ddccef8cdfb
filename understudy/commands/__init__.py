"""The commands: one file each, named as the command, with one object `COMMAND`, a `typer.Typer`.

A file is imported to show help or to run its own command, so it imports what it needs inside its functions.
"""
