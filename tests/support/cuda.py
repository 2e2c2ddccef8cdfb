"""Tests that need a CUDA device are skipped, and counted, where there is none."""

import pytest
import torch

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, found none")
