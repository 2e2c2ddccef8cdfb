"""Read from the Hub: resolve tags to commit hashes, download pinned revisions, and check them on every load.

`huggingface_hub` reads HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE when it is imported, so functions import it
where they use it.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from understudy.suite.errors import CheckFailed, InputError, MachineError
from understudy.suite.hub import locations, manifest, object_ids
from understudy.suite.hub.failures import ask
from understudy.suite.hub.locations import Location, RepoType
from understudy.suite.io import paths, walks

Report = Callable[[str], None]
PRINTED_BY: Final[dict[RepoType, str]] = {  # the command that prints a pinned name
    "dataset": "understudy histories pull",
    "model": "understudy submissions push",
}
_INSIDE = re.compile(r"(hf://[^@]*@[0-9a-f]{40})/(.+)")


@dataclass(frozen=True)
class RepoEntry:
    """One file of a repository, as the Hub lists it."""

    size_bytes: int
    oid: str  # SHA-256 of the bytes (64 hex digits) of an LFS file, otherwise git's SHA-1 of the blob (40)


def folder(text: str, report: Report = lambda line: None) -> Path:
    """Return the path of `hf://...@<commit hash>[/path]`, downloaded if it isn't cached, and checked.

    Raises InputError if the text is malformed or not pinned, or the path doesn't exist; otherwise as `fetch`.
    """
    whole, inside = split(text)
    found = fetch(pinned(whole), report) / inside
    if ".." in PurePosixPath(inside).parts or not found.exists():
        raise InputError(f"{text}: {whole} holds no {inside}; see: understudy histories list {whole}")
    return found


def split(text: str) -> tuple[str, str]:
    """Return the location and the path inside it, "" if there is none, of `hf://...@<commit hash>[/path]`."""
    match = _INSIDE.fullmatch(text)
    return (match[1], match[2]) if match else (text, "")


def resolve(location: Location) -> Location:
    """Return the location with its tag, branch or missing revision replaced by the current commit hash."""
    if location.pinned:
        return location
    from huggingface_hub import HfApi

    found = ask(
        location,
        lambda: HfApi().repo_info(location.repo, repo_type=location.repo_type, revision=location.revision),
    )
    return location.at(str(found.sha))


def pinned(text: str) -> Location:
    """Parse a location that must be pinned; otherwise raise InputError with the commit hash to use."""
    location = locations.parse(text)
    if location.pinned:
        return location
    try:
        current = str(resolve(location))
    except MachineError as error:
        raise InputError(
            f"{text}: expected {location.at('<40 hex digits>')}, which `{PRINTED_BY[location.repo_type]}` "
            f"prints; the Hub could not be asked for it ({error})"
        ) from error
    raise InputError(
        f"{text}: expected a commit hash, so that the name always means the same bytes; use {current}"
    )


def fetch(location: Location, report: Report = lambda line: None) -> Path:
    """Return the folder of a pinned location, downloaded if it isn't cached, and checked by its manifest.

    Args:
        location: pinned.
        report: called with one line that gives the size, before the download.

    Raises:
        InputError: the location doesn't exist, can't be read, or has no manifest.
        MachineError: the Hub is needed and can't be reached, or HF_HUB_OFFLINE is set.
        CheckFailed: a file doesn't match the manifest; it was removed from the cache.
    """
    if not location.pinned:
        raise ValueError(f"expected a pinned location, found {location}")
    folder = cached(location) or _download(location, report)
    if not (folder / manifest.NAME).exists():
        raise InputError(
            f"{location}: no {manifest.NAME}, so it can't be checked; was it published by other means?"
        )
    try:
        manifest.check(folder)
    except manifest.Mismatch as mismatch:
        altered = [folder / name for name in (mismatch.path, manifest.NAME) if name is not None]
        raise CheckFailed(f"{location}: {mismatch}; {_drop(altered)}") from mismatch
    return folder


def fetch_files(location: Location, limits: Mapping[str, int], report: Report = lambda line: None) -> Path:
    """Return the folder of a pinned location that holds some of its files, each checked by its object id.

    Files that are not in the cache are downloaded, once all of them are known to be there and small enough;
    a file in the cache needs no request. Other files of the repository are left on the Hub.

    Args:
        location: pinned.
        limits: the most bytes that a file may have, by path.
        report: called with one line that gives the size, before a download.

    Raises:
        InputError: the location doesn't exist, can't be read, or lacks one of the files; a file is too large.
        MachineError: the Hub is needed and can't be reached, or HF_HUB_OFFLINE is set.
        CheckFailed: a file has other bytes than the commit; it was removed from the cache.
    """
    if not location.pinned:
        raise ValueError(f"expected a pinned location, found {location}")
    folder = snapshot(location)
    missing = {path: limit for path, limit in limits.items() if not (folder / path).exists()}
    listed = _download_files(location, missing, report) if missing else {}
    for path in limits:
        expected = listed[path].oid if path in listed else object_ids.in_cache(folder / path)
        found = expected and object_ids.of(folder / path, expected)
        if found != expected:
            raise CheckFailed(
                f"{location}: {path}: its hash is {found}, the commit says {expected}; "
                f"{_drop([folder / path])}"
            )
    return folder


def cached(location: Location) -> Path | None:
    """Return the folder of a pinned location if it is completely cached; makes no request."""
    from huggingface_hub import errors, snapshot_download

    try:
        snapshot_download(
            location.repo, repo_type=location.repo_type, revision=location.revision, local_files_only=True
        )
    except errors.LocalEntryNotFoundError:
        return None
    folder = snapshot(location)
    return folder if (folder / manifest.NAME).exists() else None


def entries(location: Location) -> dict[str, RepoEntry]:
    """Return the files of a repository by path, as the Hub lists them; downloads nothing."""
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    listed = ask(
        location,
        lambda: list(
            HfApi().list_repo_tree(
                location.repo, repo_type=location.repo_type, revision=location.revision, recursive=True
            )
        ),
    )
    return {
        item.path: RepoEntry(item.size, item.lfs.sha256 if item.lfs else item.blob_id)
        for item in listed
        if isinstance(item, RepoFile)
    }


def size(size_bytes: int) -> str:
    """Return a size as text, e.g. "1.5 MB"."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.1f} {unit}"
    return f"{size_bytes} bytes"


def _download(location: Location, report: Report) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    kind, revision = location.repo_type, location.revision
    folder = snapshot(location)
    try:
        # The download would report a wrong name or a broken network only later, with less useful errors.
        ask(location, lambda: HfApi().repo_info(location.repo, repo_type=kind, revision=revision))
        report(_size_line(location, entries(location), folder))
        ask(location, lambda: snapshot_download(location.repo, repo_type=kind, revision=revision))
    except MachineError as error:
        held = len(walks.unfollowed(folder))
        if not held:
            raise
        raise MachineError(f"{error}; the cache holds only {held} of its files") from error
    return folder


def _download_files(location: Location, limits: Mapping[str, int], report: Report) -> dict[str, RepoEntry]:
    """Download some files, all of them looked at first; return how the Hub lists them."""
    from huggingface_hub import hf_hub_download

    listed = entries(location)
    for path, limit in limits.items():
        if path not in listed:
            raise InputError(f"{location}: {path} is not in this repository; ask its owner to publish it")
        if listed[path].size_bytes > limit:
            raise InputError(
                f"{location}: {path}: expected at most {limit:,} bytes, found {listed[path].size_bytes:,}"
            )
    wanted = {path: listed[path] for path in limits}
    total = sum(entry.size_bytes for entry in wanted.values())
    report(f"{location}: fetching {size(total)} in {len(wanted)} files")
    for path in wanted:
        ask(
            location,
            functools.partial(
                hf_hub_download,
                location.repo,
                path,
                repo_type=location.repo_type,
                revision=location.revision,
            ),
        )
    return wanted


def _size_line(location: Location, listed: Mapping[str, RepoEntry], folder: Path) -> str:
    wanted = [entry.size_bytes for path, entry in listed.items() if not (folder / path).exists()]
    total = sum(entry.size_bytes for entry in listed.values())
    return f"{location}: fetching {size(sum(wanted))} in {len(wanted)} files; {size(total)} in all"


def snapshot(location: Location) -> Path:
    """Return the folder of a revision in the client's cache.

    Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
    """
    from huggingface_hub import constants

    repo = f"{location.repo_type}s--{location.repo.replace('/', '--')}"
    return paths.expanded(constants.HF_HUB_CACHE, "HF_HOME") / repo / "snapshots" / str(location.revision)


def _drop(paths: Sequence[Path]) -> str:
    """Remove files from the cache of which one is altered; return what to do next."""
    try:
        for path in paths:
            _unlink_through(path)
    except OSError as error:
        return f"delete {' and '.join(map(str, paths))} ({error.strerror}), then try again"
    return (
        "it was removed from the cache, and the same command fetches it again; if the error returns, the "
        "published file is damaged: tell its owner"
    )


def _unlink_through(path: Path) -> None:
    """Remove a file of a snapshot and the files that it links to, which hold its bytes."""
    while path.is_symlink():
        target = path.parent / os.readlink(path)
        path.unlink()
        path = target
    path.unlink(missing_ok=True)
