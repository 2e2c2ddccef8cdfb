"""Folders: files that are missing, moved, linked, pipes or folders, and files beside them with odd names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

ODD_NAMES = (
    b"x\ny",
    b"\xff\xfe",
    b"\x1b[31m",
    "‮gnp".encode(),
    b"x" * 255,
    b" ",
    b"~",
    b"con",
    b"a:b",
    b".hidden",
    b"*",
)


def mutate(folder: Path, rng: np.random.Generator) -> None:
    """Change a folder on the disk in one way."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    if not paths:
        return
    path, other = (paths[int(i)] for i in rng.integers(len(paths), size=2))
    kind = int(rng.integers(12))
    if kind == 0:
        path.unlink()
    elif kind == 1:
        path.unlink()
        path.mkdir()
    elif kind == 2:
        path.unlink()
        targets = (other, Path("/etc/passwd"), folder, path, Path("nowhere"), Path("/dev/zero"), path.parent)
        path.symlink_to(targets[int(rng.integers(len(targets)))])
    elif kind == 3:
        path.unlink()
        os.mkfifo(path)
    elif kind == 4:
        name = ODD_NAMES[int(rng.integers(len(ODD_NAMES)))]
        place = os.path.join(os.fsencode(path.parent), name)
        if rng.random() < 0.5:
            Path(os.fsdecode(place)).write_bytes(b"{}")
        else:
            os.rename(path, place)
    elif kind == 5 and other != path:
        shutil.copyfile(other, path)
    elif kind == 6:
        path.write_bytes(b"")
    elif kind == 7:
        parent = path.parent
        if parent != folder:
            parent.rename(parent.with_name(f"{parent.name}2"))
    elif kind == 8:
        (path.parent / "loop").symlink_to(path.parent)
    elif kind == 9:
        path.with_name(f"{path.name}.part").write_bytes(path.read_bytes())
        (path.parent / "empty").mkdir(exist_ok=True)
    elif kind == 10:
        os.truncate(path, path.stat().st_size + int(rng.choice([1, 1 << 33])))  # sparse
    else:
        path.rename(path.with_name(path.name.upper()))
