"""Paths from a user: an unknown home folder and odd bytes are one line that says what to set."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from understudy.suite.errors import InputError
from understudy.suite.io import paths


def test_the_home_folder_replaces_its_sign(monkeypatch):
    monkeypatch.setenv("HOME", "/at/home")
    assert paths.expanded("~/data", "PLACE") == Path("/at/home/data")
    assert paths.expanded("./data~", "PLACE") == Path("data~")


def test_an_unknown_home_folder_is_one_line():
    with pytest.raises(InputError, match=r"^PLACE: .* ~nobody-of-this-name/c, .*; set PLACE to an absolute"):
        paths.expanded("~nobody-of-this-name/c", "PLACE")


def test_a_name_must_be_utf8():
    paths.require_utf8(Path("/caf\xe9"), "PLACE")
    with pytest.raises(InputError, match=r"a folder whose name is UTF-8, .*; set PLACE to another folder"):
        paths.require_utf8(Path(os.fsdecode(b"/caf\xe9")), "PLACE")
