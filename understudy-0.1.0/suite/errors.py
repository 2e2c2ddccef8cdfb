"""Errors meant for users; the command line prints each as one line and returns its exit code."""


class InputError(Exception):
    """Bad usage or input; the message says what was expected, found, where, and what to do. Exit code 2."""


class CheckFailed(Exception):
    """A check failed: of a record, a replay, a hash, a control. Exit code 1."""


class MachineError(Exception):
    """The machine failed: disk, network, memory. Exit code 3."""
