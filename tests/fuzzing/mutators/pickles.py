"""Pickles: other opcodes, counts and globals; nothing here is ever executed."""

from __future__ import annotations

import pickletools

import numpy as np

from fuzzing.mutators import raw_bytes

OPCODES = tuple(opcode.code.encode("latin-1") for opcode in pickletools.opcodes)
PIECES = (
    b"cos\nsystem\n(S'true'\ntR.",
    b"\x80\x04\x95" + b"\xff" * 8,
    b"(" * 50_000,
    b"(" * 50_000 + b"t" * 50_000,
    b"}" + b"q\x00" * 10,
    b"\x8a\xff" + b"\x01" * 255,
    b"X\xff\xff\xff\x7fabc",
    b"2" * 20_000,
    b"0",
    b"N.",
)


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Return another pickle."""
    kind = int(rng.integers(3))
    if kind == 0 or not data:
        return raw_bytes.mutate(data, rng)
    place = int(rng.integers(len(data)))
    if kind == 1:
        return data[:place] + OPCODES[int(rng.integers(len(OPCODES)))] + data[place + int(rng.integers(2)) :]
    return data[:place] + PIECES[int(rng.integers(len(PIECES)))] + data[place:]
