"""Object ids: by which hash the Hub lists a file, and by which its client names the file in its cache."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from understudy.suite.hub import manifest
from understudy.suite.io import files

Content = Path | bytes

SHA256_DIGITS = 64


def of(content: Content, like: str) -> str:
    """Return a content's object id: SHA-256 (LFS) or git's SHA-1 of the blob, whichever is as long as `like`.

    Source: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
    """
    if len(like) == SHA256_DIGITS:
        return manifest.bytes_sha256(content) if isinstance(content, bytes) else files.sha256(content)
    data = content if isinstance(content, bytes) else content.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def in_cache(path: Path) -> str | None:
    """Return the object id that the cache gives to a file of a snapshot; None where it keeps no links.

    Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
    """
    return os.path.basename(os.readlink(path)) if path.is_symlink() else None
