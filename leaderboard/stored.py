"""Results on disk: where the lives of a row lie, and how they are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.suite import files, records
from understudy.suite.errors import InputError
from understudy.suite.histories import format as history_format
from understudy.suite.judging.lives import Life

ROW = "row.json"
ROW_SAYS = (
    *("name", "sha256", "benchmark_sha256", "architecture", "control", "decoding", "track", "priming_moves"),
    *("salt", "checkpoints"),
)
RESULTS = Path(__file__).parent / "results"  # a checkout's rows; a wheel has only their instrument checks


@dataclass(frozen=True)
class RowFolder:
    """Where the lives of one row lie: `<results>/<benchmark>/<budget>/<name>`."""

    path: Path
    benchmark: str
    budget: str
    name: str


def rows_in(results: Path) -> list[RowFolder]:
    """Return the rows below a results folder, sorted; InputError if there is none."""
    found = [
        RowFolder(path.parent, path.parts[-4], path.parts[-3], path.parts[-2])
        for path in sorted(results.glob(f"*/*/*/{ROW}"))
    ]
    if not found:
        raise InputError(
            f"{results}: no rows found, expected <benchmark>/<budget>/<name>/{ROW} in it; "
            "score something first: understudy score"
        )
    return found


def has_rows(results: Path) -> bool:
    """Whether there is a row below a results folder."""
    return any(results.glob(f"*/*/*/{ROW}"))


def life_folders(row: RowFolder, role: str | None = None) -> list[Path]:
    """Return the folders of a row's finished lives, of one role or of all."""
    return sorted(path.parent for path in row.path.glob(f"{role or '*'}/*/lane-*/{records.RECORD}"))


def job_folders(row: RowFolder, role: str | None = None) -> list[Path]:
    """Return the folders of a row's jobs, begun or finished, of one role or of all."""
    return sorted(path.parent for path in row.path.glob(f"{role or '*'}/*/{records.JOB}"))


def row_of(folder: RowFolder) -> dict[str, Any]:
    """Return what `row.json` says; InputError where it isn't a row's, as `understudy score` writes it."""
    path = folder.path / ROW
    found = files.read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("checkpoints"), dict):
        raise InputError(f"{path}: expected a row with its checkpoints; score it again: understudy score")
    missing = [name for name in ROW_SAYS if name not in found]
    if missing:
        raise InputError(f"{path}: {missing[0]} is missing; score the row again: understudy score")
    return dict(found)


def checkpoints(row: RowFolder) -> list[str]:
    """Return the names of the sets of weights that a row declares."""
    return list(row_of(row)["checkpoints"])


def lives(row: RowFolder, role: str) -> tuple[Life, ...]:
    """Return a row's lives of one role; none unless every checkpoint's job of that role is whole.

    A row's checkpoints count together, and so do a job's lives: what is left of them would be a choice. Lives
    of other weights than the row's are none of it.

    Raises InputError where one can't be read.
    """
    if not (row.path / ROW).exists():
        return ()
    found: list[Life] = []
    declared = row_of(row)
    for number, (checkpoint, sha256) in enumerate(declared["checkpoints"].items()):
        folder = row.path / role / checkpoint
        if not (folder / records.JOB).exists():
            return ()
        job = records.read_job(folder)
        played_by = job["player"].get("sha256"), job["player"]["checkpoint_sha256"]
        if played_by != (declared["sha256"], sha256):  # left over from before a restart
            return ()
        lanes = [folder / f"lane-{index}" for index in range(len(job["lanes"]))]
        if not all((lane / records.RECORD).exists() for lane in lanes):
            return ()
        found += [_life(lane, number) for lane in lanes]
    return tuple(found)


def state_bytes(row: RowFolder) -> int | None:
    """Return the most bytes that a life's state took, at its start or end; None where nothing was played."""
    found = (records.read(path)["state_bytes"] for path in life_folders(row))
    return max((max(sizes.values()) for sizes in found), default=None)


def weights_moved(row: RowFolder) -> bool:
    """Return whether some life's record says that the player's parameters or buffers changed in it."""
    found = (records.read(path)["parameters_sha256"] for path in life_folders(row))
    return any(parameters["before"] != parameters["after"] for parameters in found)


def require_benchmark(row: dict[str, Any], folder: RowFolder, benchmark_sha256: str) -> None:
    """Raise InputError if a row was scored under another file of its benchmark."""
    if row["benchmark_sha256"] != benchmark_sha256:
        raise InputError(
            f"{folder.path}: scored under another {folder.benchmark} (file SHA-256 "
            f"{row['benchmark_sha256'][:12]}, here {benchmark_sha256[:12]}); play its lives again"
        )


@dataclass(frozen=True)
class Fed:
    """What was found when a job's player was fed its lives again, and whether it is of those stored."""

    path: Path
    holds: bool
    mismatch: str | None  # why it says nothing of these lives; None: it is of them


def fed(job_folder: Path, name: str) -> Fed | None:
    """Return what was noted of a job in a file of records.FED_AGAIN, None where there is no such note.

    Raises InputError where it can't be read.
    """
    path = job_folder / name
    if not path.exists():
        return None
    found = files.read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("holds"), bool):
        raise InputError(f"{path}: expected an object with holds, true or false; check again")
    differing = [name for name, value in _binding(job_folder).items() if found.get(name) != value]
    mismatch = f"{differing[0]} is not that of the stored lives: check again" if differing else None
    if name == records.ISOLATION and mismatch is None:
        mismatch = _unchecked(found, records.read_job(job_folder)["moves"])
    return Fed(path, found["holds"], mismatch)


def _unchecked(found: dict[str, Any], moves: int) -> str | None:
    """Return what of a life an isolation check left out: a leak may begin late, so its end counts too."""
    for name, needed in records.checked_moves(moves).items():
        if found.get(name) != needed:
            return f"{name} is {found.get(name)}, not {needed}: play the lives again, and check them then"
    if found["holds"] != (found.get("differs_at") is None):
        return "holds and differs_at contradict each other: check again"
    return None


def _binding(job_folder: Path) -> dict[str, Any]:
    """Return the binding that a check of the stored lives has."""
    job = records.read_job(job_folder)
    lanes = [records.read(job_folder / f"lane-{i}") for i in range(len(job["lanes"]))]
    weights = {lane["parameters_sha256"]["after"] for lane in lanes}
    return records.binding(
        [lane["history_sha256"] for lane in lanes],
        ", ".join(sorted(weights)),  # one, or a check can't hold
        job["player"]["checkpoint_sha256"],
    )


def _life(folder: Path, checkpoint: int) -> Life:
    lane = records.read(folder)["lane"]
    history = history_format.read(folder / records.HISTORY)
    return Life(lane["unit"], checkpoint, lane["number"], history.reward, history.ended)
