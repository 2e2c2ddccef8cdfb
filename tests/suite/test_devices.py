"""The number of torch's threads is the block's, and the caller's again afterwards."""

from __future__ import annotations

import pytest
import torch

from understudy.suite import devices


def test_threads_are_put_back_also_after_an_error():
    @devices.threads(3)
    def fail():
        assert torch.get_num_threads() == 3
        raise ValueError("inside")

    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="inside"):
        fail()
    assert torch.get_num_threads() == before


def test_a_decorated_function_has_its_own_threads_at_each_call():
    @devices.threads(3)
    def found():
        return torch.get_num_threads()

    before = torch.get_num_threads()
    assert (found(), found()) == (3, 3)
    assert torch.get_num_threads() == before
