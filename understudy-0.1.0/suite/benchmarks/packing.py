"""Packing: the runs of a data folder as one archive in another, `<out>/<benchmark>/histories.zip`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from understudy.suite.benchmarks import teacher_data
from understudy.suite.benchmarks.benchmark import Benchmark
from understudy.suite.errors import InputError
from understudy.suite.histories import moves_hash, run_archive
from understudy.suite.io import archives, file_lock, parts
from understudy.suite.io.file_names import HISTORIES, LOCK
from understudy.suite.io.readable import StoredPath

Report = Callable[[int, int], None]  # runs done, of how many


def pack(
    benchmark: Benchmark, folder: Path, out: Path, report: Report = lambda done, total: None
) -> tuple[Path, int]:
    """Pack a data folder's runs of a benchmark; return the archive and the number of runs.

    The folder stays as it is. The archive is there completely or not at all, and the same runs give the same
    bytes. Runs that were added to the folder since are packed too.

    Args:
        benchmark: whose runs are packed.
        folder: the data folder, in which they may be in folders or packed already.
        out: the data folder that gets the archive.
        report: called while runs are checked.

    Raises InputError if there is no run, one that `teacher_data.read` refuses, two with the same moves, or
    other runs in `out`.
    """
    runs = teacher_data.teacher_runs(benchmark, [folder])
    if not runs:
        raise InputError(f"{folder}: no run of {benchmark.name} here to pack; see: understudy histories list")
    if out.resolve() == folder.resolve():
        raise InputError(f"{out}: a run is in one place only; give another folder for --out")
    archive = out / benchmark.name / HISTORIES
    sources: dict[str, StoredPath] = {}
    first: dict[str, StoredPath] = {}  # the run of each content
    for done, run in enumerate(runs, 1):
        history = teacher_data.read_uncached(run)
        other = first.setdefault(moves_hash.sha256(history, history.num_moves), run.folder)
        if other is not run.folder:
            raise InputError(
                f"{run.folder}: its moves are those of {other}, so the two are one run; keep one"
            )
        sources |= {
            f"{run.name}/{name}": run.folder / name
            for name in run_archive.FILES
            if (run.folder / name).exists()
        }
        report(done, len(runs))
    archive.parent.mkdir(parents=True, exist_ok=True)
    with file_lock.held(archive.parent / LOCK):
        parts.drop(archive.parent, [archive.name])
        _refuse_others(benchmark, out, archive, sources)
        archives.write(run_archive.KIND, archive, sources, lambda name: sources[name].read_bytes())
    return archive, len(runs)


def _refuse_others(benchmark: Benchmark, out: Path, archive: Path, sources: dict[str, StoredPath]) -> None:
    """Raise InputError if `out` has these runs in folders, or an archive with runs that would be lost."""
    packed = {name.rpartition("/")[0] for name in sources}
    for run in teacher_data.teacher_runs(benchmark, [out]):
        if isinstance(run.folder, Path) and run.name in packed:
            raise InputError(f"{run.folder}: a run is in one place only; give another folder for --out")
    lost = sorted(run_archive.members(archive).keys() - sources.keys())
    if lost:
        raise InputError(
            f"{archive}: holds {lost[0]}, which is not among the runs to be packed; give another folder for "
            "--out"
        )
