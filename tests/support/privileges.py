"""Being nobody: root may read and write everything, so permissions are tested as another user."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534
EVERYBODYS = tempfile.gettempdir()


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up root's rights during the block; without them already, change nothing."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@contextmanager
def nobodys_folder() -> Iterator[Path]:
    """Yield a temporary folder that everybody may enter and write to."""
    folder = Path(tempfile.mkdtemp(prefix="understudy-test-", dir=EVERYBODYS))
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        for path in (folder, *folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o777)
        shutil.rmtree(folder)


@contextmanager
def closed(path: Path, mode: int = 0) -> Iterator[None]:
    """Take permissions from a folder or file during the block."""
    usual = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(usual)
