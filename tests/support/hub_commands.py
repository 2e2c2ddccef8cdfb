"""Run commands that use the Hub, and inspect their results, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from support.loopback_hub import LoopbackHub

REPO = "somebody/runs"
HASH = "0123456789abcdef0123456789abcdef01234567"
RUNS = ("darkroom-v1/goal-40/seed-0", "darkroom-v1/goal-40/seed-1", "darkroom-v1/goal-41/seed-0")
Run = Callable[..., tuple[int, str, str]]


def command(
    hub: LoopbackHub, home: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does: in another process, configured by environment variables only."""
    settings = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", **environment}
    return subprocess.run(
        [sys.executable, "-m", "understudy", *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def pushed(run: Run, folder: Path) -> str:
    """Push a folder and return the pinned name."""
    code, out, err = run("push", folder, REPO)
    assert code == 0, err
    return out.strip()


def last(err: str) -> str:
    """Return the last line of standard error, which reports the failure."""
    return err.rstrip("\n").rpartition("\n")[2]


def content(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a folder, by relative path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def flip(position: int) -> Callable[[bytes], bytes]:
    """Return a function that flips one bit of the byte at a position, counted from the end if negative."""

    def altered(data: bytes) -> bytes:
        at = position % len(data)
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    return altered
