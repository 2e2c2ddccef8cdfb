"""Attack: a player's code reads, writes, connects or takes more than a player needs.

On commit 4a4ea00d it ran in the harness's own process, with everything that its user may do: `in_process`
does what was done there. The honest deed, reading its own files, works everywhere.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
import torch
from support import custom_players, deeds

from understudy.suite import games
from understudy.suite.harness import child_player, confinement
from understudy.suite.testing import imitator_checks

LIMITED = {"reads_variables", "takes_memory", "prints_a_lot", "opens_many_files"}  # by limits alone


@pytest.fixture
def source(tmp_path, monkeypatch):
    """The checkpoint of `support.deeds`, and somebody who listens."""
    submission, site = tmp_path / "submission", tmp_path / "site"
    (tmp_path / "secret").write_bytes(b"secret")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        command = Path("/proc/self/cmdline").read_bytes()
        custom_players.install(site, "deeds", SUBMISSION=str(submission), PORT=port, COMMAND=command)
        monkeypatch.syspath_prepend(str(site))
        yield custom_players.stranger(submission, "DOER")
    for name in [name for name in sys.modules if name.partition(".")[0] == custom_players.PACKAGE]:
        del sys.modules[name]


def done(player, only=deeds.DEEDS):
    """Return the names of the deeds that worked."""
    run = imitator_checks.random_timesteps(games.load("darkroom/goal-00"), 1, 1, 0)
    timestep = type(run)(*(field[:, 0] for field in run))
    worked = set()
    for deed in only:
        state = player.initial_state(1)  # the process names the form of its states
        state = {"age": torch.full((1,), deeds.DEEDS.index(deed))}
        logits, _ = player.step(timestep, state)
        worked |= {deed.__name__} if logits[0, 1] else set()
    return worked


def in_process(source):
    """Return what worked before, of the deeds that harm nobody."""
    harmless = [deed for deed in deeds.DEEDS if deed.__name__ not in LIMITED - {"reads_variables"}]
    return done(custom_players.here(source), harmless), {deed.__name__ for deed in harmless}


def test_in_bubblewrap_none_works(source):
    if not confinement._works():
        pytest.skip("bubblewrap is not installed, or may make no namespaces here")
    with child_player.closing(custom_players.in_child(source)) as player:
        assert child_player.confinement_of(player) == "bubblewrap"
        assert done(player) == {"reads_its_own_files"}


def test_by_limits_alone_some_do_not(source, monkeypatch):
    monkeypatch.setattr(confinement, "_works", lambda: False)
    with child_player.closing(custom_players.in_child(source)) as player:
        assert child_player.confinement_of(player) == "resource limits"
        worked = done(player)
    assert "reads_its_own_files" in worked
    assert not worked & LIMITED


def test_in_the_harness_all_of_them_worked(source):
    worked, tried = in_process(source)
    assert worked == tried - {"raises_a_limit"} or worked == tried  # only root may raise one
