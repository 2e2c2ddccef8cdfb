"""Lay the modules out as their names say, so that mkdocstrings finds `understudy.suite` without importing it.

The checkout's folder `suite` is installed as `understudy.suite`, and so on; pyproject.toml says which.
"""

from __future__ import annotations

import shutil
import tempfile
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.plugins import event_priority

ROOT = Path(__file__).resolve().parents[2]
COPY = tempfile.TemporaryDirectory()  # removed when the build ends


@event_priority(100)  # before mkdocstrings reads its settings
def on_config(config: Any) -> None:
    """Copy every module that setuptools installs, and tell mkdocstrings where the copy is."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    shutil.rmtree(COPY.name)  # of the build before, where `mkdocs serve` builds again
    for package in setuptools["packages"]:
        copy = Path(COPY.name, *package.split("."))
        copy.mkdir(parents=True)
        for module in (ROOT / folder_of(package, setuptools["package-dir"])).glob("*.py"):
            shutil.copy(module, copy)
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [COPY.name]


def folder_of(package: str, folders: dict[str, str]) -> PurePosixPath:
    """Return a package's folder in the checkout, given the folders of the packages that have one declared."""
    declared = max((name for name in folders if f"{package}.".startswith(f"{name}.")), key=len)
    inner = package.removeprefix(declared).strip(".")
    return PurePosixPath(folders[declared], *filter(None, inner.split(".")))
