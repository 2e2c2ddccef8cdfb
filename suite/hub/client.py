"""Reading from the Hub: a tag becomes a hash once, a pinned state is fetched once and checked on every load.

The Hub's client reads HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE when it is imported, so that is done where
it is used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from understudy.suite.errors import CheckFailed, InputError, MachineError
from understudy.suite.hub import locations, manifest
from understudy.suite.hub.failures import ask
from understudy.suite.hub.locations import Location

Report = Callable[[str], None]
_INSIDE = re.compile(r"(hf://[^@]*@[0-9a-f]{40})/(.+)")


@dataclass(frozen=True)
class Entry:
    """One file of a repository, as the Hub lists it."""

    size_bytes: int
    oid: str  # SHA-256 of its bytes (64 hex) if it is kept as a large file, else git's SHA-1 of its blob (40)


def folder(text: str, report: Report = lambda line: None) -> Path:
    """Return the fetched and checked folder, or path in it, that `hf://...@<commit hash>[/path]` names.

    Raises InputError where the text is malformed, not pinned, or names what isn't there; else as `fetch`.
    """
    match = _INSIDE.fullmatch(text)
    whole, inside = (match[1], match[2]) if match else (text, "")
    found = fetch(pinned(whole), report) / inside
    if ".." in PurePosixPath(inside).parts or not found.exists():
        raise InputError(f"{text}: {whole} holds no {inside}; see: understudy histories list {whole}")
    return found


def resolve(location: Location) -> Location:
    """Return the location pinned: a tag, a branch or nothing becomes the commit hash that it means now."""
    if location.pinned:
        return location
    from huggingface_hub import HfApi

    found = ask(
        location,
        lambda: HfApi().repo_info(location.repo, repo_type=location.repo_type, revision=location.revision),
    )
    return location.at(str(found.sha))


def pinned(text: str) -> Location:
    """Read a location that must name a commit hash; InputError, with the hash to use, if it doesn't."""
    location = locations.parse(text)
    if location.pinned:
        return location
    try:
        meant = str(resolve(location))
    except MachineError as error:
        raise InputError(
            f"{text}: expected {location.at('<40 hex digits>')}, which `understudy histories pull` prints; "
            f"the Hub could not be asked for it ({error})"
        ) from error
    raise InputError(
        f"{text}: expected a commit hash, so that the name means the same bytes for ever; use {meant}"
    )


def fetch(location: Location, report: Report = lambda line: None) -> Path:
    """Return the folder that holds a pinned state of a repository, fetched if it isn't in the cache yet.

    Args:
        location: pinned.
        report: told one line with the size, before anything large is fetched.

    Raises:
        InputError: there is no such thing, it may not be read, or it has no manifest.
        MachineError: the Hub is needed and can't be reached, or HF_HUB_OFFLINE is set.
        CheckFailed: a file is not what the manifest says; it is removed from the cache, to be fetched anew.
    """
    if not location.pinned:
        raise ValueError(f"expected a pinned location, found {location}")
    folder = cached(location) or _download(location, report)
    if not (folder / manifest.NAME).exists():
        raise InputError(
            f"{location}: it has no {manifest.NAME}, so it can't be checked; was it published otherwise?"
        )
    try:
        manifest.check(folder)
    except manifest.Mismatch as mismatch:
        raise CheckFailed(f"{location}: {mismatch}; {_drop(folder, mismatch.path)}") from mismatch
    return folder


def cached(location: Location) -> Path | None:
    """Return the folder of a pinned state if all of it is in the cache; nothing is asked of the Hub."""
    from huggingface_hub import errors, snapshot_download

    try:
        snapshot_download(
            location.repo, repo_type=location.repo_type, revision=location.revision, local_files_only=True
        )
    except errors.LocalEntryNotFoundError:
        return None
    folder = _snapshot(location)
    return folder if (folder / manifest.NAME).exists() else None


def entries(location: Location) -> dict[str, Entry]:
    """Return the files of a repository by path, as the Hub lists them; nothing is fetched."""
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
        item.path: Entry(item.size, item.lfs.sha256 if item.lfs else item.blob_id)
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
    folder = _snapshot(location)
    try:
        # The download itself would answer a wrong name or a dead network late, and in other words.
        ask(location, lambda: HfApi().repo_info(location.repo, repo_type=kind, revision=revision))
        report(_size_line(location, entries(location), folder))
        ask(location, lambda: snapshot_download(location.repo, repo_type=kind, revision=revision))
    except MachineError as error:
        held = sum(path.is_file() for path in folder.rglob("*"))
        if not held:
            raise
        raise MachineError(f"{error}; the cache holds {held} of its files, not all") from error
    return folder


def _size_line(location: Location, listed: Mapping[str, Entry], folder: Path) -> str:
    wanted = [entry.size_bytes for path, entry in listed.items() if not (folder / path).exists()]
    total = sum(entry.size_bytes for entry in listed.values())
    return f"{location}: fetching {size(sum(wanted))} in {len(wanted)} files; {size(total)} in all"


def _snapshot(location: Location) -> Path:
    """Return where the client's cache holds a state.

    Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
    """
    from huggingface_hub import constants

    repo = f"{location.repo_type}s--{location.repo.replace('/', '--')}"
    return Path(constants.HF_HUB_CACHE).expanduser() / repo / "snapshots" / str(location.revision)


def _drop(folder: Path, name: str | None) -> str:
    """Remove a file and the manifest from the cache, for either may be the altered one; say what was done."""
    paths = [folder / part for part in (name, manifest.NAME) if part is not None]
    try:
        for path in paths:
            _unlink_through(path)
    except OSError as error:
        return f"delete {' and '.join(map(str, paths))} ({error.strerror}), then try again"
    return (
        "it is removed from the cache and the same command fetches it anew; if this comes again, what was "
        "published is damaged: tell its owner"
    )


def _unlink_through(path: Path) -> None:
    """Remove a file of a snapshot and all that it links to: the bytes lie elsewhere in the cache."""
    while path.is_symlink():
        target = path.parent / os.readlink(path)
        path.unlink()
        path = target
    path.unlink(missing_ok=True)
