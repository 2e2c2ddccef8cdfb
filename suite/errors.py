"""Errors meant for users; the command line prints each as one line and returns its exit code."""

from typing import Final

MOST_CHARACTERS: Final = 1_000  # of what is wrong with an input


class InputError(Exception):
    """Bad usage or input; the message says what was expected, found, where, and what to do. Exit code 2.

    A library's words in a message may quote a whole damaged file: the middle of a long one is left out.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) <= MOST_CHARACTERS:
            return text
        half = MOST_CHARACTERS // 2 - 3  # what is wrong stands first, what to do last
        return f"{text[:half]} ... {text[-half:]}"


class CheckFailed(Exception):
    """A check failed: of a record, a replay, a hash, a control. Exit code 1."""


class MachineError(Exception):
    """The machine failed: disk, network, memory. Exit code 3."""
