"""`understudy train ARCH --benchmark B`: train an imitator on watched histories; writes a submission."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy import arguments

if TYPE_CHECKING:
    from understudy.baselines.training.reports import TrainingReport
    from understudy.submissions.train_submission import Log

COMMAND = typer.Typer()
OPTIONS = {  # of settings that have one of their own
    "updates": "--updates",
    "seed": "--seed",
    "targets": "--targets",
    "held_out": "--held-out",
    "patience": "--patience",
    "precision_bits": "--precision",
}


@COMMAND.command("train")
def train(
    architecture: Annotated[
        str,
        typer.Argument(metavar="ARCH", help="A name: transformer, bc, ...; or package.module:OBJECT."),
    ],
    benchmark: Annotated[
        str | None, typer.Option(help="A benchmark's name; see: understudy benchmarks. Required to train.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=arguments.folder,
            help="Folder of the submission; an unfinished training in it is resumed. Required to train.",
        ),
    ] = None,
    teacher: Annotated[
        list[str] | None, typer.Option(help="A run to watch, e.g. breakout/seed-0; may be repeated.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Watch every run that may be watched.")] = False,
    teacher_seeds: Annotated[
        str | None,
        typer.Option(
            metavar="FIRST:END",
            help="Watch the runs of teachers with these seeds, END excluded, of all games.",
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            parser=arguments.folder,
            help="A data folder with more runs to watch, beside the usual ones; may be repeated.",
        ),
    ] = None,
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
    num_seeds: Annotated[
        int,
        typer.Option(
            min=1, max=1000, help="Checkpoints of the same data, with the seeds --seed, --seed + 1, ..."
        ),
    ] = 1,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another setting, see --settings; may be repeated."),
    ] = None,
    settings: Annotated[
        bool,
        typer.Option("--settings", help="List the settings of training and architecture, and train nothing."),
    ] = False,
    targets: Annotated[
        str | None,
        typer.Option(help="chosen (explored actions are no targets) or executed (all are); default: chosen."),
    ] = None,
    held_out: Annotated[
        int | None,
        typer.Option(
            min=0, help="Watched runs kept from the updates, for the validation loss; default: none."
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="End after so many reports without a lower validation loss, and keep the best weights.",
        ),
    ] = None,
    search_trials: Annotated[
        int | None,
        typer.Option(
            min=1, help="Declare how many settings were tried to choose these; default: undeclared."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The submission's name; default: the folder's.")] = None,
    decoding: Annotated[str, typer.Option(help="greedy or sample.")] = "greedy",
    priming: Annotated[
        int | None, typer.Option(min=0, help="K, moves that prime it; default: all that can matter.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:N or mps.")] = "cpu",
    precision: Annotated[
        str | None,
        typer.Option(help="float32, or bfloat16 (by autocast; weights stay float32); default: float32."),
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the model; needs a C++ compiler and a minute.")
    ] = False,
    threads: Annotated[
        int, typer.Option(min=1, max=1024, help="Threads of torch; they change the last bits of the weights.")
    ] = 1,
    engine: Annotated[
        str, typer.Option(help="serial, or process (checkpoints side by side on all cores).")
    ] = "serial",
    workers: Annotated[
        int, typer.Option(min=0, max=64, help="Threads that read the coming batches; they change nothing.")
    ] = 1,
    tensorboard: Annotated[
        Path | None,
        typer.Option(
            parser=arguments.folder,
            help="Also log to this folder for TensorBoard; needs understudy[tensorboard].",
        ),
    ] = None,
) -> None:
    """Train an imitator on watched histories and write a submission folder.

    training.csv in it has the losses, training.svg a picture of them.
    """
    if settings:
        _list_settings(architecture, benchmark)
        return
    import torch

    from understudy import screen
    from understudy.baselines.training.loop import Machine
    from understudy.baselines.training.settings import PRECISIONS
    from understudy.submissions import free_names, train_submission
    from understudy.suite import benchmarks, devices, registry
    from understudy.suite.errors import InputError

    if benchmark is None or out is None:
        raise InputError(
            f"train needs {'--benchmark' if benchmark is None else '--out'}; see: understudy train --help"
        )
    declared = benchmarks.load(benchmark)
    chosen_mode = mode or train_submission.DEFAULT_MODES.get(declared.family, "single")
    registry.choose(chosen_mode, train_submission.MODES, "mode")
    registry.choose(decoding, train_submission.DECODINGS, "decoding")
    options = {"updates": updates, "targets": targets, "held_out": held_out, "patience": patience}
    if precision is not None:
        options["precision_bits"] = PRECISIONS[registry.choose(precision, PRECISIONS, "precision")]
    given = {"seed": seed, **{name: value for name, value in options.items() if value is not None}}
    numbers = arguments.numbers(setting or [])
    twice = sorted(numbers.keys() & given.keys())
    if twice:
        raise InputError(f"--set {twice[0]}: give it as {OPTIONS[twice[0]]}, and once")
    if every + bool(teacher) + (teacher_seeds is not None) > 1:
        raise InputError("give one of --all, --teacher and --teacher-seeds")
    seeds = None if teacher_seeds is None else arguments.seeds(teacher_seeds, "--teacher-seeds")
    named = name or out.resolve().name
    free_names.require(out, named, remedy="give another --name")
    runs = benchmarks.teacher_runs(declared, more=data or ())
    wanted = train_submission.chosen_runs(declared, chosen_mode, runs, teacher or None, every, seeds)
    request = train_submission.TrainingRequest(
        architecture=architecture,
        benchmark=declared,
        mode=chosen_mode,
        name=named,
        decoding=decoding,
        priming_moves=priming,
        settings={**numbers, **given},
        machine=Machine(devices.require(device), compiled, workers),
        num_seeds=num_seeds,
        search_trials=search_trials,
    )
    torch.set_num_threads(threads)
    with screen.progress() as shown, _tensorboard(tensorboard) as log:
        submission, fits = train_submission.train(request, wanted, out, shown.report, log, engine)
    _draw(out)
    for fit in fits:
        typer.echo(
            f"{fit.checkpoint}: on {fit.targets:,} watched moves, loss {fit.loss:.3f} nats, agreement "
            f"{fit.agreement:.1%}, constant player {fit.constant_agreement:.1%}"
        )
        if fit.kept and fit.kept.validation_loss is not None:
            typer.echo(
                f"{fit.checkpoint}: validation loss {fit.kept.validation_loss:.3f} nats after "
                f"{fit.kept.update:,} updates"
            )
    typer.echo(f"{submission.folder}: identity {submission.identity[:12]}; next: understudy check {out}")


def _list_settings(architecture: str, benchmark: str | None) -> None:
    from rich.table import Table

    from understudy import screen
    from understudy.submissions import setting_lists
    from understudy.suite import benchmarks

    shown = [benchmarks.load(name) for name in ([benchmark] if benchmark else benchmarks.names())]
    for title, found in (
        (architecture, setting_lists.of_architecture(architecture, shown)),
        ("training", setting_lists.of_training()),
    ):
        table = Table(title=f"settings of {title}, for --set NAME=VALUE", title_justify="left")
        table.add_column("setting", no_wrap=True)
        table.add_column("default")
        table.add_column("from, to")
        table.add_column("meaning")
        for each in found:
            own = f" (option {OPTIONS[each.name]})" if title == "training" and each.name in OPTIONS else ""
            table.add_row(each.name, each.default, each.bounds, each.meaning + own)
        screen.print_table(table)


def _draw(out: Path) -> None:
    from understudy.leaderboard.figures import printing, training_curves
    from understudy.suite.io.file_names import TRAINING_LOG, TRAINING_PICTURE

    if (out / TRAINING_LOG).exists():  # a submission of an older version has none
        printing.write(training_curves.of_log(out / TRAINING_LOG), out / TRAINING_PICTURE)


@contextmanager
def _tensorboard(folder: Path | None) -> Iterator[Log]:
    """Yield what writes a training's reports for TensorBoard; InputError if it is not installed."""
    from understudy.suite.errors import InputError

    if folder is None:
        yield lambda checkpoint, reports: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError(
            "--tensorboard needs the package tensorboard; install it: pip install 'understudy[tensorboard]'"
        ) from error
    with contextlib.ExitStack() as opened:
        writers: dict[str, SummaryWriter] = {}

        def log(checkpoint: str, reports: Sequence[TrainingReport]) -> None:
            if checkpoint not in writers:  # what an earlier call wrote is written again
                writers[checkpoint] = opened.enter_context(
                    SummaryWriter(str(folder / checkpoint), purge_step=0)
                )
            for each in reports:
                losses = {"training": each.loss, "validation": each.validation_loss}
                for name, loss in losses.items():
                    if loss is not None:
                        writers[checkpoint].add_scalar(f"loss/{name}", loss, each.update)
                writers[checkpoint].add_scalar("learning_rate", each.learning_rate, each.update)

        yield log
