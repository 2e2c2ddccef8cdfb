"""The file from which an interrupted training is resumed: parameters, optimiser, updates, reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from understudy.baselines.training.reports import TrainingLog
from understudy.suite.errors import InputError
from understudy.suite.io import files

FORMAT = "understudy-training-1"
HEADER_KEY = "understudy"  # a single key, as safetensors writes several in random order


def save(
    path: Path,
    identity: Mapping[str, Any],
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    log: TrainingLog,
    updates: int,
) -> None:
    """Write a training after so many updates, atomically.

    `identity` holds everything that determines the training, as JSON values. Only a training with an equal
    identity can be resumed from the file.
    """
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{index}/{name}": tensor for name, tensor in moments.items()}
    tensors |= {f"best/{name}": tensor for name, tensor in log.best_weights.items()}
    header = {"format": FORMAT, "step": updates, "identity": dict(identity), "log": log.values()}
    whole = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    files.write_atomically(path, safetensors.torch.save(whole, {HEADER_KEY: files.canonical_json(header)}))


def load(
    path: Path,
    identity: Mapping[str, Any],
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    log: TrainingLog,
) -> int:
    """Load model, optimiser and log from a file and return the number of updates made; 0 without a file.

    Raises InputError for a damaged file, or one that was made with another `identity`.
    """
    if not path.exists():
        return 0
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER_KEY, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except safetensors.SafetensorError as error:
        raise InputError(f"{path}: not a whole training file ({error}); remove it to start again") from error
    expected = json.loads(files.canonical_json(identity))
    if header.get("format") != FORMAT or header.get("identity") != expected:
        raise InputError(f"{path}: made with other settings; give those again, or remove it to start again")
    model.load_state_dict(_part(tensors, "model/"))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _part(tensors, "optimiser/").items():
        index, _, moment = name.partition("/")
        moments.setdefault(int(index), {})[moment] = tensor
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    if "log" in header:  # absent in files of before
        log.restore(header["log"], _part(tensors, "best/"))
    return int(header["step"])


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
