"""Short films of a row: its play beside the teacher's at the same moves, both replayed from their logs."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from understudy.leaderboard import stored_rows
from understudy.leaderboard.reference_runs import StoredReferences
from understudy.leaderboard.stored_rows import RowFolder
from understudy.suite import benchmarks, protocols, registry, tasks
from understudy.suite.benchmarks import TeacherRun
from understudy.suite.errors import InputError
from understudy.suite.harness import records
from understudy.suite.histories import films, frame_store, move_images
from understudy.suite.histories.history_format import History
from understudy.suite.histories.segments import Report

MOVES: Final = 150
FRAMES_PER_SECOND: Final = 15  # an Atari makes 15 moves a second
SCALE: Final = 2  # of a frame 84 pixels high
GAP_PIXELS: Final = 12  # between the two pictures; even, as the pictures' widths are
SUFFIX: Final = ".webp"


@dataclass(frozen=True)
class Film:
    """A film of one run of a row, left, and of its teacher's, right."""

    game: str
    run: str  # of the row, `<role>/<checkpoint>/<lane>`
    teacher: str  # its run's name
    first: int  # the first move that is shown, counted in the row's run
    stop: int  # the move after the last
    teacher_first: int  # the teacher's move beside it, counted from the start of its run
    data: bytes  # an animated WebP

    @property
    def url(self) -> str:
        """The film as a `data:` URL."""
        return f"data:image/webp;base64,{base64.b64encode(self.data).decode()}"


Films = Mapping[str, Mapping[str, Film]]  # by the row's place and the task


@dataclass(frozen=True)
class _Pair:
    run: str
    own: History
    teacher: TeacherRun
    teachers: History
    offset: int  # the teacher's move beside the row's move 0


def find(results: Path, places: Sequence[str]) -> list[RowFolder]:
    """Return the rows at `<benchmark>/<budget>/<name>`; InputError for one that is not there."""
    known = {row.place: row for row in stored_rows.every_row_in(results)}
    return [known[registry.choose(place, known, "row")] for place in places]


def of_rows(
    results: Path, rows: Sequence[RowFolder], report: Report = lambda done, total: None
) -> dict[str, dict[str, Film]]:
    """Return the films of some rows: one for each question about a gain whose runs are stored.

    Each shows the last MOVES moves that the row's first run with a teacher beside it and that teacher's run
    have in common: no run is picked for what it shows.

    Args:
        results: the results folder.
        rows: of it.
        report: called with the films made so far and their number.

    Raises:
        InputError: a row has no run with a teacher's over the same moves, or a run cannot be read or drawn.
        CheckFailed: a replay differs from its log.
        MachineError: the frames cannot be stored.
    """
    pairs = [(row, task, pair) for row in rows for task, pair in _pairs(results, row)]
    found: dict[str, dict[str, Film]] = {}
    for done, (row, task, pair) in enumerate(pairs):
        report(done, len(pairs))
        found.setdefault(row.place, {})[task] = _film(pair)
    report(len(pairs), len(pairs))
    return found


def _pairs(results: Path, row: RowFolder) -> list[tuple[str, _Pair]]:
    benchmark = benchmarks.load(row.benchmark)
    budget = benchmark.budget(row.budget)
    references = StoredReferences(results, benchmark, budget)
    found = []
    for task in tasks.gain_tasks(budget.tasks):
        assert task.gain is not None
        pair = _first_pair(row, task.gain.roles[1], references)
        if pair is not None:
            found.append((task.name, pair))
    if not found:
        raise InputError(
            f"{row.path}: no run of it is stored beside a teacher's over the same moves; film another row"
        )
    return found


def _first_pair(row: RowFolder, role: str, references: StoredReferences) -> _Pair | None:
    """Return the first run of a role that has a teacher's beside it: its own, or the first on its game."""
    on_new = protocols.ROLES[role].on_new_games
    offset = 0 if on_new else references.benchmark.watched_moves
    for folder in stored_rows.run_folders(row, role):
        lane = records.read(folder)["lane"]
        for teacher in references.runs:
            if teacher.game != lane["game"] or not (on_new or teacher.name == lane["teacher"]):
                continue
            teachers = benchmarks.read(teacher)
            if teachers.num_moves > offset:
                own = stored_rows.log(folder, row.benchmark, row.budget)
                named = f"{role}/{folder.parent.name}/{folder.name}"
                return _Pair(named, own, teacher, teachers, offset)
    return None


def _film(pair: _Pair) -> Film:
    stop = min(pair.own.num_moves, pair.teachers.num_moves - pair.offset)
    first = max(0, stop - MOVES)
    with tempfile.TemporaryDirectory(prefix="understudy-") as cache:
        left = _pictures(pair.own, first, stop, Path(cache))
        right = _pictures(pair.teachers, first + pair.offset, stop + pair.offset, Path(cache))
        both = (_beside(own, other) for own, other in zip(left, right, strict=True))
        data = films.film(both, SUFFIX, FRAMES_PER_SECOND)
    game = pair.own.header.game
    return Film(game, pair.run, pair.teacher.name, first, stop, first + pair.offset, data)


def _pictures(history: History, first: int, stop: int, cache: Path) -> Iterator[np.ndarray]:
    begin = move_images.first_frame(history, first)
    store = frame_store.open_store(history, begin, stop, processes=1, cache=cache)
    return move_images.pictures(history, store, first, stop, SCALE)


def _beside(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return two pictures [height, width, 3] of one height side by side, with a white gap."""
    gap = np.full((left.shape[0], GAP_PIXELS, 3), 255, np.uint8)
    return np.concatenate([left, gap, right], axis=1)
