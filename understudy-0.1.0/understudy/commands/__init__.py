"""The commands: one file each, named as the command, with one object `COMMAND`, a `typer.Typer`.

A file is imported to show the help and to run its command; heavy imports are inside its functions.
"""
