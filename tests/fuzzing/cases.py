"""Cases: what a number stands for. The same number gives the same files, whatever was run before it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fuzzing import originals, targets
from fuzzing.mutators import folders, mutator_of
from fuzzing.outcomes import Outcome, of_call, of_command
from fuzzing.targets import Target

SEED = 22  # of all cases
OF_FOLDERS = 0.12  # share of the cases that change a folder rather than a file's content


@dataclass(frozen=True)
class Case:
    """Mutated files for a target."""

    number: int
    target: Target
    files: Mapping[str, bytes]
    changed: tuple[str, ...]  # files whose content differs from the original's
    rng: np.random.Generator  # for what is changed on the disk
    on_disk: bool  # whether the folder is changed too


def made(number: int) -> Case:
    """Return a case by its number."""
    rng = np.random.default_rng([SEED, number])
    target = targets.chosen(rng)
    files = dict(originals.EVERY[target.original]())
    on_disk = bool(rng.random() < OF_FOLDERS)
    count = 0 if on_disk else min(len(files), int(rng.choice([1, 1, 1, 2])))
    names = [list(files)[int(index)] for index in rng.choice(len(files), size=count, replace=False)]
    for name in names:
        files[name] = mutator_of(name)(files[name], rng)
    return Case(number, target, files, tuple(names), rng, on_disk)


def run(case: Case, folder: Path) -> Outcome:
    """Write a case's files into a folder, have its target read them, and remove the folder."""
    write(case.files, folder)
    try:
        if case.on_disk:
            folders.mutate(folder, case.rng)
        return read(case.target, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(f"{folder}-board", ignore_errors=True)


def read(target: Target, folder: Path) -> Outcome:
    """Return a target's outcome on a folder."""
    return of_command(target.call, folder) if target.is_command else of_call(target.call, folder)


def write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files into a new folder."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
