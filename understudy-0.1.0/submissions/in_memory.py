"""A model in memory as an entry: an object that this process plays, and that nobody else can play.

Its rows are self-reported. Nothing is copied to other processes, so its class may be defined in a notebook.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import re
import time
import warnings
from collections.abc import Sequence
from numbers import Integral
from types import CodeType, MethodType
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from understudy.submissions import check, watched
from understudy.suite import custom_code, devices, games, registry, reserved_names, tasks
from understudy.suite.benchmarks import Benchmark, pins
from understudy.suite.errors import InputError
from understudy.suite.harness import frozenness
from understudy.suite.harness.entry import Entry, Loader, Player, PlayerRequest
from understudy.suite.io import files
from understudy.suite.protocols import Game, State, Timestep
from understudy.suite.testing import imitator_checks

CHECKPOINT = "in-memory"
OF_OTHERS = ("torch", "builtins", "typing")  # whose classes are known by the package versions of a job
NO_CODE = ("__doc__", "__module__", "__firstlineno__", "__static_attributes__")  # of a class, beside its code
MOST_CHARACTERS = 200  # of a class name
TIMED_MOVES = 32  # of which the cost of priming is estimated


def entry(
    model: nn.Module,
    name: str,
    benchmark: Benchmark,
    decoding: str = "greedy",
    priming_moves: int | None = None,
    teachers: Sequence[str] | None = None,
) -> Entry:
    """Return the entry of a model in memory, after checking that the model conforms.

    Args:
        model: a module with `initial_state` and `step`. It is copied and stays as it is. Without `unroll`,
            one is made of `step`; without `reach_moves`, there is no bound.
        name: of the row; not a control's or an entry's.
        benchmark: that it is scored on.
        decoding: greedy or sample.
        priming_moves: K; None: as many of the watched moves as can matter to it.
        teachers: names of the pinned runs that it watched, which prime it and with which it is compared;
            None: all of the watched games.

    Raises InputError, in one line, for a model that does not conform, a reserved or unfit name, unknown
    teachers, or K beyond the watched moves.
    """
    require_name(name)
    registry.choose(decoding, ("greedy", "sample"), "decoding")
    pinned = pins.of(benchmark)
    usable = pinned.names(benchmark, benchmark.watched_games)
    named = [teachers] if isinstance(teachers, str) else teachers
    chosen = usable if named is None else tuple(dict.fromkeys(named))
    if not chosen:
        raise InputError("teachers: expected at least one run, or None for all; found none")
    for teacher in chosen:
        registry.choose(teacher, usable, f"pinned run of a watched game of {benchmark.name}:")
    game = games.load(benchmark.watched_games[0])
    module = _prepared(model)
    check.require_conformance(copy.deepcopy(module), game, _class_of(model))
    priming = _priming_moves(module, benchmark, priming_moves)
    if not hasattr(model, "unroll"):
        _warn_of_steps(copy.deepcopy(module), game, priming, len(chosen))
    identity = _identity(model, module)
    return Entry(
        name=name,
        benchmark=benchmark.name,
        identity=identity,
        architecture=_class_of(model),
        decoding=decoding,
        track="frozen",
        priming_moves=priming,
        is_control=False,
        players=(
            Player(
                checkpoint=CHECKPOINT,
                training_seed=None,
                teachers=chosen,
                identity=identity,
                networks_at_w=(),
                tasks=tasks.names(),
                load=Loader(f"{__name__}:given", (module,)),
            ),
        ),
        declaration=_code_of(module),  # no round has it, and a row of other code is another row
        in_memory=_class_of(model),
    )


def given(module: nn.Module, request: PlayerRequest) -> nn.Module:
    """Return a copy of the module, the player of a job; called by its `Loader`."""
    if request.intervention is not None and request.intervention.parameters != "own":
        raise InputError(
            f"--intervention {request.intervention.name}: a model in memory has no training to repeat; make "
            "a submission of it"
        )
    return copy.deepcopy(module)  # as a submission is loaded anew: no job changes the next one's player


def require_name(name: str) -> None:
    """Raise InputError unless a row in memory may have this name."""
    if not isinstance(name, str) or not reserved_names.NAME.fullmatch(name):
        raise InputError(
            f"name: expected small letters, digits, '.', '_' and '-', at most 64; found {name!r}"
        )
    why = reserved_names.why_reserved(name)
    if why:
        raise InputError(f"name: expected a name of its own; found {name!r}, which is the name of {why}")


def name_of(model: nn.Module) -> str:
    """Return a row's name made of the model's class: `my-lstm` of `MyLSTM`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", type(model).__name__).lower()
    return re.sub(r"[^a-z0-9-]", "-", words).strip("-")[:64] or "model"


def _prepared(model: nn.Module) -> nn.Module:
    """Return a copy that plays: evaluation mode, no gradients, with the members that the harness reads."""
    if not isinstance(model, nn.Module):
        raise InputError(f"model: expected a torch.nn.Module; found a {type(model).__name__}")
    for method in ("initial_state", "step"):
        if not callable(getattr(model, method, None)):
            raise InputError(
                f"{_class_of(model)}: expected the method {method!r}, found none; see `understudy.Imitator`"
            )
    try:
        module = copy.deepcopy(model).cpu()  # where the checks are made
        shared = {id(each) for each in model.modules()} & {id(each) for each in module.modules()}
        module.eval().requires_grad_(False)
    except Exception as error:  # whatever a stranger's class raises
        raise InputError(
            f"{_class_of(model)}: expected a model that copy.deepcopy copies; found "
            f"{custom_code.first_line(error)}"
        ) from error
    if shared:
        raise InputError(f"{_class_of(model)}: copy.deepcopy returns parts of the model itself; mend that")
    members: Any = module
    if not hasattr(model, "unroll"):
        members.unroll = MethodType(_unrolled, module)
    if not hasattr(model, "reach_moves"):
        members.reach_moves = None
    try:
        imitator_checks.checked_reach(members)
    except Exception as error:
        raise InputError(f"{_class_of(model)}: {error}") from error
    return module


def _unrolled(model: Any, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
    """Return logits [B, T, A] of `step`, move by move, and the state after them."""
    logits = []
    for t in range(timesteps.first.shape[1]):
        answer, state = model.step(Timestep(*(field[:, t] for field in timesteps)), state)
        logits.append(answer)
    return torch.stack(logits, dim=1), state


def _priming_moves(module: Any, benchmark: Benchmark, chosen: int | None) -> int:
    """Return K: as chosen, or the watched moves that can matter."""
    most = benchmark.watched_moves
    if chosen is None:
        return watched.useful_priming(module.reach_moves, most)
    if isinstance(chosen, bool) or not isinstance(chosen, Integral) or not 0 <= chosen <= most:
        raise InputError(f"priming_moves: expected a whole number from 0 to W = {most:,}; found {chosen}")
    return int(chosen)


def _warn_of_steps(module: Any, game: Game, priming_moves: int, teachers: int) -> None:
    """Warn of the missing `unroll`, with the time that priming takes by `step`."""
    timesteps = imitator_checks.random_timesteps(game, 1, TIMED_MOVES, seed=0)
    began = time.perf_counter()
    with devices.threads(1), torch.inference_mode():
        _unrolled(module, timesteps, module.initial_state(1))
    seconds = (time.perf_counter() - began) / TIMED_MOVES * priming_moves * teachers
    warnings.warn(
        f"{type(module).__name__} has no unroll: one is made of step. Priming it with {priming_moves:,} "
        f"moves of {teachers} runs takes about {seconds:,.0f} s that way, for each job",
        stacklevel=4,
    )


def _identity(model: nn.Module, module: nn.Module) -> str:
    values = ["in memory", _class_of(model), frozenness.parameters_sha256(module)]
    return files.text_sha256(files.canonical_json(values))


def _class_of(model: object) -> str:
    return f"{type(model).__module__}.{type(model).__qualname__}"[:MOST_CHARACTERS]


def _code_of(module: nn.Module) -> str:
    """Return a hash of the code of a module's classes and of its plain attributes, beside its weights.

    Functions that its methods call are not among them, nor are classes of torch.
    """
    found: list[Any] = []
    for name, each in module.named_modules():
        own = [kind for kind in type(each).__mro__ if kind.__module__.partition(".")[0] not in OF_OTHERS]
        members = [(f"{kind.__qualname__}.{key}", value) for kind in own for key, value in vars(kind).items()]
        members += [(key, value) for key, value in vars(each).items() if not key.startswith("_")]
        plain = [(key, _plain(value)) for key, value in members if key.rpartition(".")[2] not in NO_CODE]
        found.append([name, [(key, value) for key, value in plain if value is not None]])
    return files.text_sha256(files.canonical_json(found))


def _plain(value: Any) -> Any:
    """Return a value as JSON values, functions by their bytecode; None for what has no such form."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return repr(value)
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if isinstance(value, Tensor):  # that is neither a parameter nor a buffer
        return _plain(value.detach().cpu().numpy())
    if isinstance(value, np.ndarray):
        return [str(value.dtype), list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return sorted((repr(key), _plain(each)) for key, each in value.items() if _plain(each) is not None)
    inner = value.fget if isinstance(value, property) else value
    code = (
        inner if isinstance(inner, CodeType) else getattr(inspect.unwrap(cast(Any, inner)), "__code__", None)
    )
    if isinstance(code, CodeType):
        return [code.co_code.hex(), list(code.co_names), [_plain(each) for each in code.co_consts]]
    return None
