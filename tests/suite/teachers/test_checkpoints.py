"""Checkpoints of teachers: what was checked is what is loaded."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support import teacher_files

from understudy.suite.errors import InputError
from understudy.suite.histories import history_format
from understudy.suite.io import bounded
from understudy.suite.teachers import checkpoints, network


@pytest.fixture
def history(darkroom, tmp_path):
    """A run of four moves."""
    found = history_format.read(teacher_files.write_log(tmp_path, darkroom, [0, 1, 2, 3]) / "history.parquet")
    return replace(found, header=replace(found.header, run={"seed": "00ff"}))


def test_a_checkpoint_is_read_once_and_only_of_its_run(darkroom, history, tmp_path, monkeypatch):
    tensors = {f"network.{k}": v[0] for k, v in network.initial_parameters(darkroom, [3]).items()}
    path = tmp_path / "checkpoint.safetensors"
    checkpoints.write(path, tensors, darkroom.name, "00ff", 4)
    opened, read = [], bounded.read

    def noted(path):
        opened.append(path.name)
        return read(path)

    monkeypatch.setattr(bounded, "read", noted)
    found = checkpoints.read(path, history)
    assert opened == ["checkpoint.safetensors"]
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    checkpoints.write(path, tensors, darkroom.name, "00ff", 5)
    with pytest.raises(InputError, match=r"expected darkroom/goal-40, run 00ff, 4 moves, found .* 5 moves"):
        checkpoints.read(path, history)
