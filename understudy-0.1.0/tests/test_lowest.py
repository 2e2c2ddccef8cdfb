"""The lower bounds in pyproject.toml are those that `make lowest` installed last."""

import importlib.util
import re
import subprocess
import tomllib
from typing import Any

import pytest
from support import ROOT

PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
NEEDED = "[project]\ndependencies = [{}]\n[project.optional-dependencies]\ndev = [{}]\n"


def script() -> Any:
    """Return .ci/lowest.py as a module; it is on no import path."""
    spec = importlib.util.spec_from_file_location("lowest", ROOT / ".ci" / "lowest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def as_noted(version: str) -> str:
    """Return a version without zeros at its end: 1.22 and 1.22.0 are one."""
    return re.sub(r"(\.0)+$", "", version)


def test_every_bound_is_the_version_that_was_installed_last():
    table = tomllib.loads(PROJECT)["project"]
    lines = [
        *table["dependencies"],
        *(line for extra in table["optional-dependencies"].values() for line in extra),
    ]
    parts = [re.fullmatch(r"([a-z0-9-]+)(?:\[[a-z]+\])?>=([0-9.]+)(?:,<[0-9.]+)?", line) for line in lines]
    assert all(parts), f"each is NAME>=VERSION: {lines}"
    bounds = {part[1]: as_noted(part[2]) for part in parts if part}
    noted = (ROOT / ".ci" / "lowest.txt").read_text(encoding="utf-8").splitlines()[1:]
    installed = {name: as_noted(version) for name, version in (line.split("==") for line in noted)}
    assert bounds == installed, "a changed bound has to be run: make lowest"


def test_make_lowest_installs_the_lowest_versions_of_all_that_the_tests_need(tmp_path):
    command = ["make", "-n", "-C", str(ROOT), "lowest", f"LOWEST={tmp_path / 'none'}"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (install,) = re.findall(r"uv pip install.*", shown)
    assert "--resolution lowest-direct" in install
    assert '-e ".[dev,docs]"' in install


def test_a_bound_that_is_not_what_installs_is_named():
    lowest = script()
    bounds = {"numpy": "2", "scipy": "1.12", "torch": "2.8"}
    (line,) = lowest.differences(bounds, {"numpy": "2.0.0", "scipy": "1.13.0", "torch": "2.8.0+cpu"})
    assert line.startswith("scipy: expected 1.12, the bound in pyproject.toml; found 1.13.0; ")


def test_bounds_are_read_from_dependencies_and_extras():
    project = NEEDED.format('"numpy>=2", "torch>=2.8,<2.14"', '"mkdocstrings[python]>=1", "numpy>=2"')
    assert script().lower_bounds(project) == {"numpy": "2", "torch": "2.8", "mkdocstrings": "1"}


@pytest.mark.parametrize("line", ["scipy", "scipy<2", "numpy>=2.1"])
def test_a_dependency_without_a_bound_or_with_two_is_refused(line):
    with pytest.raises(SystemExit, match=re.escape(line)):
        script().lower_bounds(NEEDED.format('"numpy>=2"', f'"{line}"'))
