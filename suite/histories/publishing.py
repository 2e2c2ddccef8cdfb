"""What is published from a folder of lives: the lives, a card that says what they are, and a manifest."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Final

from understudy.suite import files
from understudy.suite.errors import InputError
from understudy.suite.histories import format as history_format
from understudy.suite.histories.format import History
from understudy.suite.hub import manifest

HISTORY: Final = "history.parquet"
PUBLISHED: Final = (HISTORY, "network_at_w.safetensors", "checkpoint.safetensors")  # of a life's folder
LAYOUT: Final = f"<benchmark>/<variant>/seed-<k>/{HISTORY}"
CARD: Final = "README.md"
LICENCE: Final = "cc-by-4.0"
TENTH: Final = 10
_NAME = re.compile(r"\w[\w.-]*/(\w[\w.-]*)/seed-(0|[1-9][0-9]*)", re.ASCII)  # also read by globs and YAML


_CARD: Final = Template("""\
---
$front_matter
---

# $title

$count, $moves moves. Each is the log of one player, a row a move: `action`, `reward`, `terminated`,
`truncated`, `explored`. Seeds and settings are in each file's metadata.

Fetch them, checked file by file against `SHA256SUMS`:

```sh
understudy histories pull $repo
```

This prints the pinned name `hf://datasets/$repo@<commit hash>`, under which they can be cited and used:

```sh
understudy histories verify hf://datasets/$repo@<commit hash>
UNDERSTUDY_DATA=hf://datasets/$repo@<commit hash> understudy benchmarks $benchmark
```

One life as a table:

```python
import pandas as pd

life = pd.read_parquet("hf://datasets/$repo@<commit hash>/$example")
```

Skill is points an episode, in the first and in the last tenth of the moves.

| life | game | seed | moves | episodes | first skill | last skill | content SHA-256 |
|---|---|---:|---:|---:|---:|---:|---|""")


@dataclass(frozen=True)
class PublishedLife:
    """One life as a card and a listing show it; all of it is read from its history."""

    name: str  # <benchmark>/<variant>/seed-<k>
    game: str  # family/variant
    seed: int
    moves: int
    episodes: int  # that ended
    first_skill: (
        float | None
    )  # points an episode in the first tenth of the moves; None where no episode ended
    last_skill: float | None  # in the last tenth
    size_bytes: int  # of all its files
    content_sha256: str

    @property
    def benchmark(self) -> str:
        """The benchmark's name."""
        return self.name.split("/")[0]

    @property
    def variant(self) -> str:
        """The game's name within its family."""
        return self.name.split("/")[1]


@dataclass(frozen=True)
class Publication:
    """What goes into one commit."""

    lives: tuple[PublishedLife, ...]
    contents: Mapping[str, Path | bytes]  # by path in the repository
    left_out: tuple[str, ...]  # files of the folder that are no part of a life


def prepare(folder: Path, repo: str) -> Publication:
    """Return what is published from a folder of lives as `repo` ("user/repo"); the folder stays as it is.

    Raises InputError if there is no life, a history can't be read, or a folder's name contradicts it.
    """
    lives = survey(folder)
    contents: dict[str, Path | bytes] = {}
    for life in lives:
        paths = (folder / life.name / name for name in PUBLISHED)
        contents |= {path.relative_to(folder).as_posix(): path for path in paths if path.is_file()}
    digests = {name: files.sha256(folder / name) for name in contents}
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    left_out = sorted(present - contents.keys() - manifest.UNLISTED)
    contents[CARD] = card(lives, repo).encode()
    contents[manifest.NAME] = manifest.text(digests).encode()
    return Publication(lives, contents, tuple(left_out))


def survey(folder: Path) -> tuple[PublishedLife, ...]:
    """Read every life below a folder; return them in order of their names. Raises as `prepare`."""
    paths = sorted(folder.rglob(HISTORY))
    if not paths:
        raise InputError(f"{folder}: expected lives as {LAYOUT}, found none")
    return tuple(sorted((_life(folder, path) for path in paths), key=_order))


def card(lives: Sequence[PublishedLife], repo: str) -> str:
    """Return the data set's card: what the Hub's viewer needs, how to fetch the lives, a table of them."""
    benchmarks = sorted({life.benchmark for life in lives})
    title = f"Learning histories of {' and '.join(benchmarks)}"
    text = _CARD.substitute(
        front_matter="\n".join(_front_matter(lives, title)),
        title=title,
        count=f"{len(lives)} {'life' if len(lives) == 1 else 'lives'}",
        moves=f"{sum(life.moves for life in lives):,}",
        repo=repo,
        benchmark=benchmarks[0],
        example=f"{lives[0].name}/{HISTORY}",
    )
    return "\n".join([text, *map(_row, lives), ""])


def skill_text(skill: float | None) -> str:
    """Return points an episode as text; "-" where no episode ended."""
    return "-" if skill is None else f"{skill:.4g}"


def _life(folder: Path, path: Path) -> PublishedLife:
    name = path.parent.relative_to(folder).as_posix()
    match = _NAME.fullmatch(name)
    if match is None:
        raise InputError(f"{path}: expected lives as {LAYOUT} below {folder}; found {name}")
    seed = int(match[2])
    history = history_format.read(path)
    _require_agreement(path, history, match[1], seed)
    tenth = history.num_moves // TENTH
    return PublishedLife(
        name=name,
        game=history.header.game,
        seed=seed,
        moves=history.num_moves,
        episodes=int(history.ended.sum()),
        first_skill=_skill(history, 0, tenth),
        last_skill=_skill(history, history.num_moves - tenth, history.num_moves),
        size_bytes=sum(
            (path.parent / part).stat().st_size for part in PUBLISHED if (path.parent / part).is_file()
        ),
        content_sha256=history.content_sha256,
    )


def _require_agreement(path: Path, history: History, variant: str, seed: int) -> None:
    """Raise InputError if a folder's name says another game or seed than the history in it."""
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


def _order(life: PublishedLife) -> tuple[str, str, int]:
    return (life.benchmark, life.variant, life.seed)


def _front_matter(lives: Sequence[PublishedLife], title: str) -> list[str]:
    """Return the card's YAML; a JSON string is a YAML one too.

    Source: https://huggingface.co/docs/hub/datasets-manual-configuration
    """
    lines = [
        f"license: {LICENCE}",
        f"pretty_name: {json.dumps(title)}",
        "task_categories:",
        "- reinforcement-learning",
        "tags:",
        *(f"- {json.dumps(tag)}" for tag in ("understudy", *sorted({life.benchmark for life in lives}))),
        "configs:",
    ]
    for (benchmark, variant), _ in groupby(lives, key=lambda life: (life.benchmark, life.variant)):
        lines += [
            f"- config_name: {json.dumps(f'{benchmark}.{variant}')}",
            f"  data_files: {json.dumps(f'{benchmark}/{variant}/seed-*/{HISTORY}')}",
        ]
    return lines


def _row(life: PublishedLife) -> str:
    skills = f"{skill_text(life.first_skill)} | {skill_text(life.last_skill)}"
    return (
        f"| {life.name} | {life.game} | {life.seed} | {life.moves:,} | {life.episodes:,} | {skills} "
        f"| `{life.content_sha256}` |"
    )
