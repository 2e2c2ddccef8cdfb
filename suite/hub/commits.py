"""Writing to the Hub: a whole state in one commit on top of the one that was looked at, or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from understudy.suite import files
from understudy.suite.errors import InputError, MachineError
from understudy.suite.hub import client, failures, manifest
from understudy.suite.hub.failures import ask
from understudy.suite.hub.locations import Location

Content = Path | bytes

KEPT: Final = manifest.UNLISTED - {manifest.NAME}  # of the repository, where what is published has none


@dataclass(frozen=True)
class Plan:
    """What one commit would do to a repository."""

    parent: str | None  # commit hash that the plan was made on; None where the repository doesn't exist
    added: tuple[str, ...]  # paths, sorted
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    size_bytes: int  # of what is added or changed

    @property
    def empty(self) -> bool:
        """Whether the repository already is what would be published."""
        return self.parent is not None and not (self.added or self.changed or self.removed)


def publish(
    contents: Mapping[str, Content],
    location: Location,
    message: str,
    private: bool = False,
    tag: str | None = None,
) -> Location:
    """Make a repository hold exactly `contents`, in one commit on its main branch; return it pinned.

    Args:
        contents: files or bytes by path in the repository.
        location: the repository; it is created if there is none. Its revision is not used.
        message: of the commit.
        private: whether a repository that has to be created is private.
        tag: a name for the commit; made after it.

    Raises:
        InputError: not allowed, the tag is taken, or the repository holds what was not published by us.
        MachineError: the Hub failed, or somebody else committed in between; nothing was written then.
    """
    from huggingface_hub import HfApi

    at_main = Location(location.repo_type, location.repo, None)
    planned = plan(contents, at_main)
    if planned.parent is None:
        ask(
            at_main,
            lambda: HfApi().create_repo(
                at_main.repo, repo_type=at_main.repo_type, private=private, exist_ok=True
            ),
        )
        planned = plan(contents, at_main)
    tagged = _tagged(at_main, tag, planned)
    commit = str(planned.parent) if planned.empty else _commit(contents, at_main, message, planned)
    if tag is not None and not tagged:
        ask(
            at_main,
            lambda: HfApi().create_tag(at_main.repo, repo_type=at_main.repo_type, tag=tag, revision=commit),
        )
    return at_main.at(commit)


def plan(contents: Mapping[str, Content], location: Location) -> Plan:
    """Return what `publish` would do; InputError where the repository holds what was not published by us."""
    from huggingface_hub import HfApi

    if not ask(location, lambda: HfApi().repo_exists(location.repo, repo_type=location.repo_type)):
        return Plan(None, tuple(sorted(contents)), (), (), sum(map(_size_bytes, contents.values())))
    head = client.resolve(Location(location.repo_type, location.repo, None))
    there = client.entries(head)
    foreign = sorted(there.keys() - KEPT)
    if foreign and manifest.NAME not in there:
        raise InputError(
            f"{location}: expected a repository that was published from here, found {foreign[0]} and no "
            f"{manifest.NAME} in it; choose another"
        )
    added = sorted(contents.keys() - there.keys())
    changed = sorted(
        path
        for path in contents.keys() & there.keys()
        if _oid(contents[path], there[path].oid) != there[path].oid
    )
    removed = sorted(there.keys() - contents.keys() - KEPT)
    size_bytes = sum(_size_bytes(contents[path]) for path in (*added, *changed))
    return Plan(head.revision, tuple(added), tuple(changed), tuple(removed), size_bytes)


def _tagged(location: Location, tag: str | None, planned: Plan) -> bool:
    """Return whether the tag is already where it is to be; InputError if it is elsewhere."""
    if tag is None:
        return False
    from huggingface_hub import HfApi

    refs = ask(location, lambda: HfApi().list_repo_refs(location.repo, repo_type=location.repo_type))
    targets = {ref.name: ref.target_commit for ref in refs.tags}
    if tag in targets and not (planned.empty and targets[tag] == planned.parent):
        raise InputError(
            f"{location}: the tag {tag} exists, at {targets[tag]}, and a tag never moves; choose another. "
            "Nothing was published"
        )
    return tag in targets


def _commit(contents: Mapping[str, Content], location: Location, message: str, planned: Plan) -> str:
    """Commit on top of the planned parent; return the commit's hash."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.errors import HfHubHTTPError

    def commit() -> str:
        # Operations keep state, so each try has its own.
        additions = [CommitOperationAdd(path, contents[path]) for path in (*planned.added, *planned.changed)]
        removals = [CommitOperationDelete(path) for path in planned.removed]
        try:
            made = HfApi().create_commit(
                location.repo,
                [*additions, *removals],
                commit_message=message,
                repo_type=location.repo_type,
                parent_commit=planned.parent,
            )
        except HfHubHTTPError as error:
            if failures.status(error) != 412:
                raise
            return _after_lost_race(contents, location)
        return made.oid

    return ask(location, commit)


def _after_lost_race(contents: Mapping[str, Content], location: Location) -> str:
    """Return the head's hash if it holds our contents, for an earlier try went through; else raise."""
    now = plan(contents, location)
    if now.empty:
        return str(now.parent)
    raise MachineError(
        f"{location}: somebody else committed {now.parent} in between, so nothing was written; look at it, "
        "then push again"
    )


def _size_bytes(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _oid(content: Content, like: str) -> str:
    """Return the name that the Hub gives to a content: SHA-256 or git's SHA-1, as long as `like`."""
    if len(like) == 64:
        return manifest.bytes_sha256(content) if isinstance(content, bytes) else files.sha256(content)
    data = content if isinstance(content, bytes) else content.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
