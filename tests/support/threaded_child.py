"""A player process without a process: its server is a thread here, so that a test starts at once."""

from __future__ import annotations

import os
import tempfile
import threading
from typing import Any

import pytest
import torch

from understudy.suite.harness import child_player
from understudy.suite.harness.child_process import ChildProcess, Launch
from understudy.suite.harness.player_messages import Channel
from understudy.suite.harness.player_server import PlayerServer


def player(monkeypatch: pytest.MonkeyPatch, make: Any, name: str = "spy/seed-0", actions: int = 5) -> Any:
    """Return a ChildPlayer whose server serves `make()`, made anew at each start."""

    class Threaded(ChildProcess):
        confinement = "thread"

        def __init__(self, launch: Launch) -> None:
            self.fault, self.moves, self.reach_moves = None, 0, None
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - until `close`
            requests_read, requests_write = os.pipe()
            replies_read, replies_write = os.pipe()
            self._channel = Channel(replies_read, requests_write, may_wait=False)
            there = Channel(requests_read, replies_write, may_wait=True)
            server = PlayerServer(make(), there, torch.device("cpu"))
            self._thread = threading.Thread(target=lambda: (server.serve(), there.close()), daemon=True)
            self._thread.start()
            self._kill: Any = self._channel.close

        def close(self) -> None:
            self._kill()
            self._thread.join()
            self._errors.close()

    monkeypatch.setattr(child_player, "ChildProcess", Threaded)
    return child_player.ChildPlayer(Launch(name, "none", (), {}, b"", actions, 1 << 24))
