"""Runs of one's own beside the pinned ones: random moves, in folders or packed."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

from support.sound_submissions import BENCHMARK, record
from understudy.suite.histories import history_format

OWN = {"goal-00/seed-5": 601, "goal-00/seed-6": 602, "goal-03/seed-5": 603}  # moves of each


def write(data: Path) -> None:
    """Write the runs of `OWN` into a data folder; nothing pins them."""
    for name, moves in OWN.items():
        path = data / BENCHMARK / name / "history.parquet"
        record(path, f"darkroom/{name.partition('/')[0]}", moves)
        renumber(path, int(name.rpartition("-")[2]))


def copy_as(source: Path, folder: Path) -> None:
    """Copy a run's folder to one named `seed-<k>`, with k in the header: one run under two names."""
    shutil.copytree(source, folder)
    renumber(folder / "history.parquet", int(folder.name.removeprefix("seed-")))


def renumber(path: Path, seed: int) -> None:
    """Give a run another seed in its header; its moves stay."""
    history = history_format.read(path)
    player = {**history.header.player, "seed": seed}
    history_format.write(path, replace(history, header=replace(history.header, player=player)))


def pack_by_hand(data: Path, out: Path) -> Path:
    """Pack a data folder's runs as docs/history-format.md describes it, with the standard library alone."""
    archive = out / BENCHMARK / "histories.zip"
    archive.parent.mkdir(parents=True)
    names = {path.relative_to(data / BENCHMARK).as_posix(): path for path in data.glob("*/*/seed-*/*.*")}
    with zipfile.ZipFile(archive, "w") as file:
        for name in sorted(names):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o100644 << 16
            file.writestr(info, names[name].read_bytes())
    return archive
