"""Defer SIGINT and SIGTERM to a point where the work can be resumed from."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deferred_interrupts() -> Iterator[list[int]]:
    """Defer SIGINT and SIGTERM until the block exits.

    Yields a list of signal numbers, which is non-empty once a signal has arrived. KeyboardInterrupt is then
    raised after the block. Only signals whose handler is Python's own Ctrl-C handler are deferred, and only
    in the main thread; in another thread the list stays empty.
    """
    pending: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield pending
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    deferred = [number for number, handler in handlers.items() if handler is signal.default_int_handler]
    for number in deferred:
        signal.signal(number, lambda number, frame: pending.append(number))
    try:
        yield pending
    finally:
        for number in deferred:
            signal.signal(number, handlers[number])
    raise_if_interrupted(pending)


def raise_if_interrupted(pending: list[int]) -> None:
    """Raise KeyboardInterrupt if a deferred signal has arrived; call it inside the block, at a safe point."""
    if pending:
        raise KeyboardInterrupt


def treat_sigterm_as_ctrl_c() -> None:
    """Handle SIGTERM like SIGINT: batch queues and service managers stop a process with it."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
