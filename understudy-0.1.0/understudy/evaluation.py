"""Evaluation: plays the runs of a submission, or of a model in memory, and scores them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import nn

    from understudy.leaderboard.scores import ScoredRow
    from understudy.leaderboard.stored_rows import LeftOut
    from understudy.suite.harness.interventions import Intervention
    from understudy.suite.harness.requests import RequestedRow


@dataclass(frozen=True)
class Result:
    """A scored row: its answers, and where its runs are."""

    scored: ScoredRow

    @property
    def folder(self) -> Path:
        """The row's folder: `row.json`, `scores.json`, `runs.zip`."""
        return self.scored.folder.path

    @property
    def answers(self) -> dict[str, str | None]:
        """The answer of each task: yes, partial, no, undecided, or None where there is none."""
        return {verdict.task: verdict.answer for verdict in self.scored.verdicts}

    def to_frame(self) -> pd.DataFrame:
        """Return one line a task, with every number of the tables; the columns of `table.csv`."""
        from understudy.leaderboard import cells

        return cells.frame([self.scored])

    def plot(self, path: str | Path) -> Path:
        """Write the row's curves beside the teacher's, a panel a question, as .svg, .png or .pdf.

        Raises InputError for another suffix, or where no task with a curve was played to its end.
        """
        from understudy.leaderboard.figures import overview, printing
        from understudy.suite import tasks
        from understudy.suite.errors import InputError

        panels = {
            tasks.load(task).label: {str(self.scored.row["name"]): found.curves}
            for task, found in self.scored.described.items()
            if found.curves is not None
        }
        if not panels:
            raise InputError(f"{self.folder}: no task with a curve was played; score improvement or transfer")
        place = Path(path)
        printing.write(overview.overview(panels), place)
        return place

    def __str__(self) -> str:
        from understudy import screen

        return screen.text_of_rows([self.scored])


def evaluate(
    model: nn.Module | str | Path,
    benchmark: str,
    *,
    budget: str = "quick",
    name: str | None = None,
    out: str | Path = "results",
    tasks: str | Sequence[str] | None = None,
    decoding: str = "greedy",
    priming_moves: int | None = None,
    teachers: Sequence[str] | None = None,
    num_envs: int | None = None,
    threads: int = 1,
    device: str | torch.device = "cpu",
    interventions: str | Sequence[str] = (),
    isolation: bool = False,
    restart: bool = False,
) -> Result:
    """Play a player's runs on a benchmark, score them, and return the row; finished runs are kept.

    It is what `understudy score` does, with the same files as result. Progress is shown on standard error.

    Args:
        model: a module with `initial_state` and `step` (`understudy.Imitator`), best also `unroll` and
            `reach_moves`; or a submission: its folder, or its name. A module is copied and stays as it is;
            its row is self-reported, as nobody else has the model.
        benchmark: a benchmark's name, e.g. "darkroom-v1".
        budget: full, tenth or quick.
        name: of a module's row; None: made of the name of its class.
        out: folder of the results.
        tasks: names of the tasks to score; None: all of the budget.
        decoding: of a module: greedy or sample.
        priming_moves: of a module: K, the watched moves that prime it; None: as many as can matter to it.
        teachers: of a module: names of the pinned runs that it watched; None: all of the watched games.
        num_envs: runs played in lock-step; None: the budget's lanes.
        threads: of the player and the emulators.
        device: that the player computes on: cpu, cuda, cuda:N or mps (docs/devices.md).
        interventions: names of those that are played too (docs/protocol.md).
        isolation: whether to check that no information leaks across the batch.
        restart: whether to play the row's runs again.

    Raises:
        InputError: what is wrong with the arguments, or with the model, in one line.
    """
    from understudy import screen
    from understudy.submissions import in_memory, scoring
    from understudy.suite import benchmarks, devices
    from understudy.suite.errors import InputError
    from understudy.suite.harness import interventions as known
    from understudy.suite.harness.requests import Request, RequestedRow
    from understudy.suite.io import paths

    folder, device = paths.folder(str(out)), str(device)  # also a torch.device
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= 1024:
        raise InputError(f"threads: expected 1 to 1024; found {threads!r}")
    tasks = [tasks] if isinstance(tasks, str) else tasks
    if tasks is not None and not tasks:
        raise InputError("tasks: expected the names of tasks, or None for all of the budget; found none")
    if isinstance(model, str | Path):
        if name is not None or teachers is not None or priming_moves is not None or decoding != "greedy":
            raise InputError(
                f"{model}: name, teachers, priming_moves and decoding are declared in submission.json; leave "
                "them out"
            )
        request = Request(str(model), benchmark, budget, folder, num_envs, threads, restart, device=device)
        (row,) = scoring.rows_of([request])
    else:
        declared = benchmarks.load(benchmark)
        named = in_memory.name_of(model) if name is None else name
        request = Request(named, benchmark, budget, folder, num_envs, threads, restart, device=device)
        entry = in_memory.entry(model, named, declared, decoding, priming_moves, teachers)
        row = RequestedRow(request, entry, declared, scoring.pinned_runs_of(declared))
    applied = known.chosen([interventions] if isinstance(interventions, str) else list(interventions))
    scoring.refuse_meaningless([row], applied)
    with devices.threads(threads):  # what plays sets them, and the caller goes on
        scored = play_and_score(row, tasks, "serial", applied, screen.shortfall(), isolation)
    own = [one for one in scored if one.folder.path == row.folder]
    if not own:
        raise InputError(f"{row.folder}: its row was left out, as said above; remove it, and evaluate again")
    return Result(own[0])


def play_and_score(
    row: RequestedRow,
    tasks: Sequence[str] | None,
    engine: str,
    applied: Sequence[Intervention],
    left_out: LeftOut,
    isolation: bool = False,
    recheck: bool = False,
) -> list[ScoredRow]:
    """Play a row with its references, check it, and return all rows of its results folder, scored.

    First it says on standard error what the budget cannot answer and how long it takes. `left_out` is called
    for each row of the folder that cannot be read.
    """
    from understudy import screen
    from understudy.leaderboard import board, preflight
    from understudy.submissions import expected_time, scoring
    from understudy.suite.harness import work

    with screen.progress() as shown:
        report = screen.play_reporter(shown)
        planned = scoring.plan([row], tasks, engine, report, applied)
        for line in preflight.of_rows([row], tasks):
            screen.echo(line, err=True)
        expected = expected_time.seconds(planned.items, engine, planned.slow_to_make)
        besides = ", priming not included" if expected and row.entry.priming_moves else ""
        screen.echo(f"expected time: {expected_time.text(expected)}{besides}", err=True)
        scoring.play(planned.items, engine, report)
        if isolation:
            scoring.check([row], work.ISOLATION, report)
        if recheck:
            scoring.check([row], work.RECHECK, report)
    return board.rescore(row.request.results, left_out)
