"""The repositories of the loopback Hub: commits, branches and tags, all in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LARGE_BYTES = 1 << 14  # files of this size or more are LFS files; the real Hub's limit is higher
GIT_ATTRIBUTES = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"  # the Hub adds it to each repository


@dataclass
class Repo:
    """One repository; each commit holds all files, bytes by path."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)  # by hash, in order
    messages: dict[str, str] = field(default_factory=dict)  # by commit hash
    main: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    private: bool = False  # as requested at creation

    def __post_init__(self) -> None:
        self.commit({".gitattributes": GIT_ATTRIBUTES}, "initial commit")

    def commit(self, files: Mapping[str, bytes], message: str) -> str:
        """Replace the content of main by `files`; return the commit's hash."""
        named = sorted((path, git_oid(data)) for path, data in files.items())
        commit = hashlib.sha1(f"{self.main} {message} {named}".encode()).hexdigest()
        self.commits[commit], self.messages[commit], self.main = dict(files), message, commit
        return commit

    def find(self, revision: str) -> str | None:
        """Return the commit hash of a commit, a tag or main; None if it doesn't exist."""
        known = {"main": self.main, **self.tags, **{commit: commit for commit in self.commits}}
        return known.get(revision)


def git_oid(data: bytes) -> str:
    """Return git's object id of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def etag(data: bytes) -> str:
    """Return a file's ETag: the SHA-256 of an LFS file, otherwise git's object id."""
    return hashlib.sha256(data).hexdigest() if len(data) >= LARGE_BYTES else git_oid(data)


def listing(path: str, data: bytes) -> dict[str, Any]:
    """Return a file's entry in answers of the tree and paths-info endpoints."""
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": git_oid(data)}
    if len(data) >= LARGE_BYTES:
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry
