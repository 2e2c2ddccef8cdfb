"""The checkout that this code runs in, unless it is an installed package, whose files stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from understudy.suite.errors import InputError

ROOT: Final = Path(__file__).resolve().parents[2]  # the checkout, or the folder of the installed package


def is_checkout() -> bool:
    """Return whether this code runs in a checkout."""
    return (ROOT / "pyproject.toml").is_file()


def require_for(path: Path) -> None:
    """Raise InputError if a file that is about to be written belongs to an installed package."""
    if path.resolve().is_relative_to(ROOT) and not is_checkout():
        raise InputError(
            f"{path}: belongs to the installed package, whose files stay as they are; run the command in a "
            "checkout of the repository, installed with: pip install -e ."
        )
