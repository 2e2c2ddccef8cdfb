"""What attacks on a row have in common: a stranger's code, installed."""

import sys

import pytest
from support import custom_players


@pytest.fixture
def walkers(tmp_path, monkeypatch):
    """The package of `support.walkers`, installed."""
    site = tmp_path / "site"
    custom_players.install(site)
    monkeypatch.syspath_prepend(str(site))
    yield site
    for name in [name for name in sys.modules if name.partition(".")[0] == custom_players.PACKAGE]:
        del sys.modules[name]
