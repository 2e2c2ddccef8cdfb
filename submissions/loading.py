"""Loads an imitator from an untrusted checkpoint folder: checked numbers and tensors only, no code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import cast

import safetensors.torch
import torch
from torch import Tensor, nn

from understudy.submissions import architectures, regular_files
from understudy.submissions.checkpoint_source import CheckpointSource
from understudy.submissions.submission_format import (
    MAX_CONFIG_BYTES,
    MAX_WEIGHTS_BYTES,
    Config,
    identity_of,
    parsed,
)
from understudy.suite import custom_code, escaping
from understudy.suite.errors import InputError
from understudy.suite.harness import states
from understudy.suite.io import module_wrappers, tensor_files
from understudy.suite.io.file_names import CONFIG, WEIGHTS
from understudy.suite.protocols import Game, Imitator

MAX_MODULE_BYTES = 1 << 32  # parameters and buffers, including those that are not stored
BUILD_BYTES = 1 << 33  # building a module takes more memory than the finished module
STATM = Path("/proc/self/statm")


def load(source: CheckpointSource, game: Game) -> nn.Module:
    """Return a checkpoint's imitator, in evaluation mode and without gradients.

    `game` is any game of the benchmark's family; the benchmark bounds the state of one run.
    Raises InputError, naming file, key, expected and found, unless config and weights have exactly the names,
    shapes and dtypes of the architecture, are finite, within the limits, and have the submission's hashes.
    """
    folder = source.submission / source.folder
    declared = config(source)
    try:
        architecture = architectures.load(declared.architecture, source.custom_code)
        strangers = custom_code.calling(declared.architecture) if source.custom_code else nullcontext()
        with _bounded_memory(BUILD_BYTES), strangers:  # a small file can ask for a huge model
            module = architecture.build(declared.parameters, game)
            state_bytes = states.size_bytes(cast(Imitator, module).initial_state(1))
    except InputError as error:
        raise InputError(f"{folder / CONFIG}: {error}") from error
    _check_size(module, state_bytes, source.benchmark.state_cap_bytes, folder / CONFIG)
    module.load_state_dict(_weights(source, declared, module))
    return module.eval().requires_grad_(False)


def config(source: CheckpointSource) -> Config:
    """Return a checkpoint's config; InputError unless its architecture and family are the declared ones."""
    path = source.submission / source.folder / CONFIG
    found = parsed(Config, path, MAX_CONFIG_BYTES, source.submission)
    declared, family = source.architecture, source.benchmark.family
    if found.architecture != declared:
        raise InputError(
            f"{path}: architecture: expected {declared!r} as declared in submission.json; found "
            f"{found.architecture!r}"
        )
    if found.family != family:
        raise InputError(f"{path}: family: expected {family!r}, found {found.family!r}")
    return found


def load_weights(module: nn.Module, data: bytes, path: Path) -> None:
    """Load a weights file that this program wrote into a module; InputError unless the tensors fit."""
    module.load_state_dict(_tensors(data, module, path))


def weights_bytes(module: nn.Module) -> bytes:
    """Return a module's state as the bytes of a weights file; equal states give equal bytes."""
    tensors = {
        name: tensor.detach().cpu().clone().contiguous() for name, tensor in module.state_dict().items()
    }
    return safetensors.torch.save(tensors)


@contextmanager
def _bounded_memory(more_bytes: int) -> Iterator[None]:
    """Raise InputError instead of allocating more memory than this; on Linux only."""
    if not STATM.exists():
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    in_use = int(STATM.read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    ceilings = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([in_use + more_bytes, *ceilings]), hard))
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise InputError(
            f"expected a model that is built within {more_bytes:,} bytes; these parameters need more"
        ) from error
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _check_size(module: nn.Module, state_bytes: int, state_cap_bytes: int, path: Path) -> None:
    tensors = (*module.parameters(), *module.buffers())
    module_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if module_bytes > MAX_MODULE_BYTES:
        raise InputError(
            f"{path}: expected a model of at most {MAX_MODULE_BYTES:,} bytes; these parameters make one of "
            f"{module_bytes:,}"
        )
    if state_bytes > state_cap_bytes:
        raise InputError(
            f"{path}: expected a state of at most {state_cap_bytes:,} bytes a run; these parameters make "
            f"one of {state_bytes:,}"
        )


def _weights(source: CheckpointSource, declared: Config, module: nn.Module) -> dict[str, Tensor]:
    """Return the stored tensors, after checking names, shapes and dtypes, and that all numbers are finite.

    Raises InputError too if they, or the config that built the module, changed since the submission was read.
    """
    path = source.submission / source.folder / WEIGHTS
    data = regular_files.read(path, MAX_WEIGHTS_BYTES, source.submission)
    identity = identity_of(declared, data, path)
    if identity != source.identity:
        raise InputError(f"{path}: changed since the submission was read; start again")
    return _tensors(data, module, path)


def _tensors(data: bytes, module: nn.Module, path: Path) -> dict[str, Tensor]:
    tensors = tensor_files.tensors(data, path)
    _check_tensors(tensors, module.state_dict(), path)
    return tensors


def _check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    _refuse_wrapped(found, expected, path)
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise InputError(f"{path}: {name}: expected {_form(expected[name])}, found no such tensor")
        if name not in expected:
            shown = escaping.shortened(name)
            raise InputError(f"{path}: {shown}: expected no such tensor, found {_form(found[name])}")
        if _form(found[name]) != _form(expected[name]):
            raise InputError(f"{path}: {name}: expected {_form(expected[name])}, found {_form(found[name])}")
        number_bad = int((~torch.isfinite(found[name])).sum())
        if number_bad:
            raise InputError(
                f"{path}: {name}: expected finite numbers, found {number_bad:,} of {found[name].numel():,} "
                "that are not"
            )


def _refuse_wrapped(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    """Raise InputError if an expected tensor has a wrapper's prefix, as in a compiled module's state dict."""
    expected_names = {module_wrappers.unwrapped(name): name for name in expected}
    for name in sorted(found.keys() - expected.keys()):
        wrapped = module_wrappers.outermost(name)
        plain = expected_names.get(module_wrappers.unwrapped(name))
        if wrapped is None or plain is None:
            continue
        inside, wrapper = wrapped
        advice = (
            f"before saving, replace the model's `{inside}` by `{inside}.{wrapper}`"
            if inside
            else f"save `model.{wrapper}.state_dict()`"
        )
        raise InputError(
            f"{path}: {escaping.shortened(name)}: expected {plain!r}, found the prefix `{wrapper}.` of a "
            f"compiled or data-parallel module; {advice}"
        )


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
