"""Under-training: whether a trained entry predicts held-out runs better than behaviour cloning with a clock.

An entry's `training.csv` ends with its loss on watched runs that no update used. `bc-time` sees the present
observation and the number of moves, and nothing else of the past. An imitator that has learned to use the
past predicts better than that; one that does not says little about its architecture.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from understudy.suite.harness import rounds
from understudy.suite.io import files, walks
from understudy.suite.io.file_names import TRAINING_LOG
from understudy.suite.reserved_names import DECLARATION, ENTRIES

YARDSTICK: Final = "bc-time"
WITHOUT_MEMORY: Final = ("bc", YARDSTICK)  # architectures that training cannot carry beyond it
# With the watched runs and the training seeds, all that determines the held-out windows and their targets.
OF_WINDOWS: Final = (
    "seed",
    "held_out",
    "held_out_games",
    "batch_size",
    "window_moves",
    "episode_stride",
    "last_moves",
)

# Defaults of those that came later, which older declarations lack.
LATER: Final = {"held_out_games": 0, "episode_stride": 1, "last_moves": 0}


@dataclass(frozen=True)
class HeldOut:
    """The loss of an entry on held-out watched runs at the end of its training."""

    architecture: str
    loss: float  # nats an action, mean of its checkpoints
    windows: str  # hash of what determines the windows; equal ones may be compared


def remark(benchmark: str, identity: str, entries: Path = ENTRIES) -> str | None:
    """Return the remark that a row's weights are under-trained; None if not, or if nothing tells.

    Args:
        benchmark: name.
        identity: of the submission that played the row; an entry of the package has it by the rounds' list.
        entries: folder of the entries, `<entries>/<benchmark>/<name>`.
    """
    committed = (each for one in rounds.read() for each in one.committed if each.benchmark == benchmark)
    names = dict.fromkeys(each.name for each in committed if each.identity == identity)
    found = next(filter(None, (held_out(entries / benchmark / name) for name in names)), None)
    if found is None or found.architecture in WITHOUT_MEMORY:
        return None
    others = map(held_out, _folders(entries / benchmark))
    peers = [each.loss for each in others if each and _is_yardstick(each, found)]
    if not peers or found.loss < min(peers):
        return None
    return (
        f"under-trained: a loss of {found.loss:.3f} nats an action on held-out watched runs, {YARDSTICK} "
        f"has {min(peers):.3f}"
    )


def held_out(entry: Path) -> HeldOut | None:
    """Return the held-out loss of an entry; None if it was trained without one, or without a log."""
    log, declaration = entry / TRAINING_LOG, entry / DECLARATION
    if not walks.is_file(log) or not walks.is_file(declaration):
        return None
    return _held_out(log, log.stat().st_mtime_ns, declaration, declaration.stat().st_mtime_ns)


@lru_cache(maxsize=256)
def _held_out(log: Path, log_ns: int, declaration: Path, declaration_ns: int) -> HeldOut | None:
    with log.open(newline="", encoding="utf-8") as file:
        last = {line["checkpoint"]: line["validation_loss"] for line in csv.DictReader(file)}
    if not last or not all(last.values()):
        return None
    declared = json.loads(declaration.read_text(encoding="utf-8"))
    loss = sum(map(float, last.values())) / len(last)
    return HeldOut(declared["architecture"], loss, _windows(declared))


def _windows(declared: dict[str, Any]) -> str:
    settings = {**LATER, **declared["training"]}
    seeds = sorted(each["training_seed"] for each in declared["checkpoints"])
    known = {name: settings.get(name) for name in OF_WINDOWS}
    values = [declared["watched"], seeds, known, declared.get("training_targets")]
    return files.text_sha256(files.canonical_json(values))


def _is_yardstick(one: HeldOut, of: HeldOut) -> bool:
    return one.architecture == YARDSTICK and one.windows == of.windows


def _folders(benchmark: Path) -> list[Path]:
    return [path.parent for path in walks.matching(benchmark, f"*/{DECLARATION}")]
