"""Files saved by PyTorch, for tests."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch


def saved(state: Any, **how: Any) -> bytes:
    """Return the bytes that `torch.save` writes."""
    buffer = io.BytesIO()
    torch.save(state, buffer, **how)
    return buffer.getvalue()


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)
