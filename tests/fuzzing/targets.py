"""Targets: what reads files that others wrote, each with the sound files that it accepts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fuzzing import originals
from understudy import cli
from understudy.leaderboard import board, scores, verification
from understudy.leaderboard.figures import learning_curves, training_curves
from understudy.submissions import check
from understudy.suite import benchmarks, games
from understudy.suite.benchmarks import declaration, pins
from understudy.suite.harness import rounds, row_archive, row_files
from understudy.suite.histories import derived_segments, history_format, journal, replay, run_archive
from understudy.suite.histories.history_format import History
from understudy.suite.histories.replay_notes import ReplayNotes
from understudy.suite.hub import folders, locations
from understudy.suite.io import bounded
from understudy.suite.io.file_names import HISTORIES, HISTORY
from understudy.suite.teachers import network, policies


@dataclass(frozen=True)
class Target:
    """A reader."""

    name: str
    original: str  # its sound files, a name of `originals.EVERY`
    call: Callable[[Path], object]  # of the folder with them; raises as the reader
    share: int  # of the cases
    is_command: bool = False  # whether `call` returns an exit code


class EveryRunReplayed(ReplayNotes):
    """Notes after which no run is replayed: a row's files are checked, no emulator plays."""

    def __init__(self) -> None:
        super().__init__(None)

    def held(self, histories: Sequence[History]) -> list[bool]:
        """Return that each was replayed."""
        return [True] * len(histories)


def check_submission(folder: Path) -> None:
    check.check(str(folder), "darkroom-v1")


def read_history(folder: Path) -> None:
    found = history_format.read(folder / HISTORY)
    derived_segments.described(found.header)
    rule = derived_segments.stated_rule(found.header)
    if rule is not None:
        derived_segments.difference(found, rule)
    if found.ended.any():
        learning_curves.of_history(found, "a run")


def replay_history(folder: Path) -> None:
    replay.verify(history_format.read(folder / HISTORY), processes=1)


def read_journal(folder: Path) -> None:
    journal.Journal(folder / "journal").load()


def verify_row(folder: Path) -> None:
    verification.require(verification.verify(folder, 1, notes=EveryRunReplayed()))


def score_rows(folder: Path) -> None:
    board.write(scores.score_all(folder), folder / "board")


def read_row_archive(folder: Path) -> None:
    path = folder / row_archive.ARCHIVE
    for name in row_files.archived(folder):
        row_archive.read(path, name)


def read_run_archive(folder: Path) -> None:
    path = folder / HISTORIES
    for name in run_archive.members(path):
        run_archive.named(path / name).read_bytes()  # type: ignore[union-attr]
    for each in run_archive.histories(path):
        history_format.read(each)


def read_data_folder(folder: Path) -> None:
    os.environ["UNDERSTUDY_DATA"] = str(folder)
    try:
        for run in benchmarks.teacher_runs(benchmarks.load("darkroom-v1")):
            benchmarks.read(run)
            if run.network_path is not None:
                network.load_parameters(run.network_path, games.load(run.game))
    finally:
        del os.environ["UNDERSTUDY_DATA"]


def read_training_log(folder: Path) -> None:
    training_curves.of_log(folder / "training.csv")


def read_rounds(folder: Path) -> None:
    rounds.read(folder / "rounds.json")


def read_pins(folder: Path) -> None:
    pins.read(folder / "pins.data.json")


def check_hub_folder(folder: Path) -> None:
    folders.holds(folder, locations.parse(originals.HUB_SOURCE["location"]))


def read_benchmark(folder: Path) -> None:
    path = folder / "darkroom-v1.toml"
    if path.exists():  # the names of benchmarks are those of the files that are there
        declaration.parse(bounded.text(path), str(path))


def read_state_dict(folder: Path) -> None:
    policies.policy("cleanrl").load(folder / "player.pth", games.load(originals.GAME))


def command(*arguments: str) -> Callable[[Path], int]:
    """Return a call of the command line; `@` in an argument stands for the folder."""

    def run(folder: Path) -> int:
        return cli.main([each.replace("@", str(folder)) for each in arguments])

    return run


TARGETS = (
    Target("check a submission", "submission", check_submission, 16),
    Target("read a teacher's history", "history", read_history, 12),
    Target("read a scored run's history", "scored_run", read_history, 6),
    Target("replay a history", "scored_run", replay_history, 4),
    Target("read a journal", "journal_folder", read_journal, 6),
    Target("verify a row's files", "row_tree", verify_row, 4),
    Target("verify a packed row's files", "row_packed", verify_row, 4),
    Target("score rows", "row_tree", score_rows, 1),
    Target("score packed rows", "row_packed", score_rows, 2),
    Target("read a row's archive", "row_archive_alone", read_row_archive, 10),
    Target("read an archive of runs", "run_archive", read_run_archive, 10),
    Target("read a data folder", "data_folder", read_data_folder, 5),
    Target("read a training's log", "training", read_training_log, 2),
    Target("read rounds", "rounds", read_rounds, 4),
    Target("read pins", "pins", read_pins, 4),
    Target("check a copy of the Hub's", "hub_folder", check_hub_folder, 4),
    Target("read a benchmark", "benchmark_file", read_benchmark, 2),
    Target("read a state dict", "state_dict", read_state_dict, 4),
    Target("$ check", "submission", command("check", "@"), 2, is_command=True),
    Target("$ verify", "row_packed", command("verify", "@"), 1, is_command=True),
    Target(
        "$ board", "row_packed", command("board", "@", "--out", "@-board", "--no-figures"), 1, is_command=True
    ),
    Target("$ histories info", "history", command("histories", "info", "@"), 3, is_command=True),
    Target("$ histories verify", "scored_run", command("histories", "verify", "@"), 2, is_command=True),
)


def chosen(rng: np.random.Generator) -> Target:
    """Draw a target; each by its share."""
    shares = np.array([target.share for target in TARGETS], float)
    return TARGETS[int(rng.choice(len(TARGETS), p=shares / shares.sum()))]
