"""Minari datasets in HDF5, Arrow or Parquet, read in blocks without the package `minari`.

Layout: a folder with `data/metadata.json` and either `data/main_data.hdf5`, with a group `episode_<k>` for
each episode, or a folder `data/<k>` for each. An episode of T moves has T + 1 observations.
Source: https://minari.farama.org/content/dataset_standards/
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from understudy.suite.errors import InputError
from understudy.suite.histories.imported import MoveBlock
from understudy.suite.histories.importers import Opened, _columns, _minari_files, _screens
from understudy.suite.histories.importers._minari_files import Rows
from understudy.suite.io import files
from understudy.suite.protocols import Game

METADATA = "metadata.json"
LACKS = (
    "no emulator seeds and no record of the ROM: it can't be replayed or verified, and never stands in a "
    "citable row",
    "sticky actions, frame skip, episode cap and reward scale are those of its own environment",
    "episodes are in the order of the file, which need not be that of learning",
    "which moves were exploration is not said",
)


class Minari:
    """The importer of Minari's folders."""

    takes_shards = False

    def open(self, source: Path, game: Game, shards: range | None) -> Opened:
        """Check a dataset's metadata and files; episodes are read when the moves are."""
        folder = source / "data" if (source / "data" / METADATA).is_file() else source
        metadata_path = folder / METADATA
        if not metadata_path.is_file():
            raise InputError(f"{source}: expected a Minari dataset with data/{METADATA}, found none")
        metadata = files.read_json(metadata_path)
        if not isinstance(metadata, dict):
            raise InputError(f"{metadata_path}: expected a JSON object; fetch it again")
        space = _space(metadata, "observation_space", metadata_path)
        screens = _screens.conversion(game, space, metadata_path)
        table = _action_table(game, _space(metadata, "action_space", metadata_path), metadata_path)
        jpeg = bool(metadata.get("jpeg_encoding", True)) and _is_image(space)
        episodes = _number(metadata, "total_episodes", metadata_path)
        layout = _minari_files.open_layout(folder, str(metadata.get("data_format", "hdf5")), jpeg, space)
        lossy = ("screens went through JPEG: not the pixels that the player saw",) if jpeg else ()
        return Opened(
            _move_blocks(game, layout, episodes, screens, table),
            {
                "importer": "minari",
                **_named(metadata),
                "files": [_columns.described(path, folder) for path in (metadata_path, *layout.paths)],
            },
            (*LACKS, *screens.lacks, *lossy),
            _number(metadata, "total_steps", metadata_path),
        )


def _move_blocks(
    game: Game, layout: _minari_files.Layout, episodes: int, screens: _screens.Conversion, table: np.ndarray
) -> Iterator[MoveBlock]:
    for number in range(episodes):
        for rows in layout.episode(number):
            yield _checked(game, rows, screens, table)


def _checked(game: Game, rows: Rows, screens: _screens.Conversion, table: np.ndarray) -> MoveBlock:
    """Return a block of an episode as moves; only the episode's last move may end it, and always does."""
    where, first = rows.where, rows.first_row
    block = MoveBlock(
        screens.frames(rows.observations),
        _columns.actions(rows.actions, table, game, f"{where}: actions", first),
        _columns.rewards(rows.rewards, f"{where}: rewards", first),
        _columns.flags(rows.terminations, f"{where}: terminations", first),
        _columns.flags(rows.truncations, f"{where}: truncations", first),
    )
    ended = block.terminated | block.truncated
    inside = ended[:-1] if rows.is_last else ended
    for row in np.flatnonzero(inside)[:1]:
        raise InputError(f"{where}: row {first + row} ends the episode, but moves follow; fetch it again")
    if rows.is_last and not ended[-1]:  # as Minari treats a recording that stopped within an episode
        block.truncated[-1] = True
    return block


def _space(metadata: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    """Return a Gymnasium space, which Minari stores as JSON in a string."""
    try:
        space = json.loads(metadata[name])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: no readable {name}; write the dataset again with Minari 0.5 or later"
        ) from error
    if not isinstance(space, dict):
        raise InputError(f"{path}: {name}: expected a JSON object, found {space!r:.80}")
    return space


def _action_table(game: Game, space: Mapping[str, Any], path: Path) -> np.ndarray:
    count = space.get("n")
    if space.get("type") != "Discrete" or type(count) is not int or space.get("start", 0) != 0:
        raise InputError(
            f"{path}: actions are {space.get('type')}, start {space.get('start', 0)}; expected Discrete with "
            f"start 0 for {game.name}"
        )
    return _columns.action_table(game, count, path)


def _number(metadata: Mapping[str, Any], name: str, path: Path) -> int:
    value = metadata.get(name)
    if type(value) is not int or value < 1:
        raise InputError(f"{path}: {name}: expected a number of 1 or more, found {value!r}")
    return value


def _is_image(space: Mapping[str, Any]) -> bool:
    """Whether Minari stores the observations as JPEG: uint8 from 0 to 255, both sides 32 or more."""
    shape = space.get("shape", [])
    limits = [np.unique(space.get(name, [])).tolist() for name in ("low", "high")]
    return (
        space.get("dtype") == "uint8"
        and len(shape) in (2, 3)
        and min(shape[:2]) >= 32
        and limits == [[0], [255]]
    )


def _named(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the texts of the metadata that describe the dataset's origin."""
    wanted = ("dataset_id", "algorithm_name", "env_spec", "minari_version", "code_permalink")
    return {name: metadata[name] for name in wanted if isinstance(metadata.get(name), str)}


IMPORTER = Minari()
