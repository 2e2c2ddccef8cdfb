"""An installed package is not written into: what maintainers change is refused there in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support import ROOT

from understudy.suite.errors import InputError
from understudy.suite.io import checkout


@pytest.fixture(scope="module")
def site_packages(tmp_path_factory):
    """The package as a wheel lays it out: its code and documents copied, its data and entries linked."""
    site = tmp_path_factory.mktemp("site-packages")
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    for package, folder in setuptools["package-dir"].items():
        target, left_out = site.joinpath(*package.split(".")), ("data", "entries", "results", "__pycache__")
        shutil.copytree(ROOT / folder, target, ignore=shutil.ignore_patterns(*left_out), dirs_exist_ok=True)
    for inner in (Path("suite", "data"), Path("submissions", "entries")):
        (site / "understudy" / inner).symlink_to(ROOT / inner)
    return site


def run(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "UNDERSTUDY_DATA"}
    return subprocess.run(
        [sys.executable, "-m", "understudy", *arguments],
        env={**environment, "PYTHONPATH": str(site)},
        cwd=site.parent,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (("rounds", "commit", "bc", "--benchmark", "darkroom-v1"), "leaderboard/rounds.json"),
        (("rounds", "draw"), "leaderboard/rounds.json"),
        (("histories", "pin", "--benchmark", "darkroom-v1"), "suite/benchmarks/darkroom-v1.data.json"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else None,
)
def test_an_installed_package_stays_as_it_is(site_packages, arguments, file):
    path = site_packages / "understudy" / file
    before = path.read_bytes()
    done = run(site_packages, *arguments)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"understudy: {path}: belongs to the installed package, "), line
    assert done.returncode == 2
    assert path.read_bytes() == before


def test_a_checkout_is_told_by_its_project_file(tmp_path, monkeypatch):
    assert checkout.ROOT == ROOT
    assert checkout.is_checkout()
    checkout.require_for(ROOT / "leaderboard" / "rounds.json")
    monkeypatch.setattr(checkout, "ROOT", tmp_path / "understudy")
    assert not checkout.is_checkout()
    checkout.require_for(tmp_path / "rounds.json")  # of one's own
    with pytest.raises(InputError, match=r"rounds\.json: belongs to the installed package"):
        checkout.require_for(tmp_path / "understudy" / "rounds.json")
