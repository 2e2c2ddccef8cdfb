"""Write to the Hub: replace a repository's whole content in one commit, or change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from understudy.suite.errors import InputError, MachineError
from understudy.suite.hub import client, failures, manifest, object_ids
from understudy.suite.hub.failures import ask
from understudy.suite.hub.locations import Location
from understudy.suite.hub.object_ids import Content

KEPT: Final = manifest.UNLISTED - {manifest.NAME}  # files that stay if the new content doesn't have them


@dataclass(frozen=True)
class CommitPlan:
    """The changes that one commit would make to a repository."""

    parent: str | None  # hash of the commit that the plan builds on; None if there is no repository
    added: tuple[str, ...]  # paths, sorted
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    size_bytes: int  # of added and changed files

    @property
    def empty(self) -> bool:
        """Whether the repository already has the content."""
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
        location: the repository; it is created if it doesn't exist. Its revision is not used.
        message: of the commit.
        private: whether a newly created repository is private.
        tag: for the commit.

    Raises:
        InputError: not allowed, the tag is taken, or the repository has files and no manifest.
        MachineError: the Hub failed, or another commit came in between; then nothing was written.
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


def plan(contents: Mapping[str, Content], location: Location) -> CommitPlan:
    """Return what `publish` would change; raise InputError if the repository has files and no manifest."""
    from huggingface_hub import HfApi

    if not ask(location, lambda: HfApi().repo_exists(location.repo, repo_type=location.repo_type)):
        return CommitPlan(None, tuple(sorted(contents)), (), (), sum(map(_size_bytes, contents.values())))
    head = client.resolve(Location(location.repo_type, location.repo, None))
    existing = client.entries(head)
    others = sorted(existing.keys() - KEPT)
    if others and manifest.NAME not in existing:
        raise InputError(
            f"{location}: expected a repository that understudy published, found {others[0]} and no "
            f"{manifest.NAME}; choose another"
        )
    added = sorted(contents.keys() - existing.keys())
    changed = sorted(
        path
        for path in contents.keys() & existing.keys()
        if object_ids.of(contents[path], existing[path].oid) != existing[path].oid
    )
    removed = sorted(existing.keys() - contents.keys() - KEPT)
    size_bytes = sum(_size_bytes(contents[path]) for path in (*added, *changed))
    return CommitPlan(head.revision, tuple(added), tuple(changed), tuple(removed), size_bytes)


def _tagged(location: Location, tag: str | None, planned: CommitPlan) -> bool:
    """Return whether the tag is at the commit already; raise InputError if it is at another."""
    if tag is None:
        return False
    from huggingface_hub import HfApi

    refs = ask(location, lambda: HfApi().list_repo_refs(location.repo, repo_type=location.repo_type))
    targets = {ref.name: ref.target_commit for ref in refs.tags}
    if tag in targets and not (planned.empty and targets[tag] == planned.parent):
        raise InputError(
            f"{location}: the tag {tag} exists, at {targets[tag]}, and tags never move; choose another. "
            "Nothing was published"
        )
    return tag in targets


def _commit(contents: Mapping[str, Content], location: Location, message: str, planned: CommitPlan) -> str:
    """Commit on top of the planned parent; return the commit's hash."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.errors import HfHubHTTPError

    def commit() -> str:
        # Operations keep state, so every attempt needs new ones.
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
    """Return the head's hash if an earlier attempt had succeeded and it has our contents; otherwise raise."""
    now = plan(contents, location)
    if now.empty:
        return str(now.parent)
    raise MachineError(
        f"{location}: another commit, {now.parent}, came in between, so nothing was written; look at it, "
        "then push again"
    )


def _size_bytes(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size
