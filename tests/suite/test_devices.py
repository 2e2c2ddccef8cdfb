"""Names of devices, and devices that are not there."""

import pytest
import torch

from understudy.suite import devices
from understudy.suite.errors import InputError


def test_the_cpu_is_always_there():
    assert devices.require("cpu") == "cpu"


@pytest.mark.parametrize("name", ["gpu", "CPU", "cuda:", "cuda:-1", "cuda:1234", "cpu:0", "meta", ""])
def test_unknown_names_are_refused(name):
    with pytest.raises(InputError, match="expected cpu, cuda, cuda:N or mps"):
        devices.require(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(InputError, match=f"device {name}: torch .* finds no CUDA device; use --device cpu"):
        devices.require(name)


def test_a_number_beyond_the_last_device_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices.require("cuda") == "cuda:0"
    assert devices.require("cuda:1") == "cuda:1"
    with pytest.raises(InputError, match="device cuda:2: expected cuda:0 to cuda:1"):
        devices.require("cuda:2")
