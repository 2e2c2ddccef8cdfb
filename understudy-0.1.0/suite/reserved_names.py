"""Reserved names: those of controls, of the package's entries and of the reference.

Controls and entries are listed by file, so that nothing of them is imported.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from understudy.suite import registry

PACKAGE: Final = Path(__file__).resolve().parent.parent
CONTROLS: Final = PACKAGE / "baselines" / "controls"
ENTRIES: Final = PACKAGE / "submissions" / "entries"  # <benchmark>/<name>/
DECLARATION: Final = "submission.json"
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")  # of submissions, controls and rows
REFERENCE: Final = "teacher"  # whose numbers and curves stand beside every row's
CONTROL_CHECKPOINT: Final = "control"  # by which a control's row is known


def is_control(name: str) -> bool:
    """Return whether a name is a control's, such as `random` or, of one with variants, `injected-0.25`."""
    files = registry.names([CONTROLS])
    return any(name == file or re.fullmatch(rf"{re.escape(file)}-[0-9.]+", name) for file in files)


def is_entry(benchmark: str, name: str) -> bool:
    """Return whether a name is that of an entry that comes with the package for a benchmark."""
    return (ENTRIES / benchmark / name / DECLARATION).is_file()


def why_reserved(name: str) -> str | None:
    """Return whose name it is, for a message; None where a submission may have it."""
    if is_control(name):
        return "a control"
    if any(ENTRIES.glob(f"*/{name}/{DECLARATION}")):
        return "an entry that comes with the package"
    return "the reference in tables and figures" if name == REFERENCE else None
