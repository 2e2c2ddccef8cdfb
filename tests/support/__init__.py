"""Test doubles, made-up data and the checkout's paths, shared by the tests."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # of the checkout
