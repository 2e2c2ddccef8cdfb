"""Reads untrusted files: regular files only, no more bytes than allowed, no links that leave the submission.

The Hub's client keeps a repository's files in `models--<user>--<name>/blobs` and fills `snapshots/<commit>`
beside them with links to them; those links are followed.
Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from understudy.suite.errors import InputError
from understudy.suite.io import bounded, git_lfs

NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def read(path: Path, limit_bytes: int, folder: Path) -> bytes:
    """Return the bytes of a submission's file.

    Args:
        path: the file.
        limit_bytes: that it may have.
        folder: the submission's; links may lead to files in it, or in the blobs of the Hub's cache around it.

    Raises InputError if the file is missing, no regular file, a link that leads elsewhere, a Git LFS pointer,
    or too large.
    """
    try:
        with bounded.opened(_regular(path, folder), limit_bytes, NO_FOLLOW) as file:
            data = bounded.content(file, path, limit_bytes)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path}: expected a file, found nothing there") from error
    git_lfs.refuse_pointer_bytes(data, path)
    return data


def require_folder(path: Path) -> None:
    """Raise InputError unless `path` is a folder and not a link to one."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path}: expected a folder, found nothing there") from error
    if not stat.S_ISDIR(mode):
        raise InputError(f"{path}: expected a folder, found {_kind(mode)}")


def _regular(path: Path, folder: Path) -> Path:
    """Return the regular file that a path leads to; InputError if it is none."""
    target = _target(path, folder) if path.is_symlink() else path
    mode = target.lstat().st_mode
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: expected a regular file, found {_kind(mode)}")
    return target


def _target(link: Path, folder: Path) -> Path:
    """Return the file that a link leads to; the link itself if it leads elsewhere than `read` allows."""
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):  # nothing there, or a circle of links
        return link
    whole = folder.resolve()
    allowed = (whole, *hub_blobs(whole))
    return target if any(target.is_relative_to(each) for each in allowed) else link


def hub_blobs(folder: Path) -> list[Path]:
    """Return the blobs of the Hub's cache if a folder lies in one of its snapshots."""
    snapshots = [each.parent for each in (folder, *folder.parents) if each.parent.name == "snapshots"]
    repositories = [each.parent for each in snapshots if each.parent.name.startswith("models--")]
    return [each / "blobs" for each in repositories]


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link; copy its target there instead"
    return "a folder" if stat.S_ISDIR(mode) else "a file" if stat.S_ISREG(mode) else "a device or pipe"
