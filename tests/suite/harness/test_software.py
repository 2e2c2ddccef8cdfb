"""The commit that records name: of a checkout's git repository, marked where its code was changed."""

from __future__ import annotations

import subprocess

import pytest

from understudy.suite.harness import software
from understudy.suite.io import checkout


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A git repository with one commit of a Python file and a text, in place of the checkout."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setattr(checkout, "ROOT", tmp_path)
    (tmp_path / "code.py").write_text("1\n")
    (tmp_path / "text.md").write_text("one\n")
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    for command in (("init", "-b", "main"), ("add", "."), (*who, "commit", "-m", "one")):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True, capture_output=True)
    return tmp_path


def test_a_commit_is_marked_only_where_tracked_code_was_changed(repository):
    commit = (repository / ".git" / "refs" / "heads" / "main").read_text().strip()
    assert len(commit) == 40
    assert software._commit() == commit
    (repository / "text.md").write_text("two\n")
    (repository / "new.py").write_text("2\n")
    assert software._commit() == commit
    (repository / "code.py").write_text("2\n")
    assert software._commit() == f"{commit}+changes"


def test_without_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(checkout, "ROOT", tmp_path)
    assert software._commit() is None
    (tmp_path / ".git").mkdir()  # which git does not take for a repository
    assert software._commit() is None
