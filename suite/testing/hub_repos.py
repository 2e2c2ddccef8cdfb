"""What the loopback Hub keeps: repositories with commits, branches and tags, all in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LARGE_BYTES = (
    1 << 14
)  # files from here on are kept as large ones, named by SHA-256; the true Hub's limit is higher
GIT_ATTRIBUTES = (
    b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"  # the Hub puts such a file into each repository
)


@dataclass
class Repo:
    """One repository: every commit is a whole state, path to bytes."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)  # by hash, in order
    messages: dict[str, str] = field(default_factory=dict)  # by commit hash
    main: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    private: bool = False  # as it was asked for at its creation

    def __post_init__(self) -> None:
        self.commit({".gitattributes": GIT_ATTRIBUTES}, "initial commit")

    def commit(self, files: Mapping[str, bytes], message: str) -> str:
        """Make `files` the whole new state of main; return the commit's hash."""
        named = sorted((path, git_oid(data)) for path, data in files.items())
        commit = hashlib.sha1(f"{self.main} {message} {named}".encode()).hexdigest()
        self.commits[commit], self.messages[commit], self.main = dict(files), message, commit
        return commit

    def find(self, revision: str) -> str | None:
        """Return the hash of a commit, a tag or main; None if there is none."""
        known = {"main": self.main, **self.tags, **{commit: commit for commit in self.commits}}
        return known.get(revision)


def git_oid(data: bytes) -> str:
    """Return git's name of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def etag(data: bytes) -> str:
    """Return the name under which a file is served: SHA-256 of a large one, git's name of another."""
    return hashlib.sha256(data).hexdigest() if len(data) >= LARGE_BYTES else git_oid(data)


def listing(path: str, data: bytes) -> dict[str, Any]:
    """Return a file as the tree and paths-info endpoints show it."""
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": git_oid(data)}
    if len(data) >= LARGE_BYTES:
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry
