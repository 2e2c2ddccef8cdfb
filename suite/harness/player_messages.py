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
HEADER: Final = struct.Struct("<QB7x")  # bytes of the body, kind
STEP: Final = struct.Struct("<IBH")  # handle of the state, whether its digest is asked for, bytes of the form
ANSWER: Final = struct.Struct("<Q32s")  # largest size of the state so far in bytes, its digest or zeros
NO_DIGEST: Final = bytes(32)
ALIGNMENT_BYTES: Final = 64  # of each field of a timestep within the message
JOINED_BYTES: Final = 1 << 16  # parts of a message that is no larger are joined before they are sent
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
        texts = {
            name: escaping.one_line(getattr(self, name))[:MOST_CHARACTERS]
            for name in ("expected", "found", "advice")
        }
        return dumped({**asdict(self), **texts})


class MessageFault(Exception):
    """The other process broke the protocol; the text says what was found."""


class Ended(MessageFault):
    """The other process has closed its end."""


class Channel:
    """Two pipes to another process, of which every read and write may have a time limit."""

    def __init__(self, read_fd: int, write_fd: int, may_wait: bool) -> None:
        """Take over two file descriptors; one that `may_wait` has no time limits."""
        self._read_fd, self._write_fd = read_fd, write_fd
        self._rest = b""  # that was read of the next message
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
        size_bytes = sum(map(len, parts))
        whole = [HEADER.pack(size_bytes, kind), *parts]
        if size_bytes <= JOINED_BYTES:
            whole = [b"".join(whole)]
        self.send_whole([memoryview(part) for part in whole if len(part)], seconds)

    def send_whole(self, pending: list[memoryview], seconds: float | None = None) -> None:
        """Send a message with its header, in pieces; raises as `send`."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while pending:
            try:
                sent = os.writev(self._write_fd, pending[:64])
            except BlockingIOError:
                self._wait(self._writable, deadline)
                continue
            except OSError as error:
                raise Ended("it reads no more") from error
            while pending and sent >= len(pending[0]):
                sent -= len(pending.pop(0))
            if pending:
                pending[0] = pending[0][sent:]

    def receive(
        self, most_bytes: int, seconds: float | None = None, likely_bytes: int = 0
    ) -> tuple[int, memoryview]:
        """Return kind and body of the next message.

        A body of `likely_bytes` is read with its header, and what follows a shorter one is kept. Raises
        Ended, TimeoutError, or MessageFault for a body of more than `most_bytes`.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        rest, self._rest = self._rest, b""
        whole = bytearray(max(HEADER.size + likely_bytes, len(rest)))
        whole[: len(rest)] = rest
        done = self._fill(whole, len(rest), HEADER.size, deadline)
        size_bytes, kind = HEADER.unpack_from(whole)
        if size_bytes > most_bytes:
            raise MessageFault(f"a message of {size_bytes:,} bytes where at most {most_bytes:,} are expected")
        end = HEADER.size + size_bytes
        if done > end:
            self._rest, done = bytes(memoryview(whole)[end:done]), end
        if len(whole) != end:
            whole = whole[:done] + bytearray(end - done)
        self._fill(whole, done, end, deadline)
        return kind, memoryview(whole)[HEADER.size :]

    def close(self) -> None:
        """Close both ends."""
        fds, self._read_fd, self._write_fd = (self._read_fd, self._write_fd), -1, -1
        for fd in fds:
            if fd >= 0:  # a number that was closed may be another file's by now
                os.close(fd)

    def _fill(self, whole: bytearray, done: int, least: int, deadline: float | None) -> int:
        """Read into a buffer from `done` on until `least` bytes are there; return how many are."""
        view = memoryview(whole)
        while done < least:
            if deadline is not None:
                self._wait(self._readable, deadline)
            try:
                got = os.readv(self._read_fd, [view[done:]])
            except BlockingIOError:
                continue
            except OSError as error:
                raise Ended("it writes no more") from error
            if not got:
                raise Ended("it writes no more")
            done += got
        return done

    @staticmethod
    def _wait(ready: select.poll, deadline: float | None) -> None:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not ready.poll(None if left is None else left * 1000.0):
            raise TimeoutError


def dumped(value: object) -> bytes:
    """Return a value as JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


class TimestepWriter:
    """Makes messages of timesteps in one buffer, which is laid out once as long as their form stays."""

    def __init__(self) -> None:
        self._form: list[tuple[np.dtype[Any], tuple[int, ...]]] = []
        self._whole = memoryview(bytearray())
        self._encoded_bytes = 0
        self._fields: list[np.ndarray] = []  # views of the message

    def message(self, kind: int, handle: int, digest: bool, fields: Sequence[np.ndarray]) -> memoryview:
        """Return a message with its header, valid until the next one: handle, form, and the fields."""
        if [(field.dtype, field.shape) for field in fields] != self._form:
            self._lay_out(fields)
        HEADER.pack_into(self._whole, 0, len(self._whole) - HEADER.size, kind)
        STEP.pack_into(self._whole, HEADER.size, handle, digest, self._encoded_bytes)
        for view, field in zip(self._fields, fields, strict=True):
            np.copyto(view, field)
        return self._whole

    def _lay_out(self, fields: Sequence[np.ndarray]) -> None:
        self._form = [(field.dtype, field.shape) for field in fields]
        encoded = dumped([(field.dtype.name, field.shape) for field in fields])
        begin = HEADER.size + STEP.size
        form = tuple((field.dtype.name, field.shape) for field in fields)
        begins, end = _layout(form, begin + len(encoded))
        self._whole, self._encoded_bytes = memoryview(bytearray(end)), len(encoded)
        self._whole[begin : begin + len(encoded)] = encoded
        self._fields = [
            np.frombuffer(self._whole, field.dtype, field.size, start).reshape(field.shape)
            for start, field in zip(begins, fields, strict=True)
        ]


@dataclass(frozen=True)
class _Field:
    """Where a field of a timestep is in a body."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    count: int  # of elements
    begin: int


class TimestepReader:
    """Reads the bodies of STEP and UNROLL."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[tuple[_Field, ...], int]] = {}  # form -> fields and size of the body

    def read(self, body: memoryview) -> tuple[int, bool, list[np.ndarray]]:
        """Return the state's handle, whether its digest is asked for, and the fields, views of the body.

        Raises MessageFault for a body of another form.
        """
        handle, digest, length = STEP.unpack_from(body)
        encoded = bytes(body[STEP.size : STEP.size + length])
        if encoded not in self._known:
            self._known[encoded] = _parsed(encoded)
        fields, size_bytes = self._known[encoded]
        if size_bytes != len(body):
            raise MessageFault(f"a timestep of {len(body):,} bytes where {size_bytes:,} are expected")
        found = [
            np.frombuffer(body, each.dtype, each.count, each.begin).reshape(each.shape) for each in fields
        ]
        return handle, bool(digest), found


def _layout(form: Form, begin: int) -> tuple[list[int], int]:
    """Return where each field begins in a message whose form ends at `begin`, and where the last one ends."""
    begins = []
    for dtype, shape in form:
        begin = -(-begin // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        begins.append(begin)
        begin += int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    return begins, begin


def _parsed(encoded: bytes) -> tuple[tuple[_Field, ...], int]:
    try:
        form = tuple((str(dtype), tuple(int(size) for size in shape)) for dtype, shape in json.loads(encoded))
    except (ValueError, TypeError) as error:
        raise MessageFault("a timestep without a form") from error
    if any(dtype not in DTYPES or min(shape, default=0) < 0 for dtype, shape in form):
        raise MessageFault(f"a timestep of the form {form}")
    begins, end = _layout(form, HEADER.size + STEP.size + len(encoded))
    fields = tuple(
        _Field(np.dtype(dtype), shape, int(np.prod(shape, dtype=np.int64)), begin - HEADER.size)
        for (dtype, shape), begin in zip(form, begins, strict=True)
    )
    return fields, end - HEADER.size
