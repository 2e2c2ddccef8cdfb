"""From watched histories to a submission: trains an architecture by the one loop and writes the folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from understudy import baselines
from understudy.baselines.learning import training as learning
from understudy.submissions import format as submissions
from understudy.submissions import loading, watched
from understudy.submissions.format import Config, Declaration, Submission
from understudy.suite import benchmarks, draws, files, games, registry
from understudy.suite.benchmarks import Benchmark, TeacherLife
from understudy.suite.errors import InputError
from understudy.suite.histories import frames
from understudy.suite.histories.windows import WatchedLives, Windows
from understudy.suite.protocols import Game, Imitator

MODES = ("single", "multi", "multi-game")
DEFAULT_MODES = {"darkroom": "multi"}  # of a family; single in all others
DECODINGS = ("greedy", "sample")
PROBE_WINDOWS = 16  # on which loss and agreement are reported
REPLAYING = "replaying watched lives"
SAVE_EVERY_STEPS = 200
Report = Callable[[str, int, int, str], None]  # what is being done, how much is done, of how much, a note


@dataclass(frozen=True)
class Fit:
    """How well a checkpoint predicts moves that it was trained on; the constant player beside it."""

    checkpoint: str
    loss: float  # nats an action
    agreement: float  # share of the teacher's own choices that are the most likely action
    constant_agreement: float  # the same of the best constant player
    targets: int  # moves that these are taken from


@dataclass(frozen=True)
class Recipe:
    """What a submission is made of, beside the teacher lives."""

    architecture: str
    benchmark: Benchmark
    mode: str  # single: one checkpoint a life; otherwise one checkpoint of all of them
    name: str
    decoding: str = "greedy"
    priming_moves: int | None = None  # K; None: as many moves as can matter to the architecture
    settings: Mapping[str, float] | None = None  # of training and architecture, where not the defaults


def train(
    recipe: Recipe,
    lives: Sequence[TeacherLife],
    out: Path,
    report: Report = lambda what, done, total, note: None,
) -> tuple[Submission, list[Fit]]:
    """Train on the watched moves of `lives`, write the submission to `out`, and return it with its fits.

    An interrupted run goes on from `out` to the bytes of an uninterrupted one; a finished one is returned
    as it is, without fits. Where every watched move was explored there is no fit either. Lives shorter than W
    are watched as far as they go, and declared so.
    Raises InputError for unknown or unfit settings, lives that this mode may not watch, or another
    submission in `out`.
    """
    work = _Work(recipe, lives)
    finished = _finished(out, work.declaration)
    if finished is not None:
        return finished, []
    source_lives = frames.frames_of_lives(
        work.histories,
        0,
        recipe.benchmark.watched_moves,
        report=lambda done, total: report(REPLAYING, done, total, ""),
    )
    trained: dict[str, tuple[Config, bytes]] = {}
    fits = []
    resume_files = []
    for checkpoint in work.declaration.checkpoints:
        chosen = [i for i, life in enumerate(lives) if checkpoint.teacher in (None, life.name)]
        source = WatchedLives(
            [work.histories[i] for i in chosen],
            [source_lives[i] for i in chosen],
            recipe.benchmark.watched_moves,
        )
        resume_files.append(out / checkpoint.folder / f"training-{work.identity(chosen)}.safetensors")
        module = work.train(source, resume_files[-1], lambda *step, at=checkpoint: report(at.folder, *step))
        trained[checkpoint.folder] = work.config, loading.weights_bytes(module)
        fit = _fit(module, checkpoint.folder, source, work.training)
        fits += [fit] if fit else []
    submission = submissions.write(out, work.declaration, trained)
    for path in resume_files:
        path.unlink(missing_ok=True)
    return submission, fits


def chosen_lives(
    benchmark: Benchmark,
    mode: str,
    lives: Sequence[TeacherLife],
    names: Sequence[str] | None = None,
    every: bool = False,
) -> list[TeacherLife]:
    """Return the lives that are called `names`; without names the first one in mode single, else all.

    `every` asks for all that the mode may watch, in mode single too.
    Raises InputError for an unknown name, or where there is no life to watch.
    """
    allowed = benchmark.watched_games
    if mode == "multi-game":
        allowed += benchmark.extra_watchable_games
    watchable = {life.name: life for life in lives if life.game in allowed}
    if not watchable:
        raise InputError(
            f"no teacher life of a game that {benchmark.name} watches on this machine; "
            f"make one: understudy teach {benchmark.name}"
        )
    if names is None:
        return list(watchable.values())[: 1 if mode == "single" and not every else None]
    for name in names:
        registry.choose(name, watchable, f"life that {benchmark.name} may watch in mode {mode}:")
    return [life for name, life in watchable.items() if name in names]


class _Work:
    """A recipe made concrete: settings checked, histories read, the declaration written out."""

    def __init__(self, recipe: Recipe, lives: Sequence[TeacherLife]) -> None:
        benchmark = recipe.benchmark
        self.game = games.load(benchmark.watched_games[0])
        self.architecture = baselines.load_architecture(recipe.architecture)
        self.parameters, self.training = _settings(self.architecture, self.game, recipe.settings or {})
        self.histories = [benchmarks.read(life) for life in lives]
        self.watched = [
            watched.declared(life.name, history, benchmark.watched_moves)
            for life, history in zip(lives, self.histories, strict=True)
        ]
        self.config = Config(
            architecture=self.architecture.name, family=benchmark.family, parameters=self.parameters
        )
        self.declaration = self._declaration(recipe)

    def train(
        self, source: WatchedLives, resume_file: Path, report: Callable[[int, int, str], None]
    ) -> nn.Module:
        """Return a trained module; `report` is told steps done, steps in all and a note."""
        return learning.train(
            self.architecture,
            self.parameters,
            self.game,
            source,
            self.training,
            resume_file=resume_file,
            save_every_steps=SAVE_EVERY_STEPS,
            progress=lambda at: report(at.step, at.steps, f"loss {at.loss:.3f}"),
        )

    def identity(self, chosen: Sequence[int]) -> str:
        """Return a short name for what is watched, so that no run goes on with other data."""
        entries = [self.watched[i].model_dump() for i in chosen]
        return hashlib.sha256(files.canonical_json(entries).encode()).hexdigest()[:12]

    def _declaration(self, recipe: Recipe) -> Declaration:
        names = [entry.name for entry in self.watched]
        teachers = names if recipe.mode == "single" else [None]
        return submissions.declare(
            {
                "format": submissions.FORMAT,
                "name": recipe.name,
                "benchmark": recipe.benchmark.name,
                "architecture": self.architecture.name,
                "decoding": recipe.decoding,
                "track": "frozen",
                "priming_moves": self._priming_moves(recipe),
                "watched": {"mode": recipe.mode, "histories": tuple(e.model_dump() for e in self.watched)},
                "checkpoints": tuple(
                    {
                        "folder": teacher.replace("/", "-") if teacher else "all",
                        "teacher": teacher,
                        "training_seed": self.training.seed,
                    }
                    for teacher in teachers
                ),
                "training": asdict(self.training),
            }
        )

    def _priming_moves(self, recipe: Recipe) -> int:
        """Return K: as chosen, or the moves that can matter, as far as every life has them."""
        if recipe.priming_moves is not None:
            return recipe.priming_moves
        reach: int | None = cast(Any, self.architecture.build(self.parameters, self.game)).reach_moves
        shortest = min(entry.moves for entry in self.watched)
        useful = shortest if reach is None else 0 if reach <= 1 else reach
        return min(useful, shortest)


def _settings(
    architecture: baselines.Architecture, game: Game, chosen: Mapping[str, float]
) -> tuple[dict[str, Any], learning.TrainingSettings]:
    """Return the architecture's config and the training's settings; a chosen name belongs to one of them."""
    of_training = {field.name for field in fields(learning.TrainingSettings)}
    of_architecture = set(architecture.config(game))
    for name in chosen:
        registry.choose(
            name, of_training | of_architecture, f"setting of {architecture.name} or its training"
        )
    parameters = architecture.config(game, **{k: v for k, v in chosen.items() if k in of_architecture})
    training = learning.settings_from({k: v for k, v in chosen.items() if k in of_training})
    return parameters, training


def _finished(out: Path, declaration: Declaration) -> Submission | None:
    """Return the submission in `out` if it is this one, None if there is none; InputError if another."""
    if not (out / submissions.DECLARATION).exists():
        return None
    submission = submissions.read(out)
    if submission.declaration != declaration:
        raise InputError(f"{out}: holds a submission made with other settings or data; give another --out")
    return submission


def _fit(
    module: nn.Module, checkpoint: str, source: WatchedLives, training: learning.TrainingSettings
) -> Fit | None:
    """Return how well a module predicts windows drawn from what it watched; None if no move is a target."""
    rng = np.random.Generator(np.random.Philox(key=draws.derive(training.seed, "probe")))
    imitator = cast(Imitator, module)
    nats, actions, chosen = [], [], []
    for _ in range(PROBE_WINDOWS):
        windows = source.sample(1, training.window_moves, rng)
        with torch.no_grad():
            begun = learning.begin(imitator, windows)
            logits, _ = imitator.unroll(*begun)  # [1, T, A]
        target = ~windows.explored  # [1, T]
        nats.append(_nats(logits, windows)[target])
        actions.append(windows.actions[target])
        legal = logits.masked_fill(~windows.timesteps.legal_actions, -torch.inf)
        chosen.append(legal.argmax(-1)[target])
    truth = torch.cat(actions)
    if not truth.numel():
        return None
    return Fit(
        checkpoint,
        loss=float(torch.cat(nats).mean()),
        agreement=float((torch.cat(chosen) == truth).float().mean()),
        constant_agreement=float(truth.bincount().max() / len(truth)),
        targets=len(truth),
    )


def _nats(logits: Tensor, windows: Windows) -> Tensor:
    """Return the cross-entropy [B, T] of the executed actions among the legal ones."""
    legal = logits.masked_fill(~windows.timesteps.legal_actions, -torch.inf)
    return -legal.log_softmax(-1).gather(-1, windows.actions[..., None])[..., 0]
