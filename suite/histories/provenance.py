"""Provenance of weights: a safetensors file names the run that it belongs to, and the move."""

from __future__ import annotations

import json
from typing import Any

from understudy.suite import stored_names
from understudy.suite.errors import InputError
from understudy.suite.histories.history_format import Header
from understudy.suite.io import bounded, files, git_lfs
from understudy.suite.io.readable import Readable

KEY = "understudy"  # in the metadata of a safetensors file


def metadata(game: str, run_seed: str, moves: int) -> dict[str, str]:
    """Return the metadata of a safetensors file with a run's weights before move `moves`.

    Everything is under one key because safetensors writes several keys in no fixed order.
    """
    return {
        KEY: files.canonical_json({"game": game, stored_names.WEIGHTS_RUN_SEED: run_seed, "moves": moves})
    }


def require(path: Readable, header: Header, moves: int) -> bytes:
    """Return a file's bytes; InputError if it is damaged or its metadata names another run or move.

    A file without this metadata passes: files were written before it existed.
    """
    import safetensors

    try:
        data = bounded.read(path)
        git_lfs.refuse_pointer_bytes(data, path)
        deserialize: Any = safetensors.deserialize
        deserialize(data)
        stored = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])  # checked by then
        found = (stored.get("__metadata__") or {}).get(KEY)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; fetch it from where the run came from") from error
    except safetensors.SafetensorError as error:
        raise InputError(f"{path}: not a whole safetensors file ({error}); fetch it again") from error
    expected = metadata(header.game, str(header.run.get("seed")), moves)[KEY]
    if found is not None and found != expected:
        raise InputError(
            f"{path}: these weights are of another run: expected {_shown(expected)}, found {_shown(found)}; "
            "replace them by the file of this run"
        )
    return data


def _shown(text: str) -> str:
    try:
        fields = json.loads(text)
        return f"{fields['game']}, run {fields[stored_names.WEIGHTS_RUN_SEED][:8]}, {fields['moves']:,} moves"
    except (ValueError, KeyError, TypeError):
        return f"{text[:80]!r}"
