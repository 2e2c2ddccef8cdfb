"""Git LFS pointers: each reader says in one line that it found one, and what to run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.minari_data import image_space, minari_dataset, screens
from support.replay_shards import BREAKOUT, without_gap, write_replay_logs, write_torchrl

from understudy.suite.errors import InputError
from understudy.suite.histories import history_format, importers
from understudy.suite.io import files
from understudy.suite.teachers import network, policies

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"7" * 64 + b"\nsize 33214\n"

READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {  # name of the file, function that reads it
    "history": ("history.parquet", history_format.read),
    "columns": ("columns.safetensors", files.read_columns),
    "json": ("record.json", files.read_json),
    "teacher": ("network.safetensors", lambda path: network.load_parameters(path, BREAKOUT)),
    "cleanrl": ("dqn.cleanrl_model", lambda path: policies.policy("cleanrl").load(path, BREAKOUT)),
    "sb3": ("dqn.zip", lambda path: policies.policy("sb3").load(path, BREAKOUT)),
}


def dqn_replay(folder: Path) -> Path:
    return write_replay_logs(folder, without_gap(0, 140))


def torchrl(folder: Path) -> Path:
    return write_torchrl(folder, without_gap(0, 140))


def minari(data_format: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        return minari_dataset(folder, screens(84, 84), image_space(84, 84), data_format=data_format)[0]

    return write


FOLDERS: dict[str, tuple[str, Callable[[Path], Path], str]] = {  # importer, writer, files to replace
    "dqn-replay": ("dqn-replay", dqn_replay, "*action*"),
    "torchrl": ("torchrl", torchrl, "*/data/action.memmap"),
    "minari hdf5": ("minari", minari("hdf5"), "data/main_data.hdf5"),
    "minari arrow": ("minari", minari("arrow"), "data/*/*.arrow"),
    "minari parquet": ("minari", minari("parquet"), "data/*/*.parquet"),
}


def require_advice(read: Callable[[], object], path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read()
    assert str(caught.value).endswith(": a Git LFS pointer, not the file: run git lfs pull")
    assert path.name in str(caught.value)


@pytest.mark.parametrize("reader", READERS)
def test_a_pointer_in_place_of_a_file_is_named(reader, tmp_path):
    name, read = READERS[reader]
    (tmp_path / name).write_bytes(POINTER)
    require_advice(lambda: read(tmp_path / name), tmp_path / name)


@pytest.mark.parametrize("data", FOLDERS)
def test_a_pointer_in_place_of_a_file_of_recorded_runs_is_named(data, tmp_path):
    kind, write, pattern = FOLDERS[data]
    folder = write(tmp_path / "run")
    replaced = sorted(folder.glob(pattern))
    for path in replaced:
        path.write_bytes(POINTER)
    importer = importers.importer(kind)
    require_advice(lambda: list(importer.open(folder, BREAKOUT, None).blocks), replaced[0])
