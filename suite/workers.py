"""Worker processes: they leave Ctrl-C to their parent, and end where it is gone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing import connection


def begin() -> None:
    """Make this process a worker: its parent answers Ctrl-C, and it ends at once if that is killed.

    What it plays or derives is at every moment as safe from that as from a kill of its own.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
