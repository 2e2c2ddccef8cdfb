"""The tables of `docs/teachers.md`: every stored teacher run with its command and skill, and the references.

`python -m understudy.leaderboard.teachers_page docs/teachers.md` fills them in and draws the learning curves.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from understudy.leaderboard import pages, reference_tables, stored_rows, tables
from understudy.leaderboard.figures import learning_curves, printing
from understudy.suite import benchmarks
from understudy.suite.benchmarks import Benchmark, TeacherRun
from understudy.suite.io import files
from understudy.suite.io.file_names import CHECKPOINT
from understudy.suite.scoring import scored_runs
from understudy.suite.scoring.scored_runs import ScoredRun

CURVES: Final = "learning-curves"  # the folder beside the page
USUAL: Final = {"threads": 1, "device": "cpu", "precision": "float32"}  # defaults, left out
SHOWN_SHA: Final = 12  # hex digits
POOLED_GAMES: Final = 8  # with more games than this, one table shows the skill of all runs
RUNS_HEADINGS: Final = (
    "game", "seed", "moves", "W", "network at W", "checkpoint", "command", "content SHA-256"
)  # fmt: skip
Window = tuple[int, int]  # moves [begin, end) of a run
WINDOWS: Final[Mapping[str, tuple[Window, ...]]] = {
    "darkroom-v1": (
        (0, 300),
        (900, 1_100),
        (1_100, 1_300),
        (2_000, 3_000),
        (5_000, 7_500),
        (13_000, 14_300),
    ),
    "minatar-v1": (
        (0, 25_000),
        (50_000, 100_000),
        (100_000, 200_000),
        (200_000, 250_000),
        *((mark - 100_000, mark) for mark in (500_000, 1_000_000, 1_500_000, 2_000_000)),
        (2_625_000, 2_750_000),
    ),
    "atari-v1": (
        (0, 20_000),
        (20_000, 100_000),
        (100_000, 200_000),
        (0, 250_000),
        *((mark - 500_000, mark) for mark in map((1_000_000).__mul__, (1, 2, 3, 5, 8, 10, 11))),
    ),
}
# Mean and standard deviation of 5 runs of Dopamine's DQN in each window, with Adam and with RMSProp.
# Source: Castro et al., Dopamine (2018), published baselines, https://github.com/google/dopamine
PUBLISHED: Final[Mapping[str, Mapping[Window, tuple[str, str]]]] = {
    "atari/breakout": {
        (0, 250_000): ("1.8 ± 0.1", "1.6 ± 0.0"),
        (500_000, 1_000_000): ("17.0 ± 0.4", "5.3 ± 0.5"),
        (1_500_000, 2_000_000): ("35.4 ± 1.6", "15.2 ± 1.7"),
        (2_500_000, 3_000_000): ("54.1 ± 3.1", "26.6 ± 5.2"),
        (4_500_000, 5_000_000): ("86.1 ± 4.5", "51.4 ± 5.7"),
        (7_500_000, 8_000_000): ("113.0 ± 5.6", "71.4 ± 9.1"),
        (9_500_000, 10_000_000): ("106.1 ± 13.2", "82.8 ± 11.1"),
        (10_500_000, 11_000_000): ("104.8 ± 11.2", "87.4 ± 11.3"),
    },
    "atari/space_invaders": {
        (0, 250_000): ("164.2 ± 8.3", "167.2 ± 7.7"),
        (500_000, 1_000_000): ("377.8 ± 14.7", "253.3 ± 13.9"),
        (1_500_000, 2_000_000): ("663.4 ± 27.7", "536.5 ± 41.4"),
        (2_500_000, 3_000_000): ("703.0 ± 17.8", "671.9 ± 17.8"),
        (4_500_000, 5_000_000): ("944.9 ± 35.0", "778.3 ± 14.4"),
        (7_500_000, 8_000_000): ("1227.3 ± 50.1", "1009.0 ± 25.4"),
        (9_500_000, 10_000_000): ("1386.5 ± 48.6", "1140.6 ± 10.3"),
        (10_500_000, 11_000_000): ("1487.7 ± 62.5", "1230.6 ± 28.5"),
    },
}


def page_tables(results: Path = stored_rows.RESULTS) -> dict[str, str]:
    """Return the page's tables by name, from the runs of this machine.

    Raises InputError if a stored run cannot be read or is not a teacher's.
    """
    found = {}
    for name in benchmarks.names():
        benchmark = benchmarks.load(name)
        found[f"{name} runs"] = runs_table(benchmark)
        found[f"{name} skill"] = skill_tables(benchmark)
        found[f"{name} references"] = reference_tables.to_markdown(
            reference_tables.references(benchmark, results)
        )
    return found


def runs_table(benchmark: Benchmark) -> str:
    """Return a line for each stored run, then the commands that made them, then what has no run."""
    runs = benchmarks.teacher_runs(benchmark)
    commands: dict[tuple[str, ...], int] = {}
    lines = []
    for run in runs:
        made_by = tuple(_commands(benchmark, run))
        lines.append(_run_line(benchmark, run, commands.setdefault(made_by, len(commands) + 1)))
    numbered = [
        f"{number}. {', then '.join(f'`{command}`' for command in made_by)}"
        for made_by, number in commands.items()
    ]
    absent = [game for game in benchmark.games if game not in {run.game for run in runs}]
    notes = [f"No run of: {', '.join(absent)}."] if absent else []
    blocks = [tables.markdown(RUNS_HEADINGS, lines), *(["\n".join(numbered)] if numbered else []), *notes]
    return "\n\n".join(blocks)


def skill_tables(benchmark: Benchmark) -> str:
    """Return the skill in each window, a table a game; one for all where there are many games."""
    by_game: dict[str, list[TeacherRun]] = {}
    for run in benchmarks.teacher_runs(benchmark):
        by_game.setdefault(run.game, []).append(run)
    if len(by_game) > POOLED_GAMES:
        every = [run for runs in by_game.values() for run in runs]
        return _skill_table(benchmark, f"{len(by_game)} games of {benchmark.family}", every, "")
    return "\n\n".join(_skill_table(benchmark, game, runs, game) for game, runs in by_game.items())


def _run_line(benchmark: Benchmark, run: TeacherRun, command: int) -> list[str]:
    history = benchmarks.read(run)
    sha256 = history.content_sha256[:SHOWN_SHA]
    return [
        run.variant,
        str(run.seed),
        f"{history.num_moves:,}",
        f"{history.header.run['watched_moves']:,}",
        "yes" if run.network_path else "no",
        _checkpoint(benchmark, run),
        str(command),
        sha256,
    ]


def _checkpoint(benchmark: Benchmark, run: TeacherRun) -> str:
    """Return the data folder that holds the checkpoint from which a run is carried on, or `-`."""
    checkout = Path(__file__).resolve().parent.parent
    for root in benchmarks.roots():
        if (root / benchmark.name / run.name / CHECKPOINT).is_file():
            return root.relative_to(checkout).as_posix() if root.is_relative_to(checkout) else str(root)
    return "-"


def _commands(benchmark: Benchmark, run: TeacherRun) -> Iterator[str]:
    """Yield the command of each stage of a run, from its header."""
    from understudy.suite.teachers import dqn

    history = benchmarks.read(run)
    stages: Sequence[Mapping[str, Any]] = history.header.player["stages"]
    update_every = history.header.player["settings"]["update_every"]
    ends = [*(stage["from_move"] for stage in stages[1:]), history.num_moves]
    for stage, moves in zip(stages, ends, strict=True):
        first, last = min(stage["seeds"]), max(stage["seeds"])
        unusual = {name: stage[name] for name, value in USUAL.items() if stage.get(name, value) != value}
        if update_every != dqn.SETTINGS[benchmark.family].update_every:
            unusual["update-every"] = update_every
        options = "".join(f" --{name} {value}" for name, value in unusual.items())
        yield (
            f"understudy train-teacher {benchmark.name} --game {_chosen(benchmark, stage['game_names'])} "
            f"--seeds {first}:{last + 1} --moves {moves}{options} --out RUNS"
        )


def _chosen(benchmark: Benchmark, game_names: Sequence[str]) -> str:
    """Return the value of `--game` for games whose teachers were trained together."""
    played = tuple(dict.fromkeys(game_names))
    groups = {
        benchmark.watched_games: "watched",
        benchmark.new_games: "new",
        benchmark.watched_games + benchmark.new_games: "all",
    }
    if len(played) == 1:
        return played[0].partition("/")[2]
    return groups.get(played, ",".join(name.partition("/")[2] for name in played))


def _skill_table(benchmark: Benchmark, title: str, stored: Sequence[TeacherRun], game: str) -> str:
    runs = [_scored(run) for run in stored]
    published = PUBLISHED.get(game, {})
    headings = ["moves", "runs", "skill", *(["published, Adam", "published, RMSProp"] if published else [])]
    windows = {*WINDOWS.get(benchmark.name, ()), *(_ends(benchmark, game) if game else ())}
    lines = []
    for begin, end in sorted(windows, key=lambda window: (window[1], window[0])):
        figures = published.get((begin, end), ("", "")) if published else ()
        lines.append([*_skill_line(benchmark, runs, begin, end), *figures])
    return f"{title}:\n\n{tables.markdown(headings, lines)}"


def _scored(stored: TeacherRun) -> ScoredRun:
    history = benchmarks.read(stored)
    return ScoredRun(stored.name, 0, 0, history.reward, history.ended)


def _ends(benchmark: Benchmark, game: str) -> Iterator[Window]:
    """Yield the end windows of a reference's runs at the budgets that have one."""
    task, before = (
        ("transfer", 0) if game in benchmark.new_games else ("improvement", benchmark.watched_moves)
    )
    for budget in benchmark.budgets:
        if budget.name != "quick" and task in budget.tasks:
            end = before + budget.moves
            yield end - budget.end_moves, end


def _skill_line(benchmark: Benchmark, runs: Sequence[ScoredRun], begin: int, end: int) -> list[str]:
    """Return moves, runs and skill of a window; it is cut where the longest run ends, if past its middle."""
    longest = max(run.num_moves for run in runs)
    reached = min(end, longest)
    span = f"{begin:,}-{end:,}"
    if reached - begin < (end - begin) / 2:
        return [span, "0", "not reached"]
    if reached < end:
        span = f"{begin:,}-{reached:,} of {begin:,}-{end:,}"
    inside = [run for run in runs if run.num_moves >= reached]
    skills = [scored_runs.skill([run], begin, reached, benchmark.minima.ends) for run in inside]
    values = np.array([skill.value for skill in skills])
    text = f"{values.mean():.2f}" + (f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else "")
    few = sum(skill.few_ends for skill in skills)
    return [span, str(len(inside)), f"{text}, few ends in {few}" if few else text]


def pictures() -> dict[str, bytes]:
    """Return the learning curves of each benchmark's runs, an SVG file by its name."""
    drawn = {}
    for name in benchmarks.names():
        runs = [(run, benchmarks.read(run)) for run in benchmarks.teacher_runs(benchmarks.load(name))]
        curves = [learning_curves.of_history(history, f"seed {run.seed}") for run, history in runs]
        drawn[f"{name}.svg"] = printing.picture(learning_curves.learning_curve(curves), ".svg")
    return drawn


if __name__ == "__main__":
    page = Path(sys.argv[1])
    pages.fill(page, page_tables())
    for file_name, content in pictures().items():
        files.write_atomically(page.parent / CURVES / file_name, content)
