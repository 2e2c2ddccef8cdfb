"""Bytes: a file of any kind with some of them flipped, removed, repeated, or replaced by another file's."""

from __future__ import annotations

import numpy as np

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
INTERESTING = (b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", LFS_POINTER, b"PK\x05\x06" + b"\0" * 18, b"PAR1PAR1")


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Return other bytes."""
    kind = int(rng.integers(8))
    found = bytearray(data)
    if kind == 0:
        return INTERESTING[int(rng.integers(len(INTERESTING)))]
    if not found:
        return rng.bytes(int(rng.integers(1, 100)))
    start = int(rng.integers(len(found)))
    stop = min(len(found), start + int(2 ** rng.uniform(0, 12)))
    if kind == 1:  # flipped bits
        for place in rng.integers(len(found), size=int(rng.integers(1, 9))):
            found[place] ^= 1 << int(rng.integers(8))
    elif kind == 2:  # truncated
        del found[start:]
    elif kind == 3:  # removed
        del found[start:stop]
    elif kind == 4:  # repeated
        found[stop:stop] = found[start:stop] * int(rng.integers(1, 50))
    elif kind == 5:  # random
        found[start:stop] = rng.bytes(stop - start)
    elif kind == 6:  # a number of four or eight bytes
        width = int(rng.choice([4, 8]))
        value = (
            int(rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1])) if width == 4 else int(2 ** rng.integers(64))
        )
        found[start : start + width] = value.to_bytes(width, "little")
    else:  # followed by more
        found += rng.bytes(int(2 ** rng.uniform(0, 14)))
    return bytes(found)
