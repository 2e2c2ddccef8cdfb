"""The training loop of every architecture: next-action prediction on windows of watched histories.

The targets are the actions that the teacher chose itself, or, if the settings say so, all executed ones. Each
move is part of the input with the action that was executed. Equal arguments give equal bytes on one machine
and device with one number of threads, and a resumed training ends in the bytes of an uninterrupted one.
Source: Laskin et al., In-context reinforcement learning with algorithm distillation (ICLR 2023), equation 1.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.baselines import Architecture
from understudy.baselines.training import resuming, seeded_parameters, settings
from understudy.baselines.training.reports import TrainingLog, TrainingReport
from understudy.baselines.training.settings import TrainingSettings
from understudy.suite import devices, draws
from understudy.suite.errors import InputError
from understudy.suite.histories import read_ahead
from understudy.suite.histories.windows import CHOSEN, Windows
from understudy.suite.io import interrupts
from understudy.suite.protocols import Game, Imitator, State, Timestep

ADAM_BETAS = (0.9, 0.95)  # Source: Brown et al., Language models are few-shot learners (2020), appendix B
FINAL_RATE = 0.1  # as a share of the highest; Source: as above


@dataclass(frozen=True)
class Machine:
    """Where and how a training is computed; beside the settings it changes the last bits of the weights."""

    device: str = "cpu"  # as `suite/devices.py` names it
    is_compiled: bool = False  # `unroll` by torch.compile
    workers: int = 1  # threads that read the coming windows; they change no bit


ON_CPU = Machine()


class UnrollInputs(NamedTuple):
    """The arguments of an imitator's `unroll`."""

    timesteps: Timestep  # [B, T, ...]
    state: State  # of B rows, before the first move


class WindowSource(Protocol):
    """Watched histories from which windows can be drawn."""

    def sample(self, batch_size: int, window_moves: int, rng: np.random.Generator) -> Windows:
        """Return windows [B, T]; they depend on `rng` and the histories alone.

        It is called in a thread. For a training on CUDA it is also given `pinned=True`, and returns tensors
        in pinned memory.
        """


@dataclass(frozen=True)
class ImitatorProgress:
    """Progress of a training after an update."""

    updates_done: int
    updates: int  # in all
    loss: float  # nats an action, on the update's windows before the update
    learning_rate: float
    moves: int  # moves of all windows so far


def train(
    architecture: Architecture,
    config: Mapping[str, Any],
    game: Game,
    source: WindowSource,
    training: TrainingSettings,
    *,
    held_out: WindowSource | None = None,
    machine: Machine = ON_CPU,
    resume_file: Path | None = None,
    save_every_updates: int = 200,
    progress: Callable[[ImitatorProgress], None] | None = None,
    report: Callable[[Sequence[TrainingReport]], None] | None = None,
) -> nn.Module:
    """Return a trained imitator on the CPU, in evaluation mode, without gradients.

    Ctrl-C and SIGTERM count after the update that is being made, and `resume_file` holds it then.

    Args:
        architecture: builds the imitator.
        config: its settings, as `architecture.config` returns them.
        game: the game whose observations and actions it has.
        source: the watched histories.
        training: settings of the training.
        held_out: watched histories that no update uses, for the validation loss; none without.
        machine: where and how it is computed.
        resume_file: where the training is saved, and resumed from if the file exists.
        save_every_updates: updates between saves; the last update is saved too.
        progress: called after each update.
        report: called with each new report, and at the start of a resumed training with those of before.

    Raises:
        InputError: `resume_file` was made with other settings, a window is shorter than two contexts, the
            device is not there, or the loss stops being finite.
        KeyboardInterrupt: interrupted, by a signal or by `progress`.
    """
    device = torch.device(devices.require(machine.device))
    model = architecture.build(config, game, seed=training.seed).to(device)
    _check_window(model, training)
    optimiser = torch.optim.AdamW(
        _parameter_groups(model, training), lr=training.learning_rate, betas=ADAM_BETAS
    )
    identity = _identity(architecture, config, game, training, machine, device)
    log = TrainingLog(training)
    done = resuming.load(resume_file, identity, model, optimiser, log) if resume_file else 0
    if report and log.reports:
        report(log.reports)
    pass_over = _Pass(cast(Imitator, model), training, device, machine.is_compiled)

    def save() -> None:
        if resume_file:
            resuming.save(resume_file, identity, model, optimiser, log, done)

    with (
        interrupts.deferred_interrupts() as interrupted,  # amid an update the optimiser has moved in part
        contextlib.closing(_read_ahead(source, training, done, machine.workers, device)) as coming,
    ):
        while done < training.updates and not log.is_stopped:
            with _draws_of_model(training.seed, done, pass_over.device):
                loss = _update(pass_over, optimiser, next(coming), done)
            done += 1
            log.add(loss)
            if log.is_due(done):
                validation = _validation_loss(pass_over, held_out) if held_out is not None else None
                latest = log.report(done, learning_rate(training, done - 1), validation, model)
                if report:
                    report([latest])
            if done % save_every_updates == 0 or done == training.updates or log.is_stopped:
                save()
            try:
                interrupts.raise_if_interrupted(interrupted)
                if progress:
                    progress(_progress(training, done, loss))
            except KeyboardInterrupt:
                save()
                raise
    if log.best_weights:
        model.load_state_dict(log.best_weights)
    return model.cpu().eval().requires_grad_(False)


def unroll_inputs(imitator: Imitator, windows: Windows) -> UnrollInputs:
    """Return the timesteps and the state with which an imitator unrolls windows [B, T].

    By default each window is treated as the beginning of a run, with an empty memory. An imitator whose
    state depends only on the number of moves may define `state_at(moves)`, int64 [B] -> State; it then starts
    from the state at the window's first move, and `first_of_run` is true at move 0 of a run only.
    """
    state_at: Callable[[Tensor], State] | None = getattr(imitator, "state_at", None)
    if state_at is None:
        return UnrollInputs(windows.timesteps, imitator.initial_state(len(windows.actions)))
    first_of_run = windows.timesteps.first_of_run & (windows.starts == 0)[:, None]
    return UnrollInputs(windows.timesteps._replace(first_of_run=first_of_run), state_at(windows.starts))


def next_action_loss(
    logits: Tensor,
    windows: Windows,
    unscored_moves: int = 0,
    targets: str = CHOSEN,
    num_targets: Tensor | None = None,
) -> Tensor:
    """Return the mean cross-entropy, in nats, of the actions that are targets.

    `logits` are [B, T, A]; illegal actions get no probability. `targets` are `chosen` or `executed`
    (`Windows.target_mask`); the first `unscored_moves` moves of each window are none. The sum is divided by
    `num_targets` if given, so that the losses of a batch's parts add up to the batch's. Zero if no move is a
    target.
    """
    legal_logits = logits.float().masked_fill(~windows.timesteps.legal_actions, -math.inf)  # [B, T, A]
    nats = functional.cross_entropy(legal_logits.flatten(0, 1), windows.actions.flatten(), reduction="none")
    target = target_moves(windows, unscored_moves, targets)  # [B, T]
    count = target.sum() if num_targets is None else num_targets
    return torch.where(target.flatten(), nats, 0.0).sum() / count.clamp(min=1)


def target_moves(windows: Windows, unscored_moves: int, targets: str) -> Tensor:
    """Return bool [B, T], which moves of the windows are targets."""
    target = windows.target_mask(targets)
    return target & (torch.arange(target.shape[1], device=target.device) >= unscored_moves)


def learning_rate(training: TrainingSettings, update: int) -> float:
    """Return the learning rate of update 0, 1, 2, ...: a linear rise, then half a cosine down to a tenth.

    Source: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts (ICLR 2017), eq. 5.
    """
    if update < training.warmup_updates:
        return training.learning_rate * (update + 1) / training.warmup_updates
    done = (update - training.warmup_updates) / max(1, training.updates - training.warmup_updates)
    height = FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return training.learning_rate * height


class _Pass:
    """A forward pass of a model in training: on its device, in its precision, compiled or not."""

    def __init__(
        self, imitator: Imitator, training: TrainingSettings, device: torch.device, is_compiled: bool
    ) -> None:
        self.model, self.training, self.device = cast(nn.Module, imitator), training, device
        self._imitator = imitator
        self._unroll = torch.compile(imitator.unroll) if is_compiled else imitator.unroll

    def parts(self, windows: Windows) -> Iterator[Windows]:
        """Yield the equal parts [B / accumulation, T] of a batch, on the device."""
        size = self.training.batch_size // self.training.accumulation
        for start in range(0, self.training.batch_size, size):
            part = windows if size == self.training.batch_size else windows.rows(start, start + size)
            yield part if self.device.type == "cpu" else part.to(self.device)

    def loss(self, windows: Windows, num_targets: Tensor) -> Tensor:
        """Return the summed loss of windows on the device, divided by `num_targets`."""
        is_half = self.training.precision_bits == settings.PRECISIONS["bfloat16"]
        with torch.autocast(self.device.type, torch.bfloat16) if is_half else contextlib.nullcontext():
            logits, _ = self._unroll(*unroll_inputs(self._imitator, windows))
        return next_action_loss(
            logits, windows, self.training.unscored_moves, self.training.targets, num_targets
        )


@contextmanager
def _draws_of_model(seed: int, update: int, device: torch.device) -> Iterator[None]:
    """Have what a model draws in an update, such as dropout, depend on the seed and the update alone."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(draws.derive(seed, "updates", update) % seeded_parameters.MAX_TORCH_SEED)
        yield


def _update(pass_over: _Pass, optimiser: torch.optim.Optimizer, windows: Windows, update: int) -> float:
    """Make one update and return the loss before it."""
    training = pass_over.training
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(training, update)
    optimiser.zero_grad()
    num_targets = target_moves(windows, training.unscored_moves, training.targets).sum()
    num_targets = num_targets.to(pass_over.device, non_blocking=True)
    losses = []
    for part in pass_over.parts(windows):
        loss = pass_over.loss(part, num_targets)
        if not bool(torch.isfinite(loss)):
            raise InputError(
                f"training: the loss of update {update} is {loss.item()}; a history holds an illegal action, "
                f"or learning_rate {training.learning_rate} is too high: lower it"
            )
        torch.autograd.backward(loss)
        losses.append(loss.item())
    nn.utils.clip_grad_norm_(pass_over.model.parameters(), training.gradient_norm)
    optimiser.step()
    return sum(losses)


@torch.no_grad()
def _validation_loss(pass_over: _Pass, held_out: WindowSource) -> float:
    """Return the mean loss, in nats an action, on windows of the held-out runs, each time the same."""
    training = pass_over.training
    nats, count = 0.0, 0
    pass_over.model.eval()
    for index in range(training.validation_batches):
        rng = _draws(training.seed, "validation windows", index)
        windows = held_out.sample(training.batch_size, training.window_moves, rng)
        count += int(target_moves(windows, training.unscored_moves, training.targets).sum())
        one = torch.ones((), dtype=torch.int64, device=pass_over.device)
        nats += sum(pass_over.loss(part, one).item() for part in pass_over.parts(windows))
    pass_over.model.train()
    if not math.isfinite(nats):
        raise InputError(
            "training: the validation loss is not finite; a held-out history holds an illegal action, or "
            f"learning_rate {training.learning_rate} is too high: lower it"
        )
    return nats / max(1, count)


def _read_ahead(
    source: WindowSource, training: TrainingSettings, done: int, workers: int, device: torch.device
) -> Generator[Windows]:
    """Yield the windows of the updates from `done` on; the next ones are read while one is used."""
    pinned = {"pinned": True} if device.type == "cuda" else {}
    return read_ahead.in_order(
        (
            functools.partial(
                source.sample,
                training.batch_size,
                training.window_moves,
                _draws(training.seed, "windows", update),
                **pinned,
            )
            for update in range(done, training.updates)
        ),
        workers,
        ahead=max(1, workers),
    )


def _identity(
    architecture: Architecture,
    config: Mapping[str, Any],
    game: Game,
    training: TrainingSettings,
    machine: Machine,
    device: torch.device,
) -> dict[str, Any]:
    """Return all that determines the bytes of a training but its data; what is usual is left out."""
    unusual = {
        "targets": training.targets if training.targets != CHOSEN else None,
        "device": device.type if device.type != "cpu" else None,
        "is_compiled": machine.is_compiled or None,
    }
    return {
        "architecture": architecture.name,
        "config": dict(config),
        "game": game.name,
        "training": settings.declared(training),
        **{name: value for name, value in unusual.items() if value is not None},
    }


def _progress(training: TrainingSettings, done: int, loss: float) -> ImitatorProgress:
    """Return the progress after `done` updates, the last of which had this loss."""
    moves = done * training.batch_size * training.window_moves
    return ImitatorProgress(done, training.updates, loss, learning_rate(training, done - 1), moves)


def _check_window(model: nn.Module, training: TrainingSettings) -> None:
    context_moves: int | None = getattr(model, "context_moves", None)
    if context_moves is not None and training.window_moves < 2 * context_moves:
        raise InputError(
            f"training: window_moves must be at least twice the model's context of {context_moves} moves; "
            f"found {training.window_moves}"
        )


def _parameter_groups(model: nn.Module, training: TrainingSettings) -> list[dict[str, Any]]:
    """Return the optimiser's groups: matrices with weight decay, vectors without."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": training.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]


def _draws(seed: int, stream: str, index: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=draws.derive(seed, stream, index)))
