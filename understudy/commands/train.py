"""`understudy train ARCH --benchmark B`: an imitator from watched histories; a submission comes out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

COMMAND = typer.Typer()


@COMMAND.command("train")
def train(
    architecture: Annotated[str, typer.Argument(metavar="ARCH", help="transformer, markov, ...")],
    benchmark: Annotated[str, typer.Option(help="As in: understudy benchmarks.")],
    out: Annotated[Path, typer.Option(help="The submission's folder; the same one to go on.")],
    teacher: Annotated[
        list[str] | None, typer.Option(help="A life to watch, e.g. breakout/seed-0; may be given again.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Watch every life that may be watched.")] = False,
    mode: Annotated[
        str | None, typer.Option(help="single (a checkpoint a life), multi (one of all) or multi-game.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Gradient steps of a checkpoint.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the parameters and of the windows' order.")] = 0,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Another setting; may be repeated.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The submission's name; default: the folder's.")] = None,
    decoding: Annotated[str, typer.Option(help="greedy or sample.")] = "greedy",
    priming: Annotated[
        int | None, typer.Option(min=0, help="K, moves that fill its memory; default: all that matter.")
    ] = None,
    threads: Annotated[
        int, typer.Option(min=1, max=1024, help="Of the training; other numbers, other last bits.")
    ] = 1,
) -> None:
    """Train an imitator on watched histories; a submission comes out."""
    import torch

    from understudy import screen
    from understudy.submissions import training
    from understudy.suite import benchmarks, registry
    from understudy.suite.errors import InputError

    declared = benchmarks.load(benchmark)
    chosen_mode = mode or training.DEFAULT_MODES.get(declared.family, "single")
    registry.choose(chosen_mode, training.MODES, "mode")
    registry.choose(decoding, training.DECODINGS, "decoding")
    given = {**({} if steps is None else {"steps": steps}), "seed": seed}
    twice = sorted(given.keys() & _numbers(setting or []).keys())
    if twice:
        raise InputError(f"--set {twice[0]}: give it as --{twice[0]}, and once")
    if every and teacher:
        raise InputError("give --all or --teacher, not both")
    lives = benchmarks.teacher_lives(declared)
    wanted = training.chosen_lives(declared, chosen_mode, lives, teacher or None, every)
    recipe = training.Recipe(
        architecture=architecture,
        benchmark=declared,
        mode=chosen_mode,
        name=name or out.resolve().name,
        decoding=decoding,
        priming_moves=priming,
        settings={**_numbers(setting or []), **given},
    )
    torch.set_num_threads(threads)
    with screen.progress() as shown:
        submission, fits = training.train(recipe, wanted, out, shown.report)
    for fit in fits:
        typer.echo(
            f"{fit.checkpoint}: on {fit.targets:,} watched moves, loss {fit.loss:.3f} nats, agreement "
            f"{fit.agreement:.1%}, constant player {fit.constant_agreement:.1%}"
        )
    typer.echo(f"{submission.folder}: submission {submission.sha256[:12]}; next: understudy check {out}")


def _numbers(settings: Sequence[str]) -> dict[str, float]:
    from understudy.suite.errors import InputError

    found: dict[str, float] = {}
    for text in settings:
        key, _, value = text.partition("=")
        try:
            found[key] = int(value) if value.lstrip("-").isdecimal() else float(value)
        except ValueError as error:
            raise InputError(f"--set: expected KEY=NUMBER, e.g. layers=2; found {text!r}") from error
    return found
