"""Releases: rows, teacher data and protocol frozen under a number, in `leaderboard/releases/<number>.json`.

A release is a manifest: it holds hashes and verdicts, no runs. It is never written again, and numbers are
given one after the other. Rows may be added, or scored by later rules: `differences` says what of a release
the present rows still are.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from datetime import date as Date
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field

import understudy
from understudy.leaderboard import eligibility, stored_rows
from understudy.leaderboard.scores import ScoredRow
from understudy.leaderboard.stored_rows import RowFolder
from understudy.suite import benchmarks, tasks, validation
from understudy.suite.benchmarks import pins
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.harness import records, score_documents
from understudy.suite.io import bounded, checkout, files, walks
from understudy.suite.scoring.verdicts import Verdict
from understudy.suite.validation import Sha256

FOLDER: Final = "releases"  # beside the results folder
PROTOCOL: Final = checkout.ROOT / "docs" / "protocol.md"  # of a checkout; none in a wheel
# What a release freezes besides rows, in a checkout.
ELSEWHERE: Final = ("docs/protocol.md", "suite/benchmarks", "leaderboard/rounds.json")
ADVICE: Final = "restore it; a release is never written again"


class _Part(BaseModel):
    model_config = validation.STRICT


class FrozenRuns(_Part):
    """The runs of a job."""

    runs: int = Field(ge=1)
    sha256: Sha256  # of the canonical JSON of their records' hashes, in the order of the lanes


class FrozenVerdict(_Part):
    """An answer with the number beside it."""

    task: str
    claim: str
    answer: str | None
    reason: str | None
    marks: tuple[str, ...]
    bracketed: bool
    n: int | None
    m: int | None
    shown: score_documents.Interval | None  # the number beside the answer in a table


class FrozenRow(_Part):
    """A row: what played, under which seeds, its runs and its answers."""

    benchmark: str
    budget: str
    name: str
    control: bool
    identity: Sha256
    round: str
    ranked: bool
    not_ranked_because: tuple[str, ...]
    jobs: dict[str, FrozenRuns]  # by the job's folder, e.g. `start/all`
    verdicts: tuple[FrozenVerdict, ...]

    @property
    def key(self) -> tuple[str, str, str]:
        """What names it: benchmark, budget and name."""
        return self.benchmark, self.budget, self.name


class FrozenBenchmark(_Part):
    """A benchmark of these rows."""

    identity: Sha256  # of its values
    data_sha256: Sha256  # of the file that pins its teacher data


class Manifest(_Part):
    """The content of a release's file."""

    format: Literal[1]
    release: int = Field(ge=1)
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    understudy: str  # version of the package
    protocol_sha256: Sha256  # of docs/protocol.md
    benchmarks: dict[str, FrozenBenchmark]
    rows: tuple[FrozenRow, ...]
    sha256: Sha256  # of the canonical JSON of all other values


def folder_of(results: Path) -> Path:
    """Return the folder of the releases of a results folder, which is beside it."""
    return results.resolve().parent / FOLDER


def load(number: int, folder: Path) -> Manifest:
    """Return a release; InputError if there is none of this number, or its file is not as it was written."""
    path = folder / f"{number}.json"
    if not walks.is_file(path):
        known = ", ".join(map(str, numbers(folder))) or "none yet"
        raise InputError(f"{path}: no release {number}; there are: {known}")
    found = validation.document(Manifest, bounded.read(path), path, ADVICE)
    if found.release != number or found.sha256 != _checksum(found.model_dump(mode="json")):
        raise InputError(f"{path}: not the content that was frozen as release {number}; {ADVICE}")
    return found


def numbers(folder: Path) -> list[int]:
    """Return the numbers of the releases in a folder, sorted."""
    stems = (path.stem for path in walks.matching(folder, "*.json"))
    return sorted(int(stem) for stem in stems if stem.isdecimal() and stem == str(int(stem)))


def require_new(number: int, folder: Path) -> None:
    """Raise InputError unless a number is that of the next release."""
    known = numbers(folder)
    if number in known:
        raise InputError(f"{folder / f'{number}.json'}: release {number} is frozen and never changes")
    expected = max(known, default=0) + 1
    if number != expected:
        raise InputError(f"release: expected {expected}, the next number; found {number}")


def require_committed(results: Path) -> None:
    """Raise CheckFailed if a file that a release freezes differs from the commit, or is in none.

    Files outside a git repository are taken as they are.
    """
    for root, places in ((results, (".",)), (checkout.ROOT, ELSEWHERE)):
        changed = _changed(root, places)
        if changed:
            raise CheckFailed(
                f"{root / changed[0]}: differs from the commit{_more(changed)}; commit it before the release"
            )


def freeze(number: int, scored: Sequence[ScoredRow], folder: Path, date: Date) -> Path:
    """Write a release of scored rows and return its path.

    Args:
        number: the next one.
        scored: every row of a results folder, verified.
        folder: of the releases; made if there is none.
        date: of the release.

    Raises InputError for another number, and where there is no protocol, as in an installed package.
    """
    require_new(number, folder)
    protocol = _protocol_sha256()
    if protocol is None:
        raise InputError(f"{PROTOCOL}: no such file; a release is made in a checkout of the repository")
    named = dict.fromkeys(one.folder.benchmark for one in scored)
    values: dict[str, Any] = {
        "format": 1,
        "release": number,
        "date": date.isoformat(),
        "understudy": understudy.__version__,
        "protocol_sha256": protocol,
        "benchmarks": {name: _benchmark(name).model_dump() for name in named},
        "rows": [frozen(one).model_dump(mode="json") for one in scored],
    }
    path = folder / f"{number}.json"
    files.write_json(path, {**values, "sha256": _checksum(values)})
    return path


def frozen(one: ScoredRow) -> FrozenRow:
    """Return a scored row as a release holds it."""
    return FrozenRow(
        benchmark=one.folder.benchmark,
        budget=one.folder.budget,
        name=one.row["name"],
        control=one.row["control"],
        identity=one.row["identity"],
        round=one.row["round"],
        ranked=eligibility.ranked(one),
        not_ranked_because=eligibility.unranked_because(one),
        jobs=_jobs(one.folder),
        verdicts=tuple(map(_verdict, one.verdicts)),
    )


def differences(release: Manifest, scored: Sequence[ScoredRow]) -> Iterator[str]:
    """Yield what of a release the present protocol, data and rows are not any more, a line each.

    Rows that were added since are no difference.
    """
    protocol = _protocol_sha256()
    if protocol not in (None, release.protocol_sha256):
        yield "docs/protocol.md: another text"
    for name, known in release.benchmarks.items():
        if name not in benchmarks.names():
            yield f"{name}: no such benchmark"
        elif _benchmark(name) != known:
            what = "values" if _benchmark(name).identity != known.identity else "pinned teacher data"
            yield f"{name}: other {what}"
    present = {(one.folder.benchmark, one.folder.budget, one.row["name"]): one for one in scored}
    for row in release.rows:
        if row.key not in present:
            yield f"{' '.join(row.key)}: no such row"
        else:
            differing = _differing(row, frozen(present[row.key]))
            if differing:
                yield f"{' '.join(row.key)}: {', '.join(differing)}"


def added(release: Manifest, scored: Sequence[ScoredRow]) -> int:
    """Return how many of the present rows are not in a release."""
    known = {row.key for row in release.rows}
    return sum((one.folder.benchmark, one.folder.budget, one.row["name"]) not in known for one in scored)


def failures(folder: Path, scored: Sequence[ScoredRow]) -> Iterator[str]:
    """Yield what is wrong with stored releases: their files, their numbers, and answers of unchanged runs.

    Under the version, the protocol and the data of a release, the same runs have the same answers.
    """
    known = numbers(folder)
    for number, expected in zip(known, range(1, len(known) + 1), strict=True):
        if number != expected:
            yield f"{folder}: expected release {expected}, found {number}; {ADVICE}"
            return
    present = {(one.folder.benchmark, one.folder.budget, one.row["name"]): one for one in scored}
    for number in known:
        try:
            release = load(number, folder)
        except InputError as error:
            yield str(error)
            continue
        if not _same_rules(release):
            continue
        for row in release.rows:
            now = frozen(present[row.key]) if row.key in present else None
            if now is not None and _differing(row, now) == ["other answers"]:
                yield f"{folder / f'{number}.json'}: {' '.join(row.key)}: other answers than its runs give"


def _same_rules(release: Manifest) -> bool:
    same_data = all(
        name in benchmarks.names() and _benchmark(name) == known for name, known in release.benchmarks.items()
    )
    now = understudy.__version__, _protocol_sha256()
    return same_data and (release.understudy, release.protocol_sha256) == now


def _differing(one: FrozenRow, other: FrozenRow) -> list[str]:
    """Return in which ways two rows of one name differ, in words."""
    found = []
    for what, names in {
        "another submission": ("identity", "control"),
        "another round": ("round",),
        "other runs": ("jobs",),
        "other answers": ("verdicts",),
        "another place in rankings": ("ranked", "not_ranked_because"),
    }.items():
        if any(getattr(one, name) != getattr(other, name) for name in names):
            found.append(what)
    return found


def _jobs(folder: RowFolder) -> dict[str, FrozenRuns]:
    found = {}
    for job in stored_rows.job_folders(folder):
        count = len(records.read_job(job)["lanes"])
        hashes = [records.read(job / f"lane-{index}")["record_sha256"] for index in range(count)]
        name = f"{job.parent.name}/{job.name}"
        found[name] = FrozenRuns(runs=count, sha256=files.text_sha256(files.canonical_json(hashes)))
    return found


def _verdict(verdict: Verdict) -> FrozenVerdict:
    shown = verdict.numbers.get(tasks.load(verdict.task).column.number)
    values = verdict.as_json()
    kept = {name: values[name] for name in FrozenVerdict.model_fields if name not in ("shown", "marks")}
    number = None if shown is None else score_documents.Interval(**vars(shown))
    return FrozenVerdict(**kept, marks=verdict.marks, shown=number)


def _benchmark(name: str) -> FrozenBenchmark:
    benchmark = benchmarks.load(name)
    pinned = pins.path_of(benchmark, benchmark.path.parent)
    return FrozenBenchmark(identity=benchmark.identity, data_sha256=files.sha256(pinned))


def _protocol_sha256() -> str | None:
    return files.sha256(PROTOCOL) if PROTOCOL.is_file() else None


def _checksum(values: dict[str, Any]) -> str:
    return files.text_sha256(files.canonical_json({k: v for k, v in values.items() if k != "sha256"}))


def _changed(root: Path, places: Sequence[str]) -> list[str]:
    """Return the files below a folder that differ from the commit or are in none; none outside of git.

    Raises CheckFailed if git cannot tell.
    """
    around = root.resolve()
    if not places or not any((folder / ".git").exists() for folder in (around, *around.parents)):
        return []
    command = ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=all", "-z", "--", *places]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise CheckFailed(f"{root}: git does not say whether its files are committed ({error})") from error
    return [each[3:] for each in done.stdout.decode("utf-8", "surrogateescape").split("\0") if each]


def _more(found: Sequence[str]) -> str:
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""
