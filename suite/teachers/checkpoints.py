"""Checkpoints: what a DQN has learned, as files beside its life."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor

from understudy.suite import files, games
from understudy.suite.errors import InputError
from understudy.suite.histories import stamps
from understudy.suite.histories.format import History
from understudy.suite.teachers import network

NETWORK_AT_W = "network_at_w.safetensors"
CHECKPOINT = "checkpoint.safetensors"  # of a finished life
NETWORK = "network."  # before the names of the network's tensors in a checkpoint


def numbered(folder: Path, moves: int) -> Path:
    """Return where an unfinished lesson keeps what a life's DQN had learned before move `moves`."""
    return folder / f"checkpoint-{moves}.safetensors"


def find(folder: Path, moves: int) -> Path:
    """Return the checkpoint of these moves: that of an unfinished lesson, or the finished life's."""
    unfinished = numbered(folder, moves)
    return unfinished if unfinished.exists() else folder / CHECKPOINT


def write(path: Path, tensors: Mapping[str, Tensor], game: str, life_seed: str, moves: int) -> None:
    """Write weights of a life, stamped as such; the same tensors give the same bytes."""
    files.write_atomically(path, save(dict(tensors), stamps.metadata(game, life_seed, moves)))


def read(path: Path, history: History) -> dict[str, Tensor]:
    """Return what a DQN had learned when its life was as long as this history: `dqn.Learner.tensors`.

    At W the network may be left out of the checkpoint, where it lies beside it as the network at W.
    Raises InputError for a file that isn't whole, is stamped as another life's, or doesn't fit the game.
    """
    tensors = _stamped(path, history)
    if not any(name.startswith(NETWORK) for name in tensors):
        at_w = _stamped(path.with_name(NETWORK_AT_W), history)
        tensors |= {f"{NETWORK}{name}": tensor for name, tensor in at_w.items()}
    game = games.load(history.header.game)
    shapes = network.shapes(game)
    for name in (f"{NETWORK}{key}" for key in shapes):
        if name not in tensors:
            raise InputError(
                f"{path}: not a {game.family} teacher's checkpoint: no {name}; put its own there"
            )
    for name, tensor in tensors.items():
        found, expected = tuple(tensor.shape), shapes.get(".".join(name.split(".")[-2:]))
        if expected is None or (found and found != expected):  # one number: Adam's count of steps
            raise InputError(
                f"{path}: not a {game.family} teacher's checkpoint: {name} is {list(found)}, expected "
                f"{'no such tensor' if expected is None else list(expected)}; put the life's own file there"
            )
    return tensors


def _stamped(path: Path, history: History) -> dict[str, Tensor]:
    stamps.require(path, history.header, history.num_moves)
    found: dict[str, Tensor] = load_file(path)
    return found
