"""Prepare a folder of runs for publication: the runs' files, a dataset card, and a manifest."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from string import Template
from typing import Final

from understudy.suite import escaping
from understudy.suite.errors import InputError
from understudy.suite.histories import croissant, history_format, run_archive
from understudy.suite.histories.history_format import History
from understudy.suite.histories.run_archive import PackedPath
from understudy.suite.hub import manifest
from understudy.suite.io import files, walks
from understudy.suite.io.file_names import CARD, HISTORIES, HISTORY

PUBLISHED: Final = run_archive.FILES  # of a run's folder
LAYOUT: Final = f"<benchmark>/<variant>/seed-<k>/{HISTORY}"
LICENCE: Final = "cc-by-4.0"
TENTH: Final = 10
_NAME = re.compile(r"\w[\w.-]*/(\w[\w.-]*)/seed-(0|[1-9][0-9]*)", re.ASCII)  # safe in globs and YAML


_CARD: Final = Template("""\
---
$front_matter
---

# $title

$count, $moves moves. Each file is the log of one run, with a row for each move: `action`, `reward`,
`terminated`, `truncated`, `explored`. Seeds and settings are in the file's metadata.

Download them, each file checked against `SHA256SUMS`:

```sh
understudy histories pull $repo
```

This prints the pinned name `hf://datasets/$repo@<commit hash>`, to cite and to use:

```sh
understudy histories verify hf://datasets/$repo@<commit hash>
UNDERSTUDY_DATA=hf://datasets/$repo@<commit hash> understudy benchmarks $benchmark
```

$example

Skill is points per episode, in the first and in the last 10 % of the moves.

| run | game | seed | moves | episodes | first skill | last skill | content SHA-256 |
|---|---|---:|---:|---:|---:|---:|---|""")

_TABLE: Final = Template("""\
One run as a table:

```python
import pandas as pd

run = pd.read_parquet("hf://datasets/$repo@<commit hash>/$example")
```""")


@dataclass(frozen=True)
class PublishedRun:
    """A row of the card's table of runs; everything is read from the run's history."""

    name: str  # <benchmark>/<variant>/seed-<k>
    game: str  # family/variant
    seed: int
    moves: int
    episodes: int  # number of finished episodes
    first_skill: float | None  # points per episode, first 10 % of the moves; None if no episode ended there
    last_skill: float | None  # points per episode, last 10 % of the moves; None if no episode ended there
    size_bytes: int  # of all its files
    content_sha256: str
    archive: str | None = None  # path of the archive that it is packed in, or None

    @property
    def benchmark(self) -> str:
        """The first part of the name."""
        return self.name.split("/")[0]

    @property
    def variant(self) -> str:
        """The second part of the name: the game's name within its family."""
        return self.name.split("/")[1]

    def history_in(self, folder: Path) -> Path | PackedPath:
        """Return the run's history, in the folder that was surveyed or in an archive there."""
        if self.archive is None:
            return folder / self.name / HISTORY
        return PackedPath(folder / self.archive, PurePosixPath(self.name.partition("/")[2], HISTORY))


@dataclass(frozen=True)
class Publication:
    """The content of one commit."""

    runs: tuple[PublishedRun, ...]
    contents: Mapping[str, Path | bytes]  # by path in the repository
    left_out: tuple[str, ...]  # files of the folder that don't belong to a run


def prepare(folder: Path, repo: str) -> Publication:
    """Return what to publish from a folder of runs as `repo` ("user/repo"); the folder is not changed.

    Raises InputError if there is no run, a history can't be read, or a folder's name contradicts its history.
    """
    runs = survey(folder)
    contents: dict[str, Path | bytes] = {}
    for run in runs:
        if run.archive is not None:
            contents[run.archive] = folder / run.archive
            continue
        paths = (folder / run.name / name for name in PUBLISHED)
        contents |= {path.relative_to(folder).as_posix(): path for path in paths if walks.is_file(path)}
    digests = {name: files.sha256(folder / name) for name in contents}
    present = {path.relative_to(folder).as_posix() for path in walks.files(folder)}
    left_out = sorted(present - contents.keys() - manifest.UNLISTED - {croissant.NAME})
    archives = {name: sha256 for name, sha256 in digests.items() if PurePosixPath(name).name == HISTORIES}
    described = croissant.text(_title(runs), repo, LICENCE, _configurations(runs), archives).encode()
    contents[croissant.NAME] = described
    digests[croissant.NAME] = manifest.bytes_sha256(described)
    contents[CARD] = card(runs, repo).encode()
    contents[manifest.NAME] = manifest.text(digests).encode()
    return Publication(runs, contents, tuple(left_out))


def survey(folder: Path) -> tuple[PublishedRun, ...]:
    """Read every run below a folder, packed ones too, and return them in order of their names.

    Raises as `prepare` does, and InputError for a run that is in a folder and in an archive.
    """
    below = walks.files(folder)
    paths: list[Path | PackedPath] = [path for path in below if path.name == HISTORY]
    for archive in (path for path in below if path.name == HISTORIES):
        paths += run_archive.histories(archive)
    if not paths:
        raise InputError(f"{folder}: expected runs as {LAYOUT}, found none")
    runs = sorted((_run(folder, path) for path in paths), key=_order)
    for run, other in pairwise(runs):
        if run.name == other.name:
            raise InputError(f"{folder}: {run.name} is in a folder and in {HISTORIES}; keep one")
    return tuple(runs)


def card(runs: Sequence[PublishedRun], repo: str) -> str:
    """Return the dataset card: configurations of the Hub's viewer, how to fetch, and a table of the runs."""
    benchmarks = sorted({run.benchmark for run in runs})
    title = _title(runs)
    text = _CARD.substitute(
        front_matter="\n".join(_front_matter(runs, title)),
        title=title,
        count=f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}",
        moves=f"{sum(run.moves for run in runs):,}",
        repo=repo,
        benchmark=benchmarks[0],
        example=_example(runs, repo),
    )
    return "\n".join([text, *map(_row, runs), ""])


def _example(runs: Sequence[PublishedRun], repo: str) -> str:
    """Return how one run is read as a table, and where packed runs are."""
    unpacked = [run.name for run in runs if run.archive is None]
    archives = sorted({run.archive for run in runs if run.archive is not None})
    table = _TABLE.substitute(repo=repo, example=f"{unpacked[0]}/{HISTORY}") if unpacked else ""
    note = f"{len(runs) - len(unpacked):,} of the runs are packed in {' and '.join(archives)}, as they are."
    return "\n\n".join(part for part in (table, note if archives else "") if part)


def skill_text(skill: float | None) -> str:
    """Return points per episode as text, "-" for None."""
    return "-" if skill is None else f"{skill:.4g}"


def _run(folder: Path, path: Path | PackedPath) -> PublishedRun:
    archive = path.archive if isinstance(path, PackedPath) else None
    place = path.archive.parent / path.inner if isinstance(path, PackedPath) else path
    name = place.parent.relative_to(folder).as_posix()
    match = _NAME.fullmatch(name)
    if match is None:
        raise InputError(f"{path}: expected runs as {LAYOUT} below {folder}; found {name}")
    seed = int(match[2])
    history = history_format.read(path)
    _require_agreement(path, history, match[1], seed)
    tenth = history.num_moves // TENTH
    return PublishedRun(
        name=name,
        game=history.header.game,
        seed=seed,
        moves=history.num_moves,
        episodes=int(history.ended.sum()),
        first_skill=_skill(history, 0, tenth),
        last_skill=_skill(history, history.num_moves - tenth, history.num_moves),
        size_bytes=sum(_size_bytes(path.parent / part) for part in PUBLISHED),
        content_sha256=history.content_sha256,
        archive=None if archive is None else archive.relative_to(folder).as_posix(),
    )


def _size_bytes(path: Path | PackedPath) -> int:
    if isinstance(path, PackedPath):
        member = run_archive.members(path.archive).get(str(path.inner))
        return member.size_bytes if member else 0
    return path.stat().st_size if walks.is_file(path) else 0


def _require_agreement(path: Path | PackedPath, history: History, variant: str, seed: int) -> None:
    """Raise InputError unless a folder's name gives the game and seed of the history in it."""
    played = history.header.game.partition("/")[2]
    if played != variant:
        raise InputError(
            f"{path}: its folder says {variant}, its history {history.header.game}; rename the folder"
        )
    recorded = history.header.player.get("seed", seed)
    if recorded != seed:
        raise InputError(
            f"{path}: its folder says seed-{seed}, its history seed {recorded}; rename the folder"
        )


def _skill(history: History, begin: int, end: int) -> float | None:
    ends = int(history.ended[begin:end].sum())
    return float(history.reward[begin:end].sum(dtype="f8")) / ends if ends else None


def _order(run: PublishedRun) -> tuple[str, str, int]:
    return (run.benchmark, run.variant, run.seed)


def _front_matter(runs: Sequence[PublishedRun], title: str) -> list[str]:
    """Return the card's YAML lines; a JSON string is also a YAML string.

    Source: https://huggingface.co/docs/hub/datasets-manual-configuration
    """
    lines = [
        f"license: {LICENCE}",
        f"pretty_name: {json.dumps(title)}",
        "task_categories:",
        "- reinforcement-learning",
        "tags:",
        *(f"- {json.dumps(tag)}" for tag in ("understudy", *sorted({run.benchmark for run in runs}))),
    ]
    found = _configurations(runs)
    lines += ["configs:"] if found else []
    for name, pattern in found.items():
        lines += [f"- config_name: {json.dumps(name)}", f"  data_files: {json.dumps(pattern)}"]
    return lines


def _configurations(runs: Sequence[PublishedRun]) -> dict[str, str]:
    """Return the viewer's configurations, one a game that has unpacked runs: patterns of files by name."""
    games = dict.fromkeys((run.benchmark, run.variant) for run in runs if run.archive is None)
    return {
        f"{benchmark}.{variant}": f"{benchmark}/{variant}/seed-*/{HISTORY}" for benchmark, variant in games
    }


def _title(runs: Sequence[PublishedRun]) -> str:
    return f"Learning histories of {' and '.join(sorted({run.benchmark for run in runs}))}"


def _row(run: PublishedRun) -> str:
    name, game = map(escaping.markdown, (run.name, run.game))
    skills = f"{skill_text(run.first_skill)} | {skill_text(run.last_skill)}"
    return (
        f"| {name} | {game} | {run.seed} | {run.moves:,} | {run.episodes:,} | {skills} "
        f"| `{run.content_sha256}` |"
    )
