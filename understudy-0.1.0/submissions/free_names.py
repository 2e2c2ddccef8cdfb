"""Free names: a submission that does not come with the package has none of the package's names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from understudy.suite import reserved_names
from understudy.suite.errors import InputError


def require(
    folder: Path,
    name: str,
    checkpoints: Sequence[str] = (),
    remedy: str = f"change name in {reserved_names.DECLARATION}",
) -> None:
    """Raise InputError if the submission in a folder has a reserved name, unless it is the package's own.

    Args:
        folder: of the submission; it need not exist yet.
        name: of the submission.
        checkpoints: names of its checkpoints' folders.
        remedy: what to do, for the message.
    """
    if folder.resolve().is_relative_to(reserved_names.ENTRIES.resolve()):
        return
    path, why = folder / reserved_names.DECLARATION, reserved_names.why_reserved(name)
    if why:
        raise InputError(
            f"{path}: expected a name of its own; found {name!r}, which is the name of {why}; {remedy}"
        )
    if reserved_names.CONTROL_CHECKPOINT in checkpoints:
        raise InputError(
            f"{path}: expected a checkpoint folder of another name; found "
            f"{reserved_names.CONTROL_CHECKPOINT!r}, by which controls are known; rename the folder, also in "
            f"{reserved_names.DECLARATION}"
        )
