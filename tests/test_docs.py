"""The documents' Python runs as it stands, and their links lead somewhere."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT, embedded_runs

import understudy

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
ARGUMENTS = {"history-format.md": lambda folder: [str(history(folder))]}  # of a page's script
SECONDS = 300  # of a script, at most; a busy machine is slow
PARTS = {"games.md"}  # their blocks show parts of a file


def history(folder: Path) -> Path:
    return embedded_runs.unpack(folder, "goal-00/seed-0") / "goal-00" / "seed-0" / "history.parquet"


def blocks(page: Path, language: str = "python") -> str:
    text = page.read_text(encoding="utf-8")
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_python_of_a_page_runs(page, tmp_path):
    if page.name in PARTS:
        compile(blocks(page), page.name, "exec")
        return
    script = tmp_path / "page.py"
    script.write_text(blocks(page))
    done = subprocess.run(
        [sys.executable, script, *ARGUMENTS.get(page.name, lambda folder: [])(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "UNDERSTUDY_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    for said in re.findall(r"print\(.*\)  # (.*?)(?::.*)?$", blocks(page), re.MULTILINE):
        assert said in done.stdout


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "py")], ids=lambda page: page.name)
def test_python_that_needs_what_a_reader_has_calls_what_is_there(page):
    """Blocks marked `py` need a model or results of the reader's own."""
    calls = [each for each in ast.walk(ast.parse(blocks(page, "py"))) if isinstance(each, ast.Call)]
    named = [call for call in calls if ast.unparse(call.func).startswith("understudy.")]
    assert named
    for call in named:
        function = getattr(understudy, ast.unparse(call.func).partition(".")[2])
        known = inspect.signature(function).parameters
        assert {each.arg for each in call.keywords} <= set(known)
        assert len(call.args) + len(call.keywords) <= len(known)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
