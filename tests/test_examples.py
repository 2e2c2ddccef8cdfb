"""The examples run as they are, in an empty folder; the notebook is executed."""

from __future__ import annotations

import os
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient
from support import ROOT

from understudy.suite.io import files

EXAMPLES = ROOT / "examples"
ROWS = {"lstm.py": "my-lstm", "rule.py": "keep-what-pays"}


def code_lines(text):
    """Count the lines of a script that are neither blank nor its docstring."""
    return sum(bool(line.strip()) and not line.startswith('"""') for line in text.splitlines())


def test_every_example_is_tested_and_listed():
    found = {path.name for path in EXAMPLES.iterdir()} - {"README.md"}
    assert found == {*ROWS, "histories.ipynb"}
    assert all(f"[{name}]({name})" in (EXAMPLES / "README.md").read_text() for name in found)


def test_from_an_empty_folder_to_a_row_takes_forty_lines():
    assert code_lines((EXAMPLES / "lstm.py").read_text()) <= 40


@pytest.mark.parametrize("name", ROWS)
def test_a_script_ends_with_a_row(name, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "UNDERSTUDY_DATA"}
    environment["OMP_NUM_THREADS"] = "1"  # other tests run beside it; threads that wait for a core spin
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    row = tmp_path / "results" / "darkroom-v1" / "quick" / ROWS[name]
    answers = {each["task"]: each["answer"] for each in files.read_json(row / "scores.json")["verdicts"]}
    assert answers["transfer"] in ("no", "partial", "undecided", "yes")
    assert ROWS[name] in done.stdout
    assert "self-reported" in done.stdout


def test_the_notebook_runs_and_holds_no_output(tmp_path):
    notebook = nbformat.read(EXAMPLES / "histories.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [
        output.get("text") or output["data"]["text/plain"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    ]
    assert any("260 runs of darkroom-v1" in text for text in shown)
    assert any("self-reported" in text for text in shown)
    assert (tmp_path / "results" / "darkroom-v1" / "quick" / "bc" / "row.json").is_file()
