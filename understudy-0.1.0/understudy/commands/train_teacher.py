"""`understudy train-teacher BENCHMARK`: train DQNs and record their runs from the first move."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from understudy import arguments

COMMAND = typer.Typer()


@COMMAND.command("train-teacher")
def train_teacher(
    benchmark: Annotated[str, typer.Argument(help="A benchmark's name; see: understudy benchmarks.")],
    out: Annotated[
        Path,
        typer.Option(
            parser=arguments.folder,
            help="Folder for the runs, in the layout of data; runs in it are resumed or continued.",
        ),
    ],
    moves: Annotated[int, typer.Option(min=1, help="Length of each run, in moves.")],
    game: Annotated[
        str, typer.Option(help="A game's name without its family, or watched, new or all.")
    ] = "watched",
    seeds: Annotated[str, typer.Option(help="Seeds of the teachers, FIRST:END, END excluded.")] = "0:1",
    threads: Annotated[int, typer.Option(min=1, max=1024, help="Threads of torch.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda, of network and replay memory.")] = "cpu",
    precision: Annotated[
        str, typer.Option(help="float32, or bfloat16 on Atari, faster if the processor supports it.")
    ] = "float32",
    update_every: Annotated[
        int | None,
        typer.Option(
            min=1, help="Moves between updates; default: the family's. A benchmark's teachers must share it."
        ),
    ] = None,
    checkpoint_moves: Annotated[int, typer.Option(min=1, help="Moves between checkpoints.")] = 24_000,
) -> None:
    """Train DQNs from scratch, in lock-step, and record their runs."""
    from understudy import screen
    from understudy.suite import benchmarks
    from understudy.suite.teachers import dqn
    from understudy.suite.teachers.train_teacher import TeacherProgress, TeacherTraining, train

    declared = benchmarks.load(benchmark)
    numbers = arguments.seeds(seeds, "--seeds")
    pairs = [(name, number) for name in _games(declared, game) for number in numbers]
    settings = dqn.SETTINGS[declared.family]
    training = TeacherTraining(
        game_names=tuple(name for name, _ in pairs),
        seeds=tuple(number for _, number in pairs),
        watched_moves=declared.watched_moves,
        segment_moves=declared.segment_moves,
        settings=settings if update_every is None else replace(settings, update_every=update_every),
        threads=threads,
        device=device,
        precision=precision,
    )
    began: list[tuple[float, int]] = []

    with screen.progress() as shown:

        def report(progress: TeacherProgress) -> None:
            if progress.recomputed is not None:
                shown.report("recomputing from the log", *progress.recomputed)
                return
            if progress.rebuilt is not None:
                shown.report("rebuilding the replay memory", *progress.rebuilt)
                return
            began[:] = began or [(time.monotonic(), progress.moves)]
            seconds = max(time.monotonic() - began[0][0], 1e-9)
            speed = (progress.moves - began[0][1]) * len(pairs) / seconds
            skill = "-" if math.isnan(progress.skill) else f"{progress.skill:.2f}"
            disk = f"{progress.disk_bytes / 1e6:,.1f} MB"
            note = f"skill {skill}, exploration {progress.exploration:.2f}, {speed:,.0f} moves/s, {disk}"
            shown.report("training", progress.moves, progress.target_moves, note)

        paths = train(training, out / declared.name, moves, checkpoint_moves, report)
    for path in paths:
        typer.echo(path)


def _games(declared: object, chosen: str) -> tuple[str, ...]:
    from understudy.suite import registry
    from understudy.suite.benchmarks import Benchmark

    assert isinstance(declared, Benchmark)
    groups = {
        "watched": declared.watched_games,
        "new": declared.new_games,
        "all": declared.watched_games + declared.new_games,
    }
    if chosen in groups:
        return groups[chosen]
    variants = [name.partition("/")[2] for name in declared.games]
    return (f"{declared.family}/{registry.choose(chosen, variants, f'game of {declared.name}')}",)
