"""Settings of a training: bounds, defaults, meanings; how they are stored; what other libraries call them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from understudy.suite import registry, validation
from understudy.suite.errors import InputError

PRECISIONS = {"float32": 32, "bfloat16": 16}
# Names of other libraries, for suggestions alone; the first of those that exist here is suggested.
ALIASES = {
    **dict.fromkeys(("lr", "max_lr", "step_size", "alpha"), ("learning_rate",)),
    **dict.fromkeys(("bs", "batch", "minibatch_size", "train_batch_size"), ("batch_size",)),
    **dict.fromkeys(
        ("epochs", "n_epochs", "num_epochs", "steps", "max_steps", "train_steps", "num_steps"), ("updates",)
    ),
    **dict.fromkeys(("iterations", "iters", "max_iters", "n_iter"), ("updates",)),
    **dict.fromkeys(("n_layers", "num_layers", "n_layer", "depth", "num_hidden_layers"), ("layers",)),
    **dict.fromkeys(("d_model", "n_embd", "hidden_size", "hidden_dim", "embed_dim", "dim"), ("width",)),
    **dict.fromkeys(("n_heads", "num_heads", "n_head", "nhead", "num_attention_heads"), ("heads",)),
    **dict.fromkeys(("context", "context_length", "ctx_len", "n_ctx"), ("context_moves", "window_moves")),
    **dict.fromkeys(("seq_len", "sequence_length", "block_size", "max_length"), ("window_moves",)),
    **dict.fromkeys(("wd", "decay", "l2", "weightdecay"), ("weight_decay",)),
    **dict.fromkeys(
        ("clip", "grad_clip", "grad_norm", "max_grad_norm", "clip_grad_norm"), ("gradient_norm",)
    ),
    **dict.fromkeys(("warmup", "warmup_steps", "warmup_iters", "num_warmup_steps"), ("warmup_updates",)),
    **dict.fromkeys(
        ("gradient_accumulation_steps", "grad_accum", "accumulate_grad_batches", "accum_iter"),
        ("accumulation",),
    ),
    **dict.fromkeys(("eval_every", "eval_interval", "eval_steps", "val_every"), ("report_every",)),
    **dict.fromkeys(("log_every", "log_interval", "logging_steps"), ("report_every",)),
    **dict.fromkeys(("early_stopping", "early_stop", "early_stopping_patience"), ("patience",)),
    **dict.fromkeys(("dtype", "precision", "bf16", "fp16", "amp"), ("precision_bits",)),
    **dict.fromkeys(("random_seed", "random_state"), ("seed",)),
}


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of one training; stored in full in the submission."""

    updates: int = validation.bounded(1, 100_000_000, 2_000, "updates of the weights, per checkpoint")
    batch_size: int = validation.bounded(1, 65_536, 8, "windows per update, in all parts together")
    window_moves: int = validation.bounded(
        1, 1_000_000, 512, "moves of a window; at least twice the context, if there is one"
    )
    unscored_moves: int = validation.bounded(
        0, 1_000_000, 0, "moves at a window's start that are not targets"
    )
    learning_rate: float = validation.bounded(1e-8, 1.0, 1e-3, "the highest learning rate")
    warmup_updates: int = validation.bounded(
        0, 1_000_000, 50, "updates over which the learning rate rises linearly"
    )
    weight_decay: float = validation.bounded(0.0, 10.0, 0.01, "AdamW's weight decay, of matrices alone")
    gradient_norm: float = validation.bounded(1e-6, 1e6, 1.0, "larger gradients are scaled down to it")
    seed: int = validation.bounded(0, 2**63, 0, "of the parameters, the windows and the held-out runs")
    accumulation: int = validation.bounded(
        1,
        65_536,
        1,
        "equal parts that a batch is used in, one after another, to save memory",
        is_later=True,
    )
    precision_bits: int = validation.bounded(
        16,
        32,
        32,
        "32: float32; 16: bfloat16 by autocast, with float32 weights",
        is_later=True,
    )
    held_out: int = validation.bounded(
        0,
        100_000,
        0,
        "watched runs kept from the updates, for the validation loss",
        is_later=True,
    )
    held_out_games: int = validation.bounded(
        0,
        100_000,
        0,
        "watched games whose runs are all kept from the updates, for the validation loss",
        is_later=True,
    )
    episode_stride: int = validation.bounded(
        1,
        1_000_000,
        1,
        "k: windows of every k-th episode, in which the improvement is k times as steep",
        is_later=True,
    )
    last_moves: int = validation.bounded(
        0,
        1_000_000_000,
        0,
        "windows lie within the last so many watched moves of each run; 0: anywhere",
        is_later=True,
    )
    report_every: int = validation.bounded(
        1,
        100_000_000,
        100,
        "updates per line of training.csv, each with a validation loss",
        is_later=True,
    )
    validation_batches: int = validation.bounded(
        1,
        100_000,
        4,
        "batches of held-out windows, the same for each validation loss",
        is_later=True,
    )
    patience: int = validation.bounded(
        0,
        1_000_000,
        0,
        "reports without a lower validation loss after which the training ends; it then keeps the best "
        "weights; 0: no early stop",
        is_later=True,
    )
    targets: Literal["chosen", "executed"] = field(
        default="chosen",
        metadata={
            "meaning": "chosen: the actions that the teacher chose itself; executed: every action, explored "
            "ones too"
        },
    )

    def __post_init__(self) -> None:
        if self.unscored_moves >= self.window_moves:
            raise InputError(
                f"training: unscored_moves must be below window_moves; found {self.unscored_moves} and "
                f"{self.window_moves}"
            )
        if self.batch_size % self.accumulation:
            raise InputError(
                f"training: accumulation must divide batch_size; found {self.accumulation} and "
                f"{self.batch_size}"
            )
        if self.precision_bits not in PRECISIONS.values():
            raise InputError(f"training: precision_bits: expected 16 or 32; found {self.precision_bits}")
        if self.held_out and self.held_out_games:
            raise InputError("training: give held_out or held_out_games, not both")
        if self.patience and not (self.held_out or self.held_out_games):
            raise InputError(
                "training: patience needs a validation loss, and so held-out runs; give held_out (--held-out "
                "1) or held_out_games too"
            )


def settings_from(values: Mapping[str, Any]) -> TrainingSettings:
    """Return checked settings by the names of their fields; InputError for an unknown or unfit one."""
    for name in values:
        choose(name, (each.name for each in fields(TrainingSettings)), "setting of training")
    return validation.checked(TrainingSettings, values, "training", "setting")


def declared(settings: TrainingSettings) -> dict[str, int | float]:
    """Return the numbers that `training` of a submission.json holds, from which `settings_from` makes them.

    The targets are stored beside them.
    """
    return {name: value for name, value in validation.stored(settings).items() if name != "targets"}


def choose(name: str, known: Iterable[str], what: str) -> str:
    """Return `name` if it is in `known`; otherwise raise InputError with the nearest known name.

    Near is also what other libraries call the same, e.g. `lr` for `learning_rate`.
    """
    known = sorted(known)
    for meant in ALIASES.get(name.casefold().replace("-", "_"), ()):
        if name not in known and meant in known:
            raise InputError(f"unknown {what} {name!r}; did you mean {meant!r}?")
    return registry.choose(name, known, what)


@dataclass(frozen=True)
class Setting:
    """What there is to know of one setting."""

    name: str
    default: str
    bounds: str
    meaning: str


def listed(kind: type[Any], defaults: Mapping[str, Any]) -> list[Setting]:
    """Return the settings of a dataclass whose fields `validation.bounded` made, with these defaults."""
    found = []
    for each in fields(kind):
        bounds = (
            f"{each.metadata['least']:,} to {each.metadata['most']:,}" if "least" in each.metadata else ""
        )
        shown = defaults.get(each.name, "")
        found.append(Setting(each.name, str(shown), bounds, each.metadata.get("meaning", "")))
    return found
