"""Walks: links are followed, and what can't be followed or listed is named."""

import os
import re

import pytest
from support import ROOT, privileges

from understudy.suite.errors import InputError
from understudy.suite.io import files, walks


def write(path, text="12345"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def tree(tmp_path):
    """A file, a hidden file, and a linked folder and file whose targets lie elsewhere."""
    write(tmp_path / "elsewhere/run/log")
    write(tmp_path / "tree/a/log")
    write(tmp_path / "tree/a/.hidden")
    (tmp_path / "tree/b").mkdir()
    (tmp_path / "tree/b/run").symlink_to(tmp_path / "elsewhere/run")
    (tmp_path / "tree/b/log").symlink_to(tmp_path / "elsewhere/run/log")
    return tmp_path / "tree"


def below(folder, found):
    return [path.relative_to(folder).as_posix() for path in found]


def test_links_to_files_and_folders_are_followed(tree):
    assert below(tree, walks.files(tree)) == ["a/.hidden", "a/log", "b/log", "b/run/log"]
    assert below(tree, walks.matching(tree, "*/run/log")) == ["b/run/log"]
    assert below(tree, walks.matching(tree, "*/*/log")) == ["b/run/log"]
    assert below(tree, walks.matching(tree, "*/*")) == ["a/log", "b/log", "b/run"]  # no dot in front
    assert below(tree, walks.matching(tree, "*/.h*")) == ["a/.hidden"]
    assert below(tree, walks.folders(tree / "b")) == ["b/run"]


def test_a_strangers_links_are_entries_themselves(tree):
    assert below(tree, walks.unfollowed(tree)) == ["a/.hidden", "a/log", "b/log", "b/run"]


def test_nothing_is_found_where_nothing_is(tmp_path):
    file = write(tmp_path / "file")
    for place in (tmp_path / "none", file):
        assert walks.files(place) == walks.unfollowed(place) == walks.matching(place, "*/x") == []
        assert walks.folders(place) == []
    assert not walks.is_file(tmp_path / "none")
    assert not walks.is_file(tmp_path)
    assert walks.is_file(file)


def test_a_link_to_nothing_is_named(tree):
    (tree / "lost").symlink_to("/not/mounted")
    named = rf"{tree}/lost: a link to /not/mounted, which is not there; restore that"
    for walk in (
        lambda: walks.files(tree),
        lambda: walks.matching(tree, "*/log"),
        lambda: walks.folders(tree),
        lambda: walks.is_file(tree / "lost"),
    ):
        with pytest.raises(InputError, match=named):
            walk()
    seen = []
    assert tree / "lost" in walks.files(tree, seen.append)
    assert seen == [tree / "lost"]
    assert walks.matching(tree, "l*") == [tree / "lost"]  # whoever reads it says so
    assert tree / "lost" in walks.unfollowed(tree)


def test_an_editors_lock_is_no_missing_disk(tree):
    (tree / ".#log").symlink_to("me@host.1234")
    assert below(tree, walks.files(tree))[0] == ".#log"
    assert below(tree, walks.matching(tree, "*/log")) == ["a/log", "b/log"]


def test_links_in_a_circle_are_named(tree):
    (tree / "b/up").symlink_to(tree)
    with pytest.raises(InputError, match=r"tree/b/up: a link to a folder that it lies in"):
        walks.files(tree)
    (tree / "b/up").unlink()
    (tree / "b/one").symlink_to("two")
    (tree / "b/two").symlink_to("one")
    with pytest.raises(InputError, match=r"tree/b/one: a link to two, which is not there"):
        walks.files(tree)


@pytest.mark.parametrize("pattern", ["a/log", "*/log", "*/l*"])
def test_a_folder_that_may_not_be_read_is_named(pattern):
    with privileges.nobodys_folder() as folder:
        write(folder / "a/log")
        write(folder / "b/log")
        with privileges.closed(folder / "a"), privileges.as_nobody():
            assert [path.parent.name for path in folder.rglob("log")] == ["b"]  # pathlib says nothing
            for walk in (
                lambda: walks.files(folder),
                lambda: walks.unfollowed(folder),
                lambda: walks.matching(folder, pattern),
                lambda: walks.is_file(folder / "a/log"),
            ):
                with pytest.raises(InputError, match=rf"{folder}/a(/log)?: may not be (listed|read) \(Perm"):
                    walk()


# Folders of the package itself, and one that is only asked whether it is empty.
ELSEWHERE = {
    *("leaderboard/controls_page.py", "submissions/resolution.py", "suite/registry.py"),
    *("suite/reserved_names.py", "understudy/cli.py"),
    *("suite/harness/row_storage.py", "suite/histories/replay_notes.py"),
    "leaderboard/kept_scores.py",
}


def test_nothing_else_walks_folders_of_a_user():
    call = re.compile(r"\.(r?glob|iterdir|walk|listdir)\(|\bscandir\(")
    found = set()
    for package in ("suite", "baselines", "submissions", "leaderboard", "understudy"):
        for path in (ROOT / package).rglob("*.py"):
            if any(
                call.search(line) and "ast.walk" not in line for line in path.read_text("utf-8").splitlines()
            ):
                found.add(path.relative_to(ROOT).as_posix())
    assert found == {"suite/io/walks.py", *ELSEWHERE}


def test_a_size_counts_each_file_once(tree):
    links = [tree / "b/run", tree / "b/log"]
    assert files.size_bytes(tree) == 5 + 5 + sum(len(os.readlink(link)) for link in links)
