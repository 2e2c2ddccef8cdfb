"""Messages between the harness and a player process, as `docs/player-process.md` describes them.

A message is a length, a kind and a body, little-endian. Nothing in it is code and nothing is unpickled: there
are numbers, JSON and safetensors. Every length is bounded by the receiver, who knows what it has asked for.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np

from understudy.suite import escaping

FORMAT: Final = 1
HEADER: Final = struct.Struct("<QB")  # bytes of the body, kind
STEP: Final = struct.Struct("<IBH")  # handle of the state, whether its digest is asked for, bytes of the form
ANSWER: Final = struct.Struct("<Q32s")  # largest size of the state so far in bytes, its digest or zeros
NO_DIGEST: Final = bytes(32)
ALIGNMENT_BYTES: Final = 64  # of each field of a timestep within the body
PIPE_BYTES: Final = 1 << 20  # so much a pipe holds where the system allows it
MOST_REQUEST_BYTES: Final = 1 << 33  # of one request, which the child believes of its parent
MOST_TEXT_BYTES: Final = 1 << 16  # of a reply in JSON
MOST_CHARACTERS: Final = 2_000  # of each text in a failure
DTYPES: Final = frozenset({"bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64"})

Form = tuple[tuple[str, tuple[int, ...]], ...]  # (dtype, shape) of each field of a timestep


class Ask(IntEnum):
    """Kinds of requests; those in `ANSWERED` have a reply, the others are done in silence."""

    LOAD = 1
    INITIAL_STATE = 2
    STEP = 3
    UNROLL = 4
    CLONE = 5
    TAKE = 6
    COPY_ROWS = 7
    JOIN = 8
    DROP = 9
    PUT = 10
    GET = 11
    DIGEST = 12
    PARAMETERS = 13
    WATCH_WEIGHTS = 14
    MOVED_WEIGHTS = 15
    PUT_WEIGHTS = 16
    RESTORE_WEIGHTS = 17


class Reply(IntEnum):
    """Kinds of replies."""

    DONE = 1  # JSON
    ANSWER = 2  # logits
    TENSORS = 3  # safetensors
    FAILED = 4  # JSON: what was expected and found


@dataclass(frozen=True)
class Fault:
    """Why an answer of a player was refused."""

    expected: str
    found: str
    advice: str
    move: int | None = None  # counted from the first of the request; None: before a move
    lane: int | None = None  # None: all or none in particular

    def dumped(self) -> bytes:
        """Return it as JSON of at most `MOST_TEXT_BYTES`."""
        texts = {name: getattr(self, name)[:MOST_CHARACTERS] for name in ("expected", "found", "advice")}
        return dumped({**asdict(self), **texts})

    @classmethod
    def parsed(cls, body: bytes | bytearray) -> Fault:
        """Return what another process wrote, in printable characters; MessageFault for another form."""
        try:
            values = json.loads(body)
            expected, found, advice = (
                escaping.terminal(" ".join(str(values[name]).split()))[:MOST_CHARACTERS]
                for name in ("expected", "found", "advice")
            )
            move, lane = (None if values[n] is None else int(values[n]) for n in ("move", "lane"))
        except (ValueError, TypeError, KeyError) as error:
            raise MessageFault("a failure of another form") from error
        return cls(expected, found, advice, move, lane)


class MessageFault(Exception):
    """The other process broke the protocol; the text says what was found."""


class Ended(MessageFault):
    """The other process has closed its end."""


class Channel:
    """Two pipes to another process, of which every read and write may have a time limit."""

    def __init__(self, read_fd: int, write_fd: int, may_wait: bool) -> None:
        """Take over two file descriptors; one that `may_wait` has no time limits."""
        self._read_fd, self._write_fd = read_fd, write_fd
        if not may_wait:
            os.set_blocking(read_fd, False)
            os.set_blocking(write_fd, False)
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(read_fd, select.POLLIN)
        self._writable.register(write_fd, select.POLLOUT)
        if sys.platform == "linux":
            import fcntl

            for fd in (read_fd, write_fd):
                with contextlib.suppress(OSError):  # where the system allows less, messages go in pieces
                    fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def send(self, kind: int, parts: Sequence[Any], seconds: float | None = None) -> None:
        """Send a message whose body is the parts, one after the other: bytes, or arrays uint8 [N].

        Raises Ended, or TimeoutError if the other process reads nothing for so long.
        """
        views = [memoryview(part) for part in parts if len(part)]
        total = sum(map(len, views))
        pending = [memoryview(HEADER.pack(total, kind)), *views]
        deadline = None if seconds is None else time.monotonic() + seconds
        while pending:
            try:
                sent = os.writev(self._write_fd, pending[:64])
            except BlockingIOError:
                self._wait(self._writable, deadline)
                continue
            except (BrokenPipeError, OSError) as error:
                raise Ended("it reads no more") from error
            while pending and sent >= len(pending[0]):
                sent -= len(pending.pop(0))
            if pending:
                pending[0] = pending[0][sent:]

    def receive(self, most_bytes: int, seconds: float | None = None) -> tuple[int, bytearray]:
        """Return kind and body of the next message.

        Raises Ended, MessageFault for a body of more than `most_bytes`, or TimeoutError.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        size_bytes, kind = HEADER.unpack(self._read(HEADER.size, deadline))
        if size_bytes > most_bytes:
            raise MessageFault(f"a message of {size_bytes:,} bytes where at most {most_bytes:,} are expected")
        return kind, self._read(size_bytes, deadline)

    def close(self) -> None:
        """Close both ends."""
        fds, self._read_fd, self._write_fd = (self._read_fd, self._write_fd), -1, -1
        for fd in fds:
            if fd >= 0:  # a number that was closed may be another file's by now
                os.close(fd)

    def _read(self, count: int, deadline: float | None) -> bytearray:
        buffer = bytearray(count)
        view, done = memoryview(buffer), 0
        while done < count:
            try:
                got = os.readv(self._read_fd, [view[done:]])
            except BlockingIOError:
                self._wait(self._readable, deadline)
                continue
            except OSError as error:
                raise Ended("it writes no more") from error
            if not got:
                raise Ended("it writes no more")
            done += got
        return buffer

    @staticmethod
    def _wait(ready: select.poll, deadline: float | None) -> None:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not ready.poll(None if left is None else left * 1000.0):
            raise TimeoutError


def dumped(value: object) -> bytes:
    """Return a value as JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


class TimestepWriter:
    """Makes the bodies of STEP and UNROLL; the form of fields is encoded once as long as it stays."""

    def __init__(self) -> None:
        self._form: Form = ()
        self._encoded = b""
        self._paddings: list[bytes] = []

    def parts(self, handle: int, digest: bool, fields: Sequence[np.ndarray]) -> list[Any]:
        """Return the parts of a body: the state's handle, the fields' form, and their bytes."""
        arrays = [np.ascontiguousarray(field) for field in fields]
        form = tuple((array.dtype.name, array.shape) for array in arrays)
        if form != self._form:
            self._form, self._encoded = form, dumped(form)
            begins = layout(form, STEP.size + len(self._encoded))[0]
            ends = [
                STEP.size + len(self._encoded),
                *(b + a.nbytes for b, a in zip(begins, arrays, strict=True)),
            ]
            self._paddings = [bytes(begin - end) for begin, end in zip(begins, ends, strict=False)]
        parts: list[Any] = [STEP.pack(handle, digest, len(self._encoded)), self._encoded]
        for padding, array in zip(self._paddings, arrays, strict=True):
            parts += [padding, array.reshape(-1).view(np.uint8)]
        return parts


class TimestepReader:
    """Reads the bodies of STEP and UNROLL."""

    def __init__(self) -> None:
        self._known: dict[bytes, Form] = {}

    def read(self, body: bytearray) -> tuple[int, bool, list[np.ndarray]]:
        """Return the state's handle, whether its digest is asked for, and the fields, which own their memory.

        Raises MessageFault for a body of another form.
        """
        handle, digest, length = STEP.unpack_from(body)
        encoded = bytes(body[STEP.size : STEP.size + length])
        form = self._known.get(encoded)
        if form is None:
            form = self._known[encoded] = _parsed(encoded)
        begins, end = layout(form, STEP.size + length)
        if end != len(body):
            raise MessageFault(f"a timestep of {len(body):,} bytes where {end:,} are expected")
        fields = [
            np.frombuffer(body, dtype, int(np.prod(shape, dtype=np.int64)), begin).reshape(shape)
            for (dtype, shape), begin in zip(form, begins, strict=True)
        ]
        return handle, bool(digest), fields


def layout(form: Form, begin: int) -> tuple[list[int], int]:
    """Return where each field begins in a body whose form ends at `begin`, and where the last one ends."""
    begins = []
    for dtype, shape in form:
        begin = -(-begin // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        begins.append(begin)
        begin += int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    return begins, begin


def _parsed(encoded: bytes) -> Form:
    try:
        form = tuple((str(dtype), tuple(int(size) for size in shape)) for dtype, shape in json.loads(encoded))
    except (ValueError, TypeError) as error:
        raise MessageFault("a timestep without a form") from error
    if any(dtype not in DTYPES or min(shape, default=0) < 0 for dtype, shape in form):
        raise MessageFault(f"a timestep of the form {form}")
    return form
