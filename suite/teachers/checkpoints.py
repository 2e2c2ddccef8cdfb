"""Checkpoints: a DQN's networks and optimiser, as files beside its run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from understudy.suite import escaping, games
from understudy.suite.errors import InputError
from understudy.suite.histories import provenance
from understudy.suite.histories.history_format import History
from understudy.suite.io import files, tensor_files, walks
from understudy.suite.io.file_names import CHECKPOINT, NETWORK_AT_W
from understudy.suite.io.readable import Readable
from understudy.suite.teachers import network

NETWORK = "network."  # prefix of the network's tensors in a checkpoint


def numbered(folder: Path, moves: int) -> Path:
    """Return the path of a run's checkpoint before move `moves` while its training is unfinished."""
    return folder / f"checkpoint-{moves}.safetensors"


def every_numbered(folder: Path) -> list[Path]:
    """Return the checkpoints of a run whose training is unfinished, and no other files called alike."""
    found = walks.matching(folder, "checkpoint-*.safetensors")
    return [path for path in found if path.stem.removeprefix("checkpoint-").isdecimal()]


def find(folder: Path, moves: int) -> Path:
    """Return the checkpoint at `moves`: an unfinished training's if it exists, else the final one."""
    unfinished = numbered(folder, moves)
    return unfinished if unfinished.exists() else folder / CHECKPOINT


def write(path: Path, tensors: Mapping[str, Tensor], game: str, run_seed: str, moves: int) -> None:
    """Write a run's tensors, stamped with game, seed and move; the same tensors give the same bytes."""
    files.write_atomically(path, save(dict(tensors), provenance.metadata(game, run_seed, moves)))


def read(path: Readable, history: History) -> dict[str, Tensor]:
    """Return a DQN's tensors (`dqn.DQNLearner.tensors`) at the end of this history.

    A checkpoint at W may leave the network out; it is then read from the network at W in the same folder.
    Raises InputError for a damaged file, one of another run or move, or one that doesn't fit the game.
    """
    tensors = _stamped(path, history)
    if not any(name.startswith(NETWORK) for name in tensors):
        at_w = _stamped(path.parent / NETWORK_AT_W, history)
        tensors |= {f"{NETWORK}{name}": tensor for name, tensor in at_w.items()}
    game = games.load(history.header.game)
    shapes = network.shapes(game)
    for name in (f"{NETWORK}{key}" for key in shapes):
        if name not in tensors:
            raise InputError(
                f"{path}: not a {game.family} teacher's checkpoint: no {name}; put the run's own file there"
            )
    for name, tensor in tensors.items():
        found, expected = tuple(tensor.shape), shapes.get(".".join(name.split(".")[-2:]))
        if expected is None or (found and found != expected):  # a scalar: Adam's number of updates
            needed = "no such tensor" if expected is None else str(list(expected))
            raise InputError(
                f"{path}: not a {game.family} teacher's checkpoint: {escaping.shortened(name)} is "
                f"{list(found)}, expected {needed}; put the run's own file there"
            )
    return tensors


def _stamped(path: Readable, history: History) -> dict[str, Tensor]:
    data = provenance.require(path, history.header, history.num_moves)
    return tensor_files.tensors(data, path, "fetch it again")
