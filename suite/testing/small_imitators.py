"""Settings that make imitators small enough for a test."""

from __future__ import annotations

SMALL = {"transformer": {"layers": 2, "context_moves": 6, "width": 16, "heads": 2}}
