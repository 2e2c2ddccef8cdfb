"""Sound files, as bytes by their relative path, from which each case makes its mutated copy.

They are those that come with the project, cut to what is quick to read.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from support import embedded_runs, sound_submissions, torch_files

from understudy import baselines
from understudy.leaderboard import stored_rows
from understudy.submissions import training_log
from understudy.suite import benchmarks, games
from understudy.suite.harness import records, row_archive
from understudy.suite.histories import history_format, journal
from understudy.suite.hub import manifest
from understudy.suite.io.file_names import HISTORIES, HISTORY, NETWORK_AT_W
from understudy.suite.teachers import network

Files = Mapping[str, bytes]  # a folder's, by relative path

GAME = "darkroom/goal-00"
RUN, RUN_ON_NEW = "goal-00/seed-0", "goal-02/seed-0"
RESULTS = "darkroom-v1/quick"
SHA256 = "0123456789abcdef" * 4  # of nothing


@functools.cache
def submission() -> Files:
    """A small, untrained submission."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        embedded_runs.unpack(data, *sound_submissions.WATCHED)
        written = sound_submissions.write(Path(folder) / "mine", baselines.load("bc"), data)
        return sound_submissions.content(written)


@functools.cache
def history() -> Files:
    """A teacher's run."""
    return {HISTORY: (embedded_runs.packed(RUN) / HISTORY).read_bytes()}


@functools.cache
def scored_run() -> Files:
    """A run of a stored row, as a history of its own."""
    data = _runs("random", "start/")["start/control/lane-0/history.parquet"]
    return {HISTORY: data}


@functools.cache
def data_folder() -> Files:
    """A data folder with a teacher's run and its network, and an archive of others."""
    run = {f"darkroom-v1/{name}": data for name, data in _teachers(0).items()}
    return {**run, f"darkroom-v1/{HISTORIES}": zipped(_teachers(1, 3), zipfile.ZIP_STORED)}


@functools.cache
def row_tree() -> Files:
    """The start runs of a control's row, as files."""
    return _row("random", _runs("random", "start/"))


@functools.cache
def row_packed() -> Files:
    """The start runs and predictions of an imitator's row, in an archive."""
    runs = _runs("bc", "start/", "agreement/")
    return _row("bc", {row_archive.ARCHIVE: zipped(runs, zipfile.ZIP_DEFLATED)})


@functools.cache
def row_archive_alone() -> Files:
    """An archive of a row's runs."""
    runs = _runs("bc", "start/", "agreement/all/goal-00")
    few = {name: data for name, data in runs.items() if "lane-1" not in name}
    return {row_archive.ARCHIVE: zipped(few, zipfile.ZIP_DEFLATED)}


@functools.cache
def run_archive() -> Files:
    """An archive of teachers' runs."""
    return {HISTORIES: zipped(_teachers(0, 1, 3), zipfile.ZIP_STORED)}


@functools.cache
def journal_folder() -> Files:
    """A run that is being recorded."""
    with tempfile.TemporaryDirectory() as folder:
        found = history_format.read(embedded_runs.packed(RUN_ON_NEW) / HISTORY)
        written = journal.Journal(Path(folder) / "journal")
        written.create(found.header)
        written.append(journal.rows_of(found))
        written.checkpoint(list(found.header.segments))
        return _in(Path(folder))


@functools.cache
def training() -> Files:
    """The log of a training."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(training_log.HEADER)
    for update in range(0, 50, 10):
        for folder in ("all-0", "all-1"):
            fields = {"update": update, "loss": 1.5 - update / 100, "validation_loss": "" if update else 1.6}
            writer.writerow([folder, *(fields.get(name, 1) for name in training_log.HEADER[1:])])
    return {"training.csv": sink.getvalue().encode()}


@functools.cache
def rounds() -> Files:
    """Two rounds, one of them open."""
    committed = {
        "identity": SHA256,
        "benchmark": "darkroom-v1",
        "name": "mine",
        "decoding": "greedy",
        "track": "frozen",
        "priming_moves": 8,
        "declaration": SHA256,
    }
    drawn = {"round": 1, "committed": [committed, {**committed, "name": "other"}], "salt": SHA256[:32]}
    found = [{**drawn, "drawn": "2026-01-31"}, {"round": 2, "committed": [], "salt": None, "drawn": None}]
    return {"rounds.json": json.dumps({"format": 1, "rounds": found}, indent=1).encode()}


@functools.cache
def pins() -> Files:
    """A benchmark's pins."""
    path = Path(benchmarks.__file__).parent / "darkroom-v1.data.json"
    found = json.loads(path.read_bytes())
    return {"pins.data.json": json.dumps({**found, "runs": found["runs"][:6]}).encode()}


@functools.cache
def hub_folder() -> Files:
    """A copy of a pinned location, with its manifest."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "copy"
        for path, data in {**history(), "data/notes.json": b"{}\n"}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        manifest.write(folder)
        (folder / manifest.SOURCE).write_text(json.dumps(HUB_SOURCE), encoding="utf-8")
        return _in(folder)


HUB_REVISION = "0123456789" * 4
HUB_SOURCE = {
    "location": f"hf://datasets/user/runs@{HUB_REVISION}",
    "repo": "user/runs",
    "type": "dataset",
    "revision": HUB_REVISION,
}


@functools.cache
def benchmark_file() -> Files:
    """A benchmark's declaration."""
    return {"darkroom-v1.toml": (Path(benchmarks.__file__).parent / "darkroom-v1.toml").read_bytes()}


@functools.cache
def state_dict() -> Files:
    """A player's network, as PyTorch saves it."""
    import torch

    game = games.load(GAME)
    rng = torch.Generator().manual_seed(0)
    tensors = {}
    for number, (name, shape) in enumerate(network.shapes(game).items()):
        kept = tuple(reversed(shape))  # PyTorch's weights are [out, in], a teacher's [in, out]
        part = name.rpartition(".")[2]
        tensors[f"network.{number // 2 * 2}.{part}"] = torch.randn(kept, generator=rng)
    return {"player.pth": torch_files.saved(tensors)}


def zipped(members: Files, method: int) -> bytes:
    """Return an archive as the project writes it: sorted names, one fixed time."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o100644 << 16
            deflates = method == zipfile.ZIP_DEFLATED and name.endswith(".json")
            info.compress_type = zipfile.ZIP_DEFLATED if deflates else zipfile.ZIP_STORED
            archive.writestr(info, members[name])
    return sink.getvalue()


def _runs(row: str, *prefixes: str) -> dict[str, bytes]:
    """Return the files of a stored row's runs below some folders."""
    with zipfile.ZipFile(stored_rows.RESULTS / RESULTS / row / row_archive.ARCHIVE) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.startswith(prefixes)}


def _teachers(*goals: int) -> dict[str, bytes]:
    names = [f"goal-{goal:02d}/seed-0/{name}" for goal in goals for name in (HISTORY, NETWORK_AT_W)]
    return {name: embedded_runs.packed(name).read_bytes() for name in names}


def _row(row: str, runs: Files) -> Files:
    stored = stored_rows.RESULTS / RESULTS / row
    present = (name for name in (records.ROW, records.TIMING) if (stored / name).exists())
    kept = {name: (stored / name).read_bytes() for name in present}
    return {f"{RESULTS}/{row}/{name}": data for name, data in {**kept, **runs}.items()}


def _in(folder: Path) -> Files:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


EVERY: Mapping[str, Callable[[], Files]] = {
    each.__name__: each
    for each in (
        *(submission, history, scored_run, data_folder, row_tree, row_packed, row_archive_alone, run_archive),
        *(journal_folder, training, rounds, pins, hub_folder, benchmark_file, state_dict),
    )
}
