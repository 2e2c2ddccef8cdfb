"""Stamps: a file of weights says which life it is of and before which move, and is taken for no other."""

from __future__ import annotations

import json
from pathlib import Path

from understudy.suite import files
from understudy.suite.errors import InputError
from understudy.suite.histories.format import Header

KEY = "understudy"  # in the metadata of a safetensors file


def metadata(game: str, life_seed: str, moves: int) -> dict[str, str]:
    """Return the metadata of a safetensors file with weights of a life, as they were before move `moves`.

    One key only: safetensors writes several in no fixed order.
    """
    return {KEY: files.canonical_json({"game": game, "life_seed": life_seed, "moves": moves})}


def require(path: Path, header: Header, moves: int) -> None:
    """Raise InputError if a file is stamped as another's than this history's life or move, or isn't whole.

    One without a stamp passes: such were written before there were any.
    """
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np") as file:
            found = (file.metadata() or {}).get(KEY)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; fetch it from where the life came from") from error
    except safetensors.SafetensorError as error:
        raise InputError(f"{path}: not a whole safetensors file ({error}); fetch it again") from error
    expected = metadata(header.game, str(header.life.get("seed")), moves)[KEY]
    if found is not None and found != expected:
        raise InputError(
            f"{path}: these weights are not this life's: expected {_shown(expected)}, found {_shown(found)}; "
            "put the life's own file there"
        )


def _shown(stamp: str) -> str:
    try:
        said = json.loads(stamp)
        return f"{said['game']}, life {said['life_seed'][:8]}, {said['moves']:,} moves"
    except (ValueError, KeyError, TypeError):
        return f"{stamp[:80]!r}"
