"""Attack: a player's code starts a process that goes on when the player's has ended.

On commit 32d4ebc7 it lived on wherever the player's process had ended first: after `close`, and after it
exited by itself. Without bubblewrap, where no namespace ends with the player.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

import pytest
from support import custom_players

from understudy.suite.harness import child_player, confinement
from understudy.suite.harness.player_checks import PlayerRefused

SECONDS = 20.0  # of a minute that the process would live


@pytest.fixture
def listening(tmp_path, monkeypatch):
    """The package of `support.forkers`, installed, and the socket that its process connects to."""
    monkeypatch.setattr(confinement, "_works", lambda: False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(SECONDS)
        custom_players.install(tmp_path / "site", "forkers", PORT=server.getsockname()[1])
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        yield server
    for name in [name for name in sys.modules if name.partition(".")[0] == custom_players.PACKAGE]:
        del sys.modules[name]


def connected(listening):
    """Return the connection of the process that the player started."""
    connection, _ = listening.accept()
    connection.settimeout(SECONDS)
    assert connection.recv(1) == b"!"
    return connection


def test_a_fork_ends_when_its_player_is_closed(listening, tmp_path):
    player = custom_players.in_child(custom_players.stranger(tmp_path / "submission", "FORKER"))
    with connected(listening) as connection:
        player.close()
        assert connection.recv(1) == b""  # its end


def test_a_fork_ends_when_its_player_has_ended_by_itself(listening, tmp_path):
    player = custom_players.in_child(custom_players.stranger(tmp_path / "submission", "FORKER"))
    with child_player.closing(player), connected(listening) as connection:
        os.kill(player._process._process.pid, signal.SIGTERM)
        with pytest.raises(PlayerRefused, match="its process ended by SIGTERM"):
            player.parameters_sha256()
        assert connection.recv(1) == b""


def test_a_player_without_a_fork_ends_with_its_process(listening, tmp_path):
    player = custom_players.in_child(custom_players.stranger(tmp_path / "submission", "CONSTANT"))
    assert len(player.parameters_sha256()) == 64
    player.close()
    assert player._process._process.poll() is not None
