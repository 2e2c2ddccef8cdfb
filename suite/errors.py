"""The errors a user may meet; the front door turns each into one line and an exit code."""


class InputError(Exception):
    """Bad usage or bad input: what was expected, what was found, where, and what to do. Exit code 2."""


class CheckFailed(Exception):
    """The thing that was checked does not hold: a record, a replay, a certificate. Exit code 1."""


class MachineError(Exception):
    """The machine failed: disk, network, permission. Exit code 3."""
