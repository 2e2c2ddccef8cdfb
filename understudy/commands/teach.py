"""`understudy teach BENCHMARK`: DQN lives, recorded from their first move."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

COMMAND = typer.Typer()


@COMMAND.command("teach")
def teach(
    benchmark: Annotated[str, typer.Argument(help="As in: understudy benchmarks.")],
    out: Annotated[
        Path, typer.Option(help="The folder for lives, laid out as data; the same one to carry on.")
    ],
    moves: Annotated[int, typer.Option(min=1, help="Length that the lives shall reach.")],
    game: Annotated[
        str, typer.Option(help="A game's name without its family; or watched, new, all.")
    ] = "watched",
    seeds: Annotated[str, typer.Option(help="Teachers' numbers, FIRST:END, END left out.")] = "0:1",
    threads: Annotated[int, typer.Option(min=1, max=1024, help="Of the network.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda, of network and replay memory.")] = "cpu",
    precision: Annotated[
        str, typer.Option(help="Atari: float32, or bfloat16, faster where a processor multiplies in it.")
    ] = "float32",
    update_every: Annotated[
        int | None,
        typer.Option(
            min=1, help="Moves between updates, if not the family's own; lives of a ruler share it."
        ),
    ] = None,
    checkpoint_moves: Annotated[int, typer.Option(min=1, help="A checkpoint every so many moves.")] = 24_000,
) -> None:
    """Teach DQNs from scratch, in lock-step, and record their lives."""
    from understudy import screen
    from understudy.suite import benchmarks
    from understudy.suite.teachers import dqn
    from understudy.suite.teachers import teach as teaching

    declared = benchmarks.load(benchmark)
    numbers = _numbers(seeds)
    pairs = [(name, number) for name in _games(declared, game) for number in numbers]
    settings = dqn.SETTINGS[declared.family]
    lesson = teaching.Lesson(
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

        def report(progress: teaching.Progress) -> None:
            if progress.relearnt is not None:
                shown.report("learning again from the log", *progress.relearnt)
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
            shown.report("teaching", progress.moves, progress.target_moves, note)

        paths = teaching.teach(lesson, out / declared.name, moves, checkpoint_moves, report)
    for path in paths:
        typer.echo(path)


def _numbers(seeds: str) -> range:
    from understudy.suite.errors import InputError

    first, colon, end = seeds.partition(":")
    if not (colon and first.isdecimal() and end.isdecimal() and int(first) < int(end) <= 100_000):
        raise InputError(f"--seeds: expected FIRST:END with FIRST < END, e.g. 0:4; found {seeds!r}")
    return range(int(first), int(end))


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
