"""A pull request as git has it: which files it changes, and their bytes, read without checking them out.

What a stranger's branch holds is read as data: it is not checked out, no hook or filter of it runs, and a
link in it is never followed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from understudy.suite.errors import InputError, MachineError

ADDED, CHANGED, REMOVED = "added", "changed", "removed"
PLAIN_FILE: Final = "100644"  # git's mode of a file that is neither a link nor executable
_KINDS: Final = {"A": ADDED, "D": REMOVED}  # every other letter is a change


@dataclass(frozen=True)
class Change:
    """One file that a pull request adds, changes or removes."""

    path: str  # in the repository, with `/`
    kind: str  # ADDED, CHANGED or REMOVED
    mode: str = PLAIN_FILE  # git's, after the change
    blob: str = ""  # git's name of its content after the change
    size_bytes: int = 0  # of its content after the change


class PullRequest:
    """The commits that a branch of a repository adds to another branch."""

    def __init__(self, repository: Path, target: str, head: str = "HEAD") -> None:
        """Find the commits.

        Args:
            repository: a git checkout.
            target: branch, tag or commit hash that the pull request is to be merged into.
            head: of the pull request.

        Raises:
            InputError: no such commit, or the two have no history in common here.
            MachineError: git is missing or fails.
        """
        self.repository = repository
        self.target = self._commit(target)
        self.head = self._commit(head)
        common = self._ask("merge-base", self.target, self.head)
        if not common:
            raise InputError(
                f"{repository}: {target} and {head} have no commit in common; fetch the whole history: "
                "git fetch --unshallow"
            )
        self.base = (
            common.decode().strip()
        )  # where the branch left its target: later commits there are not its

    def changes(self) -> list[Change]:
        """Return the files that differ between the base and the head, sorted by path."""
        fields = self._git("diff-tree", "-r", "-z", "--no-renames", self.base, self.head).split(b"\0")
        sizes = {blob: size for _, _, blob, size in self._tree(self.head, ".")}
        found = []
        for described, name in zip(fields[0::2], fields[1::2], strict=False):
            _, mode, _, blob, letter = described.decode().split()
            found.append(Change(_text(name), _KINDS.get(letter, CHANGED), mode, blob, sizes.get(blob, 0)))
        return sorted(found, key=lambda change: change.path)

    def content(self, change: Change) -> bytes:
        """Return a file's bytes after the change."""
        return self._git("cat-file", "blob", change.blob)

    def read(self, commit: str, path: str) -> bytes | None:
        """Return the bytes of a file in a commit; None if it isn't there."""
        return self._ask("cat-file", "blob", f"{commit}:{path}")

    def files_below(self, commit: str, folder: str) -> list[Change]:
        """Return the files below a folder in a commit, each as if it were added; none without that folder."""
        found = self._tree(commit, f"{folder}/")
        return [Change(_text(name), ADDED, mode, blob, size) for name, mode, blob, size in found]

    def _tree(self, commit: str, folder: str) -> Iterator[tuple[bytes, str, str, int]]:
        """Yield name, mode, blob and size in bytes of each file below a folder in a commit."""
        listed = self._git("ls-tree", "-r", "-l", "-z", "--full-tree", commit, "--", folder)
        for line in listed.split(b"\0")[:-1]:
            described, _, name = line.partition(b"\t")
            mode, _, blob, size = described.decode().split()
            yield name, mode, blob, int(size) if size.isdigit() else 0  # "-" of a submodule

    def _commit(self, name: str) -> str:
        found = self._ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if not found:
            raise InputError(
                f"{self.repository}: expected a branch, a tag or a commit; found {name!r}, which is none "
                "here; fetch it first"
            )
        return found.decode().strip()

    def _git(self, *arguments: str) -> bytes:
        """Return what git prints; MachineError with what it said where it fails."""
        done = self._run(*arguments)
        if done.returncode:
            said = done.stderr.decode("utf-8", "backslashreplace").strip()
            raise MachineError(f"git {arguments[0]} failed in {self.repository}: {said}")
        return done.stdout

    def _ask(self, *arguments: str) -> bytes | None:
        """Return what git prints; None where there is no such commit or file."""
        done = self._run(*arguments)
        return None if done.returncode else done.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                ["git", "-C", str(self.repository), *arguments], capture_output=True, check=False
            )
        except OSError as error:
            raise MachineError(f"git could not be run ({error.strerror}); install git") from error


def _text(name: bytes) -> str:
    """Return a path of git as text; a byte that is not UTF-8 is escaped."""
    return name.decode("utf-8", "backslashreplace")
