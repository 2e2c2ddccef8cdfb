"""A player's process, seen from its parent: confined, asked with time limits, killed at the first fault.

A child that dies, is late, answers out of form or too much is killed at once. What went wrong is kept as a
`Fault`, and every later request finds it.

With the child ends its process group, so whatever it started. In bubblewrap that is everything. Without it a
process that left the group, by setsid(2) or setpgid(2), lives on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from understudy.suite import escaping
from understudy.suite.harness import confinement, player_messages, player_replies
from understudy.suite.harness.player_messages import (
    MOST_CHARACTERS,
    MOST_TEXT_BYTES,
    Ask,
    Channel,
    Ended,
    Fault,
    MessageFault,
    Reply,
    dumped,
)
from understudy.suite.harness.player_replies import Loaded, Model

LOAD_SECONDS: Final = 600.0  # importing torch, building the model and reading its weights
END_SECONDS: Final = 5.0  # to end, once it has closed its pipes or was killed
POLL_SECONDS: Final = 0.01
ADVICE: Final = "mend the player's code"


@dataclass(frozen=True)
class Launch:
    """How a player process is started."""

    name: str  # of the player, for messages
    module: str  # that the interpreter runs, e.g. package.module
    folders: tuple[Path, ...]  # that it may read beside the installed packages
    load: Mapping[str, Any]  # JSON: body of LOAD
    weights: bytes  # that LOAD carries; empty: those in the folder
    num_actions: int  # A
    state_cap_bytes: int  # largest state of one run
    on_gpu: bool = False


class ChildProcess:
    """One process and its pipes."""

    confinement: str  # by what it is confined

    def __init__(self, launch: Launch) -> None:
        """Start the process and have it load its player; afterwards `fault` says whether it could."""
        self.fault: Fault | None = None  # the first; the process has ended then
        self.moves = 0  # that it was asked for
        command, self.confinement = confinement.command(
            ("-P", "-m", launch.module), launch.folders, launch.on_gpu
        )
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - until `close`
        requests_read, requests_write = os.pipe()
        replies_read, replies_write = os.pipe()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=requests_read,
                stdout=replies_write,
                stderr=self._errors,
                env=confinement.environment(),
                cwd="/",
                start_new_session=True,  # Ctrl-C is the parent's
            )
        finally:
            os.close(requests_read)
            os.close(replies_write)
        self._channel = Channel(replies_read, requests_write, may_wait=False)
        self._kill = weakref.finalize(self, _kill, self._process, self._channel)
        head = dumped({"format": player_messages.FORMAT, **launch.load})
        self.send(Ask.LOAD, [struct.pack("<I", len(head)), head, launch.weights], LOAD_SECONDS)
        loaded = self.said(Loaded, LOAD_SECONDS)
        self.reach_moves = None if loaded is None else loaded.reach_moves

    def send(self, ask: Ask, parts: Sequence[Any], seconds: float) -> None:
        """Send a request, unless there is a fault; a new one is kept for whoever waits for a reply."""
        if self.fault:
            return
        try:
            self._channel.send(ask, parts, seconds)
        except (MessageFault, TimeoutError) as error:
            self._fail_by(error, seconds)

    def send_whole(self, message: memoryview, seconds: float) -> None:
        """Send a request that has its header already; otherwise as `send`."""
        if self.fault:
            return
        try:
            self._channel.send_whole([message], seconds)
        except (MessageFault, TimeoutError) as error:
            self._fail_by(error, seconds)

    def receive(
        self, expected: Reply, most_bytes: int, seconds: float, likely_bytes: int = 0
    ) -> memoryview | None:
        """Return the body of the reply; None if there is none, and then `fault` says why."""
        if self.fault:
            return None
        try:
            kind, body = self._channel.receive(max(most_bytes, MOST_TEXT_BYTES), seconds, likely_bytes)
            if kind == Reply.FAILED:
                self.fault = player_replies.fault(body)
                self._kill()
                return None
            if kind != expected:
                raise MessageFault(f"a reply of kind {kind} where {expected.value} is expected")
            if len(body) > most_bytes:
                raise MessageFault(
                    f"a reply of {len(body):,} bytes where at most {most_bytes:,} are expected"
                )
        except (MessageFault, TimeoutError) as error:
            self._fail_by(error, seconds)
            return None
        return body

    def said(self, kind: type[Model], seconds: float) -> Model | None:
        """Return a reply in JSON of this form; None if there is none, and then `fault` says why."""
        body = self.receive(Reply.DONE, MOST_TEXT_BYTES, seconds)
        if body is None:
            return None
        try:
            return player_replies.parsed(kind, body)
        except MessageFault as error:
            self._fail_by(error, seconds)
            return None

    def fail(self, expected: str, found: str, advice: str = ADVICE) -> Fault:
        """Kill the process, and return the first fault, which is kept."""
        if self.fault is None:
            self.fault = Fault(expected, found, advice, 0)
        self._kill()
        return self.fault

    def close(self) -> None:
        """Kill the process and everything in its group."""
        self._kill()
        self._errors.close()

    def _fail_by(self, error: Exception, seconds: float) -> None:
        """Say what was expected of the process, and what was found."""
        if isinstance(error, TimeoutError):
            self.fail(f"an answer within {seconds:,.0f} s", "none")
        elif isinstance(error, Ended):
            by_itself = _has_ended(self._process, END_SECONDS)
            self._kill()
            how = self._how() if by_itself else ""
            self.fail("an answer", f"that its process ended{how}{self._last_line()}")
        else:
            self.fail("an answer as docs/player-process.md describes it", str(error))

    def _how(self) -> str:
        code = self._process.poll()
        if code is None:
            return ""
        # Bubblewrap's own exit code is 128 more than the signal that ended its process, as a shell's is.
        number = -code if code < 0 else code - 128 if code > 128 else None
        with contextlib.suppress(ValueError):
            return f" by {signal.Signals(number).name}" if number else f" with exit code {code}"
        return f" with exit code {code}"

    def _last_line(self) -> str:
        """Return the last line that the process wrote as an error, in brackets."""
        with contextlib.suppress(OSError, ValueError):
            self._errors.seek(0)
            lines = self._errors.read(confinement.OUTPUT_BYTES).decode(errors="replace").splitlines()
            written = [line.strip() for line in lines if line.strip()]
            if written:
                return f" ({escaping.terminal(written[-1])[:MOST_CHARACTERS]})"
        return ""


def _kill(process: subprocess.Popen[bytes], channel: Channel) -> None:
    """Kill a process and everything in its group.

    Nobody has waited for the process before, so the group's number is still its own, also if it has ended.
    """
    channel.close()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS)


def _has_ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Return whether a process ends by itself within some seconds; not waited for, it keeps its number."""
    if sys.platform != "linux":  # without waitid(2) in Python before 3.13 on macOS
        time.sleep(0.1)
        return True
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return True
        except ChildProcessError:  # this program has no child wait for it
            return True
        time.sleep(POLL_SECONDS)
    return False
