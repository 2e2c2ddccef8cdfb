"""Locations on the Hub: `hf://datasets/user/repo@<40-hex>` or `hf://user/repo@<40-hex>`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

from understudy.suite.errors import InputError

RepoType = Literal["dataset", "model"]

SCHEME: Final = "hf://"
PREFIXES: Final[dict[RepoType, str]] = {"dataset": "datasets/", "model": ""}
_HASH = re.compile(r"[0-9a-f]{40}")
# Names that the Hub allows. Source: https://huggingface.co/docs/huggingface_hub, `validate_repo_id`.
_NAME = re.compile(r"(?!.*(--|\.\.))(?!.*\.git$)[A-Za-z0-9_]([\w.-]{0,94}[A-Za-z0-9_])?", re.ASCII)
_REVISION = re.compile(r"(?!.*(\.\.|@\{|//))[\w][\w.+/-]{0,199}(?<![./])", re.ASCII)


@dataclass(frozen=True)
class Location:
    """A repository on the Hub, and a revision of it."""

    repo_type: RepoType
    repo: str  # user/repo
    revision: str | None  # commit hash of 40 hex digits, tag or branch; None for the newest commit

    def __str__(self) -> str:
        at = "" if self.revision is None else f"@{self.revision}"
        return f"{SCHEME}{PREFIXES[self.repo_type]}{self.repo}{at}"

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit hash, so that the location always names the same bytes."""
        return self.revision is not None and _HASH.fullmatch(self.revision) is not None

    def at(self, revision: str) -> Location:
        """Return the same repository at another revision."""
        return replace(self, revision=revision)


def names_hub(text: str) -> bool:
    """Return whether a text is a location on the Hub rather than a path."""
    return text.startswith(SCHEME)


def parse(text: str) -> Location:
    """Parse `hf://[datasets/]user/repo[@revision]`; raise InputError for anything else."""
    if not names_hub(text):
        raise InputError(f"{text}: expected {SCHEME}datasets/user/repo@<commit hash>")
    rest = text.removeprefix(SCHEME)
    repo_type: RepoType = "dataset" if rest.startswith(PREFIXES["dataset"]) else "model"
    return parse_repo(rest.removeprefix(PREFIXES[repo_type]), repo_type, text)


def parse_repo(text: str, repo_type: RepoType, whole: str | None = None) -> Location:
    """Parse `user/repo[@revision]`; raise InputError, with `whole` in its message, otherwise."""
    whole = text if whole is None else whole
    repo, at, revision = text.partition("@")
    user, slash, name = repo.partition("/")
    if not (slash and _NAME.fullmatch(user) and _NAME.fullmatch(name)):
        raise InputError(
            f"{whole}: expected user/repo in letters, digits, '-', '_' and '.', found {repo!r}; "
            f"e.g. {SCHEME}{PREFIXES[repo_type]}user/repo@<commit hash>"
        )
    if at and not _REVISION.fullmatch(revision):
        raise InputError(f"{whole}: expected a commit hash, tag or branch after '@', found {revision!r}")
    return Location(repo_type, repo, revision if at else None)
