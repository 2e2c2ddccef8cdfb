"""The archive of a row's runs, `runs.zip`: JSON and predictions are deflated, logs are compressed already.

`docs/row-format.md` describes the file for other programs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from understudy.suite.io import archives
from understudy.suite.io.archives import Member

ARCHIVE: Final = "runs.zip"  # in a row's folder
_NAME: Final = (
    r"[a-z0-9][a-z0-9._@-]{0,127}"  # of a folder or a teacher; none that any system reads specially
)
KIND: Final = archives.Kind(
    what="a row",
    names=re.compile(
        rf"{_NAME}/{_NAME}/(?:(?:job|isolation|rechecked)\.json|kept-state\.safetensors"
        r"|lane-(?:0|[1-9][0-9]{0,3})/(?:history\.parquet|record\.json))"
        rf"|agreement/{_NAME}/{_NAME}\.safetensors"
    ),
    deflated=frozenset({".json", ".safetensors"}),
    may_deflate=True,
    repetitive=frozenset({".safetensors"}),  # predictions of a player that answers the same at every move
)


def is_known(name: str) -> bool:
    """Whether a path relative to a row's folder is that of a file of its runs."""
    return KIND.names.fullmatch(name) is not None


def write(path: Path, names: Iterable[str], read: Callable[[str], bytes]) -> None:
    """Write a row's archive as `archives.write`; each name is one for which `is_known` holds."""
    archives.write(KIND, path, names, read)


def members(path: Path) -> Mapping[str, Member]:
    """Return the members of a row's archive by name, as `archives.members`."""
    return archives.members(KIND, path)


def read(path: Path, name: str) -> bytes:
    """Return the content of a member of a row's archive, as `archives.read`."""
    return archives.read(KIND, path, name)
