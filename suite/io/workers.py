"""Worker processes: they ignore Ctrl-C, which their parent handles, and end when the parent has ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing import connection


def begin() -> None:
    """Make this process a worker: ignore SIGINT, and end at once when the parent process ends.

    Ending at once is safe because everything that a worker writes survives a kill at any moment.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
