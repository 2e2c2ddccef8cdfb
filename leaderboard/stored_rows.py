"""Stored rows: where the runs of a row are stored, and how they are read."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from understudy.suite import benchmarks, escaping, reserved_names
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.harness import interventions, records, row_documents, row_files
from understudy.suite.harness.row_files import RowPath
from understudy.suite.histories import history_format
from understudy.suite.histories.history_format import History
from understudy.suite.io import file_names, walks
from understudy.suite.io.readable import Readable
from understudy.suite.scoring.scored_runs import ScoredRun

CONTRADICTION = "holds and differs_at contradict each other: check again"
RESULTS = Path(__file__).parent / "results"  # rows of a checkout; a wheel has only the results of controls


@dataclass(frozen=True)
class RowFolder:
    """The folder of one row's runs: `<results>/<benchmark>/<budget>/<name>`."""

    path: Path
    benchmark: str
    budget: str
    name: str

    @property
    def place(self) -> str:
        """Where the row is in the results: `<benchmark>/<budget>/<name>`."""
        return f"{self.benchmark}/{self.budget}/{self.name}"

    @property
    def runs(self) -> RowPath:
        """The same folder, in which its runs are found whether they are in a tree or packed."""
        return row_files.root(self.path)


LeftOut = Callable[[RowFolder, InputError], None]  # called with a row that cannot be read, and why


def refuse(row: RowFolder, error: InputError) -> None:
    """Raise the error: no row is left out."""
    raise error


class Shortfall:
    """The rows that are left out of what is shown, each named once."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.rows: dict[RowFolder, str] = {}
        self._tell = tell

    def __call__(self, row: RowFolder, error: InputError) -> None:
        """Name one more row, unless it was named."""
        if row not in self.rows:
            self.rows[row] = str(error)
            named = str(error).startswith(str(row.path))
            self._tell(f"left out: {error}" if named else f"{row.path}: left out: {error}")

    def reasons(self, results: Path) -> dict[str, str]:
        """Return why each row was left out, by its place in the results, without paths of this machine."""
        return {row.place: why.replace(f"{results}/", "") for row, why in self.rows.items()}

    def require_none(self) -> None:
        """Raise CheckFailed if a row was left out; the rest has been shown by then."""
        if self.rows:
            count = len(self.rows)
            raise CheckFailed(f"{count} {'row' if count == 1 else 'rows'} left out, as named above")


def rows_in(results: Path, left_out: LeftOut = refuse) -> list[RowFolder]:
    """Return the rows below a results folder, sorted, without those that are left out.

    Args:
        results: the folder.
        left_out: called for each row whose `row.json` cannot be read.

    Raises InputError if there is no row, and what `left_out` raises.
    """
    return readable(every_row_in(results), left_out)


def readable(rows: Iterable[RowFolder], left_out: LeftOut = refuse) -> list[RowFolder]:
    """Return those of the rows whose `row.json` can be read; `left_out` is called for each other one."""
    sound = []
    for row in rows:
        try:
            row_of(row)
        except InputError as error:
            left_out(row, error)
        else:
            sound.append(row)
    return sound


def every_row_in(results: Path) -> list[RowFolder]:
    """Return the rows below a results folder, sorted, readable or not; InputError if there is none."""
    if not walks.is_there(results):
        raise InputError(f"{results}: no such folder; expected one written by understudy score")
    found = [
        RowFolder(path.parent, path.parts[-4], path.parts[-3], path.parts[-2])
        for folder in walks.matching(results, "*/*/*")
        for path in _row_file(folder)
    ]
    if not found:
        raise InputError(
            f"{results}: no rows found, expected <benchmark>/<budget>/<name>/{records.ROW} in it; "
            "score something first: understudy score"
        )
    return found


def _row_file(folder: Path) -> list[Path]:
    """Return the path of a row's file if there is one, or if the folder can't be read: its reader says so."""
    try:
        return walks.matching(folder.parent, f"{folder.name}/{records.ROW}")
    except InputError:
        return [folder / records.ROW]


def every_row_at(path: Path) -> tuple[Path, list[RowFolder]]:
    """Return the results folder that a path lies in, and its rows at the path, readable or not.

    Args:
        path: as of `results_of`.

    Raises InputError if there is no row.
    """
    results, chosen = results_of(path)
    return results, [row for row in every_row_in(results) if row.path.is_relative_to(chosen)]


def results_of(path: Path) -> tuple[Path, Path]:
    """Return the results folder that a path lies in, and the path itself, absolute if need be.

    Args:
        path: a results folder, or the folder of a benchmark, a budget or a row in it.
    """
    for depth in (3, 2, 1):  # of a row, a budget and a benchmark
        if walks.matching(path, f"{'*/' * (3 - depth)}{records.ROW}"):
            chosen = path if len(path.parts) >= depth and ".." not in path.parts else path.resolve()
            return chosen.parents[depth - 1], chosen
    return path, path


def has_rows(results: Path) -> bool:
    """Whether there is a row below a results folder."""
    return bool(walks.matching(results, f"*/*/*/{records.ROW}"))


def run_folders(row: RowFolder, role: str | None = None) -> list[RowPath]:
    """Return the folders of a row's finished runs, of one role or of all."""
    return [path.parent for path in row_files.find(row.path, f"{role or '*'}/*/lane-*/{records.RECORD}")]


def job_folders(row: RowFolder, role: str | None = None) -> list[RowPath]:
    """Return the folders of a row's jobs, begun or finished, of one role or of all."""
    return [path.parent for path in row_files.find(row.path, f"{role or '*'}/*/{records.JOB}")]


def row_of(folder: RowFolder) -> dict[str, Any]:
    """Return the content of `row.json`; InputError unless it is as `understudy score` writes it."""
    if not reserved_names.NAME.fullmatch(folder.name):
        raise InputError(
            f"{str(folder.path)!r}: expected a row's name of letters a-z, digits, '.', '_' and '-'; rename "
            "the folder, or remove it"
        )
    path = folder.path / records.ROW
    found = row_documents.read(row_documents.Row, path)
    for key, expected in (("name", folder.name), ("benchmark", folder.benchmark)):
        if found[key] != expected:
            raise InputError(
                f"{path}: expected {key} {expected!r}, as its folder says; found "
                f"{escaping.shortened(str(found[key]))!r}; store the row under its own name, or remove it"
            )
    _refuse_false_name(path, str(found["name"]), found["control"])
    return found


def _refuse_false_name(path: Path, name: str, control: object) -> None:
    """Raise InputError for a submission's row under a control's name, or a control's under none of theirs."""
    known = reserved_names.is_control(name)
    if control is not known:
        what = "the name of a control" if known else "no control's name"
        raise InputError(
            f"{path}: control is {control!r}, but {name!r} is {what}; rename the submission in "
            f"{reserved_names.DECLARATION} and score it again, or remove this row"
        )


def checkpoints(row: RowFolder) -> list[str]:
    """Return the names of the sets of weights that a row declares."""
    return list(row_of(row)["checkpoints"])


class Documents:
    """The documents of stored rows, each read and checked once while this lives; they must not be changed."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._row = functools.cache(row_of)
        self._job = functools.cache(records.read_job)
        self._record = functools.cache(records.read)

    def row(self, folder: RowFolder) -> dict[str, Any]:
        """Return a row's `row.json`."""
        return self._row(folder)

    def job(self, folder: Readable) -> dict[str, Any]:
        """Return the `job.json` in a job's folder."""
        return self._job(folder)  # type: ignore[arg-type] # every Readable is hashable

    def record(self, folder: Readable) -> dict[str, Any]:
        """Return the `record.json` in a run's folder."""
        return self._record(folder)  # type: ignore[arg-type] # as above


def runs(row: RowFolder, role: str, documents: Documents | None = None) -> tuple[ScoredRun, ...]:
    """Return a row's runs of one role; none unless the job of every checkpoint played in it is complete.

    A row's checkpoints count together, and so do a job's runs: part of them could be a biased choice. Runs of
    other weights than the row's are ignored.

    Raises InputError if a run cannot be read.
    """
    if not walks.is_file(row.path / records.ROW):
        return ()
    documents = documents or Documents()
    found: list[ScoredRun] = []
    declared = documents.row(row)
    played = interventions.checkpoints_of_role(role, declared["checkpoints"], declared["round"])
    for number, (checkpoint, identity) in enumerate(declared["checkpoints"].items()):
        if checkpoint not in played:
            continue
        folder = row.runs / role / checkpoint
        if not (folder / records.JOB).exists():
            return ()
        job = documents.job(folder)
        by = job["player"]["identity"], job["player"]["checkpoint_identity"], job["round"]
        if by != (declared["identity"], identity, declared["round"]):  # left over from before a restart
            return ()
        lanes = [folder / f"lane-{index}" for index in range(len(job["lanes"]))]
        if not all((lane / records.RECORD).exists() for lane in lanes):
            return ()
        found += [_run(row, lane, number, documents) for lane in lanes]
    return tuple(found)


def state_bytes(of_runs: Iterable[dict[str, Any]]) -> int | None:
    """Return the largest size of a state that records of runs name; None if nothing was played."""
    return max((max(record["state_bytes"].values()) for record in of_runs), default=None)


def weights_moved(of_runs: Iterable[dict[str, Any]]) -> bool:
    """Return whether the player's parameters or buffers changed in some run, by their records."""
    found = (record["parameters_sha256"] for record in of_runs)
    return any(parameters["before"] != parameters["after"] for parameters in found)


def require_benchmark(row: dict[str, Any], folder: RowFolder, identity: str) -> None:
    """Raise InputError if a row was scored under a benchmark of the same name with other values."""
    if row["benchmark_identity"] != identity:
        raise InputError(
            f"{folder.path}: scored under another {folder.benchmark} (identity "
            f"{row['benchmark_identity'][:12]}, here {identity[:12]}); play its runs again"
        )


@dataclass(frozen=True)
class CheckResult:
    """The stored result of a check of a job's runs, and whether it is of the runs that are stored."""

    path: Readable
    holds: bool
    mismatch: str | None  # why it does not belong to these runs; None: it does


def check_result(job_folder: Readable, name: str, documents: Documents | None = None) -> CheckResult | None:
    """Return the result of a job's check in a file of records.CHECKS, or None if there is none.

    Raises InputError if it cannot be read.
    """
    path = job_folder / name
    if not path.exists():
        return None
    found = row_documents.read(row_documents.CHECKS[name], path)
    documents = documents or Documents()
    provenance = _provenance(job_folder, documents)
    differing = [name for name, value in provenance.items() if found[name] != value]
    mismatch = f"{differing[0]} is not that of the stored runs: check again" if differing else None
    if name == records.ISOLATION and mismatch is None:
        mismatch = _unchecked(found, documents.job(job_folder)["moves"])
    return CheckResult(path, found["holds"], mismatch)


def _unchecked(found: dict[str, Any], moves: int) -> str | None:
    """Return what an isolation check left out, or None.

    Its windows must lie one in each equal part of the run. Before windows were drawn, lane 0 was checked at
    the start and at the end.
    """
    if found.get("windows"):
        edges = np.linspace(0, moves, len(found["windows"]) + 1).astype(int).tolist()
        inside = (
            first <= begin < end <= last
            for first, last, (begin, end) in zip(edges[:-1], edges[1:], found["windows"], strict=True)
        )
        if not all(inside):
            return "its windows are not spread over the runs: check again"
        return None if found["holds"] == (found["differs_at"] is None) else CONTRADICTION
    for name, needed in records.checked_moves(moves).items():
        if found[name] != needed:
            return f"{name} is {found[name]}, not {needed}: play the runs again, and check them then"
    if found["holds"] != (found["differs_at"] is None):
        return CONTRADICTION
    return None


def _provenance(job_folder: Readable, documents: Documents) -> dict[str, Any]:
    """Return the provenance that a check of the stored runs must have."""
    job = documents.job(job_folder)
    lanes = [documents.record(job_folder / f"lane-{i}") for i in range(len(job["lanes"]))]
    weights = {lane["parameters_sha256"]["after"] for lane in lanes}
    return records.provenance(
        [lane["history_sha256"] for lane in lanes],
        ", ".join(sorted(weights)),  # one, or a check cannot hold
        job["player"]["checkpoint_identity"],
    )


def log(folder: Readable, benchmark: str, budget: str) -> History:
    """Return the log in a run's folder; InputError without one, or where it is too long for the budget."""
    declared = benchmarks.load(benchmark).budget(budget)
    most_moves = max(declared.moves, declared.start_moves)
    return history_format.read(folder / file_names.HISTORY, most_moves)


def _run(row: RowFolder, folder: Readable, checkpoint: int, documents: Documents) -> ScoredRun:
    record = documents.record(folder)
    lane, moves = record["lane"], record["job"]["moves"]
    history = log(folder, row.benchmark, row.budget)
    if history.num_moves != moves:
        raise InputError(
            f"{folder / file_names.HISTORY}: expected {moves:,} moves, as its record says; found "
            f"{history.num_moves:,}; score it again"
        )
    return ScoredRun(lane["unit"], checkpoint, lane["number"], history.reward, history.ended)
