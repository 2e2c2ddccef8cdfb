"""`make` installs nothing into an environment that has everything, and says what is missing of another."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

CHECK = ROOT / ".ci" / "is-installed"
HERE = Path(sys.prefix) == ROOT / ".venv"  # the tests run in the environment that make made


def check(script: Path, *arguments: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [python, str(script), *arguments], capture_output=True, text=True, env=environment, check=False
    )


@pytest.fixture
def checkout(tmp_path):
    """A folder with the script and the project's declaration, of which nothing is installed."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(CHECK, tmp_path / ".ci")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def declare(checkout: Path, old: str, new: str) -> subprocess.CompletedProcess[str]:
    path = checkout / "pyproject.toml"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    return check(checkout / ".ci" / "is-installed", "dev")


@pytest.mark.skipif(not HERE, reason="of the environment in .venv")
def test_this_environment_has_everything():
    found = check(CHECK, "dev")
    assert (found.returncode, found.stdout) == (0, "")


def test_another_checkout_is_not_installed(checkout):
    found = check(checkout / ".ci" / "is-installed")
    assert found.returncode == 1
    assert f"understudy is that of {ROOT / 'understudy'}" in found.stdout
    assert found.stdout.count("\n") == 1


def test_a_missing_package_an_older_one_and_an_unknown_command_are_named(checkout):
    found = declare(checkout, '"numpy>=2",', '"numpy>=2", "no-such-package>=1",')
    assert (found.returncode, "no-such-package is not installed" in found.stdout) == (1, True)
    found = declare(checkout, '"no-such-package>=1",', '"rich>=9999",')
    assert (found.returncode, "rich>=9999 is required, " in found.stdout) == (1, True)
    declare(checkout, '"rich>=9999",', "")
    found = declare(checkout, '"ruff>=0.15",', '"ruff>=9999",')
    assert (found.returncode, "ruff>=9999 is required, " in found.stdout) == (1, True)
    declare(checkout, '"ruff>=9999",', '"ruff>=0.15", "absent; python_version < \'3\'",')
    found = declare(checkout, 'understudy = "understudy.cli:main"', 'other = "understudy.cli:main"')
    assert (found.returncode, "the command other is not installed" in found.stdout) == (1, True)


def test_make_asks_before_it_installs(tmp_path):
    """In a checkout whose environment has everything, only the marker is written."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".ci").mkdir()
    asked, installed = tmp_path / "asked", tmp_path / "installed"
    python = tmp_path / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\ncase "$1" in .ci/*) echo "$@" >>{asked}; exit $MISSING;; esac\n')
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\necho "$@" >>{installed}\n')
    for program in (python, other):
        program.chmod(0o755)

    def make(missing: str) -> None:
        subprocess.run(
            ["make", f"PYTHON={other}", ".venv/.installed"],
            cwd=tmp_path,
            env={**os.environ, "MISSING": missing},
            check=True,
            capture_output=True,
        )

    make("0")
    assert asked.read_text() == ".ci/is-installed dev\n"
    assert not installed.exists()
    make("1")
    assert asked.read_text().count("\n") == 1  # the marker is newer than pyproject.toml
    (tmp_path / ".venv/.installed").unlink()
    make("1")
    assert installed.read_text() == "-m venv .venv\n"
