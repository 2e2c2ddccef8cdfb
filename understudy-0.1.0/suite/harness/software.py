"""The version of this package and, in a checkout, the commit that it stands at."""

from __future__ import annotations

import functools
import subprocess

import understudy
from understudy.suite.io import checkout


@functools.cache
def versions() -> dict[str, str | None]:
    """Return the package's version and its commit; the commit is None outside a git checkout.

    `+changes` follows the commit if tracked Python files differ from it.
    """
    return {"understudy": understudy.__version__, "commit": _commit()}


def _commit() -> str | None:
    if not (checkout.ROOT / ".git").exists():
        return None
    try:
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", "*.py")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+changes" if changed else commit


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(checkout.ROOT), *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",  # a file's name need not be UTF-8
        check=True,
        timeout=10,
    )
    return done.stdout.strip()
