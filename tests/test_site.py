"""The docs site, the CI workflow and the forms name only what exists."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import ROOT

DOCS, GITHUB = ROOT / "docs", ROOT / ".github"
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
SETTINGS = [ROOT / "mkdocs.yml", ROOT / ".pre-commit-config.yaml", *sorted(GITHUB.rglob("*.yml"))]
API_PAGES = sorted((DOCS / "api").glob("*.md"))


def hook(name: str) -> Any:
    """Return a module of docs/hooks, which is on no import path."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pages(nav: Any) -> Iterator[str]:
    """Yield the pages of a navigation tree."""
    if isinstance(nav, str):
        yield nav
    for inner in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from pages(inner)


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_settings_are_yaml(path):
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_the_navigation_lists_every_page_of_docs_once_and_pages_that_exist():
    listed = list(pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    in_docs = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    published = (DOCS / "hooks" / "github_markdown.py").read_text()
    of_repository = dict(re.findall(r'^    "([^"]+\.md)": "([^"]+\.md)",$', published, re.MULTILINE))
    assert sorted(listed) == sorted(in_docs | set(of_repository.values()))
    assert all((ROOT / source).is_file() for source in of_repository)


@pytest.mark.parametrize("page", API_PAGES, ids=lambda page: page.name)
def test_the_api_reference_names_modules_that_exist(page):
    modules = re.findall(r"^::: (\S+)", page.read_text(), re.MULTILINE)
    assert modules or page.name == "index.md"
    assert all(importlib.util.find_spec(module) for module in modules)


@pytest.mark.parametrize(
    ("workflow", "expected"),
    [
        ("ci", ["make check", "make browser", "make demo", "make test", "make docs"]),
        ("lowest", ["make lowest"]),
    ],
)
def test_a_workflow_calls_make_targets_and_pinned_actions(workflow, expected):
    (job,) = yaml.safe_load((GITHUB / "workflows" / f"{workflow}.yml").read_text())["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands == expected
    assert {command.removeprefix("make ") for command in commands} <= make_targets()
    actions = [step["uses"] for step in job["steps"] if "uses" in step]
    assert actions
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in actions)


def test_pre_commit_needs_no_repository_but_this_one():
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_an_issue_form_has_what_github_asks_for(path):
    form = yaml.safe_load(path.read_text())
    assert form["name"]
    assert form["description"]
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids))
    for field in form["body"]:
        assert field["type"] in {"input", "textarea", "dropdown", "checkboxes"}
        assert field["attributes"]["label"]
        assert (field["type"] in {"dropdown", "checkboxes"}) == bool(field["attributes"].get("options"))


def test_a_pull_request_names_make_targets_that_exist():
    templates = [GITHUB / "PULL_REQUEST_TEMPLATE.md", *(GITHUB / "PULL_REQUEST_TEMPLATE").glob("*.md")]
    assert len(templates) == 4
    for template in templates:
        assert set(re.findall(r"`make ([a-z]+)`", template.read_text())) <= make_targets()


def test_the_glossary_gives_each_word_a_heading_and_a_definition():
    sections = re.split(r"^### ", (DOCS / "glossary.md").read_text(), flags=re.MULTILINE)[1:]
    words = [section.partition("\n")[0] for section in sections]
    assert len(words) == len(set(words))
    assert {"run", "reference", "gain", "normalised gain", "normalised agreement", "verdict"} <= set(words)
    for section in sections:
        assert len(section.partition("\n")[2].split("\n\n")[0].split()) >= 8


@pytest.mark.parametrize(
    ("source", "text", "shown"),
    [
        ("docs/hub.md", "[a](../README.md#goals)", "[a](readme.md#goals)"),
        ("docs/api/index.md", "[a](../../README.md)", "[a](../readme.md)"),
        ("README.md", "[a](docs/hub.md#cite)", "[a](hub.md#cite)"),
        ("docs/games.md", "[a](hub.md) and [b](#cite)", "[a](hub.md) and [b](#cite)"),
        ("docs/games.md", "[a](https://example.org/x.md)", "[a](https://example.org/x.md)"),
        ("docs/games.md", "[the tests](../tests)", "`the tests`"),
        ("docs/games.md", "[a](../missing.md)", "[a](../missing.md)"),  # a strict build names it
        ("docs/games.md", "```\n[a](../README.md)\n```", "```\n[a](../README.md)\n```"),
    ],
)
def test_a_link_leads_to_the_same_page_on_the_site(source, text, shown):
    pytest.importorskip("mkdocs")
    assert hook("github_markdown").for_site(text, source) == (shown, set())


def test_a_link_to_another_file_publishes_it():
    pytest.importorskip("mkdocs")
    text, linked = hook("github_markdown").for_site("[LICENSE](../LICENSE)", "docs/games.md")
    assert text == "[LICENSE](repository/LICENSE)"
    assert linked == {"LICENSE"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("why:\n- one\n- two", "why:\n\n- one\n- two"),
        ("- one\n- two", "- one\n- two"),
        ("a sum\n5. and 6", "a sum\n5. and 6"),
        ("first\n\nsecond\n1. one", "first\n\nsecond\n\n1. one"),
    ],
)
def test_a_list_under_a_paragraph_is_set_apart(text, shown):
    pytest.importorskip("mkdocs")
    assert hook("github_markdown").lists_apart(text) == shown


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (["moves: int  # of one run"], ["of one run"]),
        (['name: str = "#"'], []),
        (["    planes: int | None = (", "        None  # None: all", "    )"], ["None: all"]),
        (["state = dict()  # type: ignore"], []),
    ],
)
def test_the_comment_of_a_field_is_its_description(statement, found):
    pytest.importorskip("griffe")
    assert hook("field_comments").comments(statement) == found


def test_a_module_is_laid_out_by_its_name():
    pytest.importorskip("mkdocs")
    folder_of = hook("package_layout").folder_of
    folders = {"understudy": "understudy", "understudy.suite": "suite"}
    assert str(folder_of("understudy", folders)) == "understudy"
    assert str(folder_of("understudy.commands", folders)) == "understudy/commands"
    assert str(folder_of("understudy.suite", folders)) == "suite"
    assert str(folder_of("understudy.suite.io", folders)) == "suite/io"


@pytest.mark.long
def test_the_site_builds_without_a_warning_and_fetches_nothing(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path]
    built = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert fetched(tmp_path) == []
    assert (tmp_path / "repository" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    interfaces = (tmp_path / "api" / "protocols.html").read_text()
    assert 'id="understudy.suite.protocols.Imitator.unroll"' in interfaces
    assert "<p>[B] int64, as executed; 0 where first_of_run</p>" in interfaces
    scoring = (tmp_path / "api" / "scoring.html").read_text()
    for module in (ROOT / "suite" / "scoring").glob("[a-z]*.py"):
        assert f'id="understudy.suite.scoring.{module.stem}"' in scoring


def fetched(site: Path) -> list[str]:
    """Return what the pages of a site load from elsewhere."""
    tags = [
        tag
        for page in site.rglob("*.html")
        for tag in re.findall(r"<(?:link|script|img)[^>]*>", page.read_text())
    ]
    styles = [url for sheet in site.rglob("*.css") for url in re.findall(r"url\([^)]*\)", sheet.read_text())]
    return [tag for tag in tags + styles if re.search(r"""(?:src=|href=|url\()["']?(?:https?:)?//""", tag)]
