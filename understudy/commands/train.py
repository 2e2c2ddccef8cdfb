"""`understudy train ARCH --benchmark B`: train an imitator on watched histories; writes a submission."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from understudy import arguments

COMMAND = typer.Typer()


@COMMAND.command("train")
def train(
    architecture: Annotated[
        str,
        typer.Argument(metavar="ARCH", help="A name: transformer, bc, ...; or package.module:OBJECT."),
    ],
    benchmark: Annotated[str, typer.Option(help="A benchmark's name; see: understudy benchmarks.")],
    out: Annotated[
        Path,
        typer.Option(
            parser=arguments.folder, help="Folder of the submission; an unfinished training in it is resumed."
        ),
    ],
    teacher: Annotated[
        list[str] | None, typer.Option(help="A run to watch, e.g. breakout/seed-0; may be repeated.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Watch every run that may be watched.")] = False,
    mode: Annotated[
        str | None,
        typer.Option(
            help="single (one checkpoint per run), multi (one for all runs) or multi-game; default: multi "
            "for darkroom, single for others."
        ),
    ] = None,
    updates: Annotated[
        int | None, typer.Option(min=1, help="Updates per checkpoint; default: 2,000.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the parameters and of the order of windows.")] = 0,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Another setting; may be repeated.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The submission's name; default: the folder's.")] = None,
    decoding: Annotated[str, typer.Option(help="greedy or sample.")] = "greedy",
    priming: Annotated[
        int | None, typer.Option(min=0, help="K, moves that prime it; default: all that can matter.")
    ] = None,
    threads: Annotated[
        int, typer.Option(min=1, max=1024, help="Threads of torch; they change the last bits of the weights.")
    ] = 1,
) -> None:
    """Train an imitator on watched histories and write a submission folder."""
    import torch

    from understudy import screen
    from understudy.submissions import free_names, train_submission
    from understudy.suite import benchmarks, registry
    from understudy.suite.errors import InputError

    declared = benchmarks.load(benchmark)
    chosen_mode = mode or train_submission.DEFAULT_MODES.get(declared.family, "single")
    registry.choose(chosen_mode, train_submission.MODES, "mode")
    registry.choose(decoding, train_submission.DECODINGS, "decoding")
    given = {**({} if updates is None else {"updates": updates}), "seed": seed}
    twice = sorted(given.keys() & arguments.numbers(setting or []).keys())
    if twice:
        raise InputError(f"--set {twice[0]}: give it as --{twice[0]}, and once")
    if every and teacher:
        raise InputError("give --all or --teacher, not both")
    named = name or out.resolve().name
    free_names.require(out, named, remedy="give another --name")
    runs = benchmarks.teacher_runs(declared)
    wanted = train_submission.chosen_runs(declared, chosen_mode, runs, teacher or None, every)
    request = train_submission.TrainingRequest(
        architecture=architecture,
        benchmark=declared,
        mode=chosen_mode,
        name=named,
        decoding=decoding,
        priming_moves=priming,
        settings={**arguments.numbers(setting or []), **given},
    )
    torch.set_num_threads(threads)
    with screen.progress() as shown:
        submission, fits = train_submission.train(request, wanted, out, shown.report)
    for fit in fits:
        typer.echo(
            f"{fit.checkpoint}: on {fit.targets:,} watched moves, loss {fit.loss:.3f} nats, agreement "
            f"{fit.agreement:.1%}, constant player {fit.constant_agreement:.1%}"
        )
    typer.echo(f"{submission.folder}: identity {submission.identity[:12]}; next: understudy check {out}")
