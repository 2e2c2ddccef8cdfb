"""The table of `docs/imitators.md`: what the entries of the experiments are, and what they cost.

`python -m understudy.imitators_page docs/imitators.md` fills it in.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from understudy.leaderboard import experiments, pages, tables, under_training
from understudy.leaderboard.experiments import Experiment, Folders
from understudy.submissions import check, submission_format
from understudy.suite import benchmarks
from understudy.suite.io import checkout
from understudy.suite.reserved_names import DECLARATION, ENTRIES

HEADINGS: Final = (
    *(
        "entry",
        "parameters",
        "state of a run, bytes",
        "FLOPs a move",
        "watched runs",
        "million moves of windows",
    ),
    *("learning rate", "held-out loss, nats", "search", "training", "playing"),
)
UNKNOWN: Final = "-"
COSTS: Final = ("search", "training", "playing")  # minutes of a processor


def page_tables() -> dict[str, str]:
    """Return the page's tables by name: one for each benchmark that has trained entries of experiments."""
    board = checkout.ROOT / "leaderboard"
    folders = Folders(ENTRIES, board / "results", board / "searches", checkout.ROOT / "results")
    found = experiments.read()
    names = dict.fromkeys(each.benchmark for each in found.values())
    lines = {name: [*_lines(name, found, folders)] for name in names}
    return {f"{name} trainings": tables.markdown(HEADINGS, each) for name, each in lines.items() if each}


def _lines(benchmark: str, found: Mapping[str, Experiment], folders: Folders) -> Iterator[list[str]]:
    """Yield a line for each trained entry that is there; what another decoding cost in play is added."""
    for key, experiment in found.items():
        is_trained = experiment.benchmark == benchmark and experiment.weights_of is None
        if is_trained and (folders.entry(experiment) / DECLARATION).exists():
            played = [experiment, *(each for each in found.values() if each.weights_of == key)]
            yield _line(experiment, played, folders)


def _line(experiment: Experiment, played: list[Experiment], folders: Folders) -> list[str]:
    entry = folders.entry(experiment)
    submission = submission_format.read(entry)
    sizes = check.sizes(submission, benchmarks.load(experiment.benchmark))
    declared = submission.declaration
    settings = declared.training or {}
    moves = settings.get("updates", 0) * settings.get("batch_size", 0) * settings.get("window_moves", 0)
    held_out = under_training.held_out(entry)
    costs = [experiments.notes(each, folders).get("processor_seconds", {}) for each in played]
    return [
        experiment.name,
        f"{sizes.parameters:,}",
        f"{sizes.state_bytes:,}",
        f"{sizes.flops:,}",
        f"{len(declared.watched.histories):,}",
        f"{_repeated(len(declared.checkpoints))}{moves / 1e6:.1f}",
        f"{settings.get('learning_rate', UNKNOWN)}",
        UNKNOWN if held_out is None else f"{held_out.loss:.3f}",
        *(_minutes(costs, what) for what in COSTS),
    ]


def _repeated(checkpoints: int) -> str:
    return "" if checkpoints == 1 else f"{checkpoints} x "


def _minutes(costs: list[dict[str, Any]], what: str) -> str:
    """Return the minutes of a processor that a kind of command took; unknown unless it was measured."""
    measured = [cost[what] for cost in costs if what in cost]
    return f"{sum(measured) / 60:.1f}" if measured else UNKNOWN


def main(page: Path) -> None:
    """Fill in the page's tables."""
    pages.fill(page, page_tables())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
