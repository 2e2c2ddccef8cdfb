"""Worker processes: they ignore Ctrl-C, which their parent handles, and end when the parent has ended.

They are started by `spawn`, which first imports the program's main module. Where that is a script without
`if __name__ == "__main__":`, importing it would do the script's work again, up to where it starts worker
processes itself. Workers of such a script start without it: what they do is in modules.
"""

from __future__ import annotations

import ast
import multiprocessing
import os
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import connection
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path

_starting = threading.Lock()
_started: weakref.WeakSet[WorkerProcess] = weakref.WeakSet()


class WorkerProcess(SpawnProcess):
    """A process that starts without the main module, if that is a script without a guard."""

    def start(self) -> None:
        """Start the process. It takes over the signals that its thread blocks: Ctrl-C, until `begin`."""
        with _starting, ThreadPoolExecutor(1, initializer=_block_ctrl_c) as thread:
            thread.submit(self._start).result()  # this thread goes on hearing Ctrl-C
            _started.add(self)

    def _start(self) -> None:  # one at a time, as what is hidden is seen by all threads
        if _main_has_guard():
            super().start()
        else:
            with _without_main():
                super().start()


class WorkerContext(SpawnContext):
    """A context for process pools, shared values and queues; spawn, as a fork would copy torch's threads."""

    Process = WorkerProcess


def context() -> WorkerContext:
    """Return the context of worker processes.

    Raises RuntimeError in a worker that is importing a script, which has called this outside its guard. A
    pool begun there would wait for ever.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing itself asks
        raise RuntimeError(
            "a worker process imports this script and does its work again; put the work under its "
            "`if __name__ == '__main__':`"
        )
    return WorkerContext()


def begin() -> None:
    """Make this process a worker: ignore SIGINT, and end at once when the parent process ends.

    Ending at once is safe because everything that a worker writes survives a kill at any moment.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def kill() -> None:
    """Kill the worker processes that this process has started and that have not ended."""
    for process in list(_started):
        process.kill()


def _block_ctrl_c() -> None:
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _main_has_guard() -> bool:
    """Return whether the main module may be imported again: it has a guard, or there is no file of it."""
    path = getattr(sys.modules["__main__"], "__file__", None)
    if path is None:
        return True
    try:
        body = ast.parse(Path(path).read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return False  # not a script's text, so not one that can be relied on
    tests = [node.test for node in body if isinstance(node, ast.If)]
    names = (node.id for test in tests for node in ast.walk(test) if isinstance(node, ast.Name))
    return "__name__" in names


@contextmanager
def _without_main() -> Iterator[None]:
    """Hide where the main module is: a process that is started in the block does not import it.

    The module itself stays, as other threads may be pickling what is in it.
    """
    names = vars(sys.modules["__main__"])
    hidden: dict[str, object] = {name: names[name] for name in ("__file__", "__spec__") if name in names}
    names.pop("__file__", None)
    names["__spec__"] = None
    try:
        yield
    finally:
        names.update(hidden)


def _end_after(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
