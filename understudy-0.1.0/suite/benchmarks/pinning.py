"""Pinning: hash a benchmark's recorded teacher runs, publish them if asked, and add them to its pins."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from understudy.suite.benchmarks import data_folders, pins, teacher_data
from understudy.suite.benchmarks.benchmark import Benchmark
from understudy.suite.benchmarks.pins import Pin
from understudy.suite.benchmarks.teacher_data import TeacherRun
from understudy.suite.errors import InputError
from understudy.suite.histories import moves_hash
from understudy.suite.io import checkout, files

Report = Callable[[str], None]


def pin(
    benchmark: Benchmark,
    data: Path | None = None,
    publish: str | None = None,
    report: Report = lambda line: None,
) -> tuple[Path, int]:
    """Pin runs; return the file of the pins and how many were added.

    A run is pinned over all its moves; one that may be watched also over the first W, as submissions name it.

    Args:
        benchmark: whose runs are pinned.
        data: a data folder of one's own, which gets a file of pins; None: the runs of this machine, in the
            package's file.
        publish: "user/repo" of a dataset on the Hub, to which the runs are published first, but for those
            that come with the package.
        report: called with lines about what is published.

    Raises InputError if there is no run, for an installed package's file, or as `pins.append` and
    `publishing.prepare`.
    """
    path = pins.path_of(benchmark, benchmark.path.parent if data is None else data)
    checkout.require_for(path)
    runs = teacher_data.teacher_runs(benchmark, None if data is None else [data])
    if not runs:
        raise InputError(f"{benchmark.name}: no teacher run here to pin; see: understudy benchmarks")
    teacher_data.require_same_training_settings(runs)
    before = pins.read(path)
    found = [each for run in runs for each in _pins(benchmark, run)]
    pins.merged(before, found)  # raises before anything is published
    if publish is not None:
        strangers = [run for run in runs if not _is_embedded(run)]
        source = _publish(benchmark, strangers, publish, report)
        found = [pin if pin.source == pins.EMBEDDED else replace(pin, source=source) for pin in found]
    return path, len(pins.append(path, found).pins) - len(before.pins)


def _pins(benchmark: Benchmark, run: TeacherRun) -> Iterator[Pin]:
    history = teacher_data.read(run)
    network = files.sha256(run.network_path) if run.network_path is not None else None
    lengths = {history.num_moves}
    if run.game not in benchmark.new_games:
        lengths.add(min(benchmark.watched_moves, history.num_moves))
    for moves in sorted(lengths):
        source = pins.EMBEDDED if _is_embedded(run) else None
        yield Pin(run.name, moves, moves_hash.sha256(history, moves), network, source)


def _is_embedded(run: TeacherRun) -> bool:
    return Path(str(run.folder)).is_relative_to(data_folders.EMBEDDED)


def _publish(benchmark: Benchmark, runs: Sequence[TeacherRun], repo: str, report: Report) -> str:
    """Publish the runs in one commit and return the dataset's pinned name."""
    from understudy.suite.histories import publishing
    from understudy.suite.hub import commits, locations

    location = locations.parse_repo(repo, "dataset")
    with tempfile.TemporaryDirectory() as folder:
        for run in runs:
            target = Path(folder) / benchmark.name / run.name
            target.mkdir(parents=True)
            for path in filter(None, (run.history_path, run.network_path)):
                if isinstance(path, Path):
                    (target / path.name).symlink_to(path.resolve())
                else:  # in an archive
                    files.write_atomically(target / path.name, path.read_bytes())
        publication = publishing.prepare(Path(folder), location.repo)
        report(f"{location}: {len(publication.runs)} runs")
        published = commits.publish(
            publication.contents,
            location,
            f"{benchmark.name}: {len(runs)} teacher runs",
            private=False,
            tag=None,
        )
    return str(published)
