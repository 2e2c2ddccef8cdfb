"""Ctrl-C and SIGTERM at a moment that suits: put off to the end of a block of code, or to a place in it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def put_off() -> Iterator[list[int]]:
    """Let an interrupt during the block count after it; the list it is told by isn't empty then.

    Raises KeyboardInterrupt after the block, where the usual answer to the signal would. Only in the main
    thread; elsewhere the list stays empty.
    """
    pending: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield pending
        return
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    heard = [number for number, answer in usual.items() if answer is signal.default_int_handler]
    for number in heard:
        signal.signal(number, lambda number, frame: pending.append(number))
    try:
        yield pending
    finally:
        for number in heard:
            signal.signal(number, usual[number])
    answer(pending)


def answer(pending: list[int]) -> None:
    """Raise KeyboardInterrupt if an interrupt is pending: a place that suits, inside the block."""
    if pending:
        raise KeyboardInterrupt


def end_as_on_ctrl_c() -> None:
    """Answer SIGTERM as Ctrl-C: a queue that takes back its machine, or a service that is stopped."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
