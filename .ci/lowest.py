"""Compare the installed packages with the lower bounds of pyproject.toml, and note them in .ci/lowest.txt.

usage: .ci/lowest.py, by the Python of `make lowest`; exit code 1: a bound is not what is installed.
"""

import sys
import tomllib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
NOTED = ROOT / ".ci" / "lowest.txt"


def main() -> int:
    bounds = lower_bounds((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    installed = {name: metadata.version(name) for name in bounds}
    for name, bound in bounds.items():
        print(f"{name:20} >= {bound:14} installed: {installed[name]}")
    wrong = differences(bounds, installed)
    if wrong:
        print(*wrong, sep="\n", file=sys.stderr)
        return 1
    NOTED.write_text(
        "# What `make lowest` installed last; .ci/lowest.py writes it. Run a changed bound again.\n"
        + "".join(f"{name}=={public(installed[name])}\n" for name in sorted(bounds)),
        encoding="utf-8",
    )
    return 0


def lower_bounds(project: str) -> dict[str, str]:
    """Return the lower bound of each direct dependency and extra in the text of a pyproject.toml.

    Raises SystemExit, with a line that names it, where a dependency has no bound or two.
    """
    table = tomllib.loads(project)["project"]
    extras = table["optional-dependencies"].values()
    found: dict[str, str] = {}
    for line in (*table["dependencies"], *(line for extra in extras for line in extra)):
        requirement = Requirement(line)
        bounds = [part.version for part in requirement.specifier if part.operator == ">="]
        if len(bounds) != 1 or found.setdefault(requirement.name, bounds[0]) != bounds[0]:
            raise SystemExit(f"pyproject.toml: {line!r}: expected NAME>=VERSION, the same everywhere")
    return found


def differences(bounds: Mapping[str, str], installed: Mapping[str, str]) -> list[str]:
    """Return a line for each package that is not installed at its bound."""
    return [
        f"{name}: expected {bound}, the bound in pyproject.toml; found {installed[name]}; raise the bound"
        for name, bound in bounds.items()
        if Version(public(installed[name])) != Version(bound)
    ]


def public(version: str) -> str:
    """Return a version without the name of its build: 2.8.0 of 2.8.0+cpu."""
    return Version(version).public


if __name__ == "__main__":
    sys.exit(main())
