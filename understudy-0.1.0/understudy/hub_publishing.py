"""What the commands that publish on the Hub share: their argument, and what they say of a commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from understudy.suite.hub.commits import CommitPlan
    from understudy.suite.hub.locations import Location, RepoType


def location(repo: str, repo_type: RepoType, tag: str | None) -> Location:
    """Return the repository that a user names; InputError for a revision, or a malformed name or tag."""
    from understudy.suite.errors import InputError
    from understudy.suite.hub import locations

    found = locations.parse_repo(repo, repo_type)
    if found.revision is not None:
        raise InputError(
            f"{repo}: expected user/repo without a revision; push adds a commit to main, --tag names it"
        )
    if tag is not None:
        locations.parse_repo(f"{repo}@{tag}", repo_type)
    return found


def show(planned: CommitPlan, what: str, location: Location) -> None:
    """Print on standard error what a commit would change."""
    from understudy import screen
    from understudy.suite.hub import client

    if planned.empty:
        screen.echo("nothing to do: the Hub has the same files", err=True)
        return
    new = f"; the {location.repo_type} is new" if planned.parent is None else ""
    screen.echo(
        f"{what}: {len(planned.added)} files to add, {len(planned.changed)} to change, "
        f"{len(planned.removed)} to remove, {client.size(planned.size_bytes)}{new}",
        err=True,
    )
    for path in planned.removed:
        screen.echo(f"removed from the Hub, not in the folder: {path}", err=True)
