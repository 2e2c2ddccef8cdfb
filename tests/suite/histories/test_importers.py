"""Importers: their metadata, the import command, and its messages."""

from __future__ import annotations

from typing import Any

import pytest
from support.minari_data import image_space, minari_dataset, screens
from support.replay_shards import BREAKOUT, WRITERS, without_gap, write_replay_logs

from understudy import cli
from understudy.suite import registry
from understudy.suite.errors import InputError
from understudy.suite.histories import history_format, imported, importers


@pytest.mark.parametrize("name", importers.importers())
def test_every_importer_declares_what_a_run_lacks_and_its_source(name, tmp_path):
    if name in WRITERS:
        folder = WRITERS[name](tmp_path / "run", without_gap(0, 140))
    else:
        folder, _ = minari_dataset(tmp_path / "run", screens(84, 84), image_space(84, 84))
    opened = importers.importer(name).open(folder, BREAKOUT, None)
    assert any("can't be replayed" in line for line in opened.lacks)
    history = imported.record(
        tmp_path / "h.parquet", BREAKOUT, opened.blocks, opened.source, opened.lacks, tmp_path / "cache"
    )
    assert history.header.player["source"]["importer"] == name
    assert all(entry["bytes"] > 0 for entry in history.header.player["source"]["files"])
    assert history_format.read(tmp_path / "h.parquet").content_sha256 == history.content_sha256


def test_the_command_writes_a_history_and_warns(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))
    log = without_gap(0, 140)
    folder = write_replay_logs(tmp_path / "run", log)
    command = ["histories", "import", "dqn-replay", str(folder), "--game", "atari/breakout"]
    assert cli.main([*command, "--out", str(tmp_path / "out"), "--shards", "0:1"]) == 0
    shown = capsys.readouterr()
    path = tmp_path / "out" / "history.parquet"
    assert shown.out.splitlines()[0].startswith(f"{path}: 57 moves of atari/breakout")
    assert "can't be replayed, verified" in shown.out
    assert "warning: rewards are clipped to [-1, 1]" in shown.err
    assert history_format.read(path).num_moves == 57
    assert cli.main([*command, "--out", str(tmp_path / "out")]) == 2
    assert "exists already" in capsys.readouterr().err


def test_an_interrupted_import_leaves_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))
    folder = write_replay_logs(tmp_path / "run", without_gap(0, 140))

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("understudy.screen.ProgressDisplay.report", interrupted)
    out = tmp_path / "out"
    command = [
        "histories",
        "import",
        "dqn-replay",
        str(folder),
        "--game",
        "atari/breakout",
        "--out",
        str(out),
    ]
    assert cli.main(command) == 130
    assert "stopped; nothing was written" in capsys.readouterr().err
    assert not (out / "history.parquet").exists()
    assert not list((tmp_path / "cache").rglob("*.b2frame"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["dqn-repla", "x", "--game", "atari/breakout"],
            "unknown kind of import 'dqn-repla'; did you mean 'dqn-replay'",
        ),
        (["sb4", "x", "--game", "atari/breakout"], "did you mean 'sb3'"),
        (["dqn-replay", "x", "--game", "atari/brekout"], "did you mean 'breakout'"),
        (
            ["dqn-replay", "x", "--game", "atari/breakout", "--moves", "5"],
            "--moves: dqn-replay imports a recorded run",
        ),
        (["sb3", "x", "--game", "atari/breakout", "--shards", "0:1"], "--shards: sb3 is a trained player"),
        (
            ["minari", "x", "--game", "atari/breakout", "--shards", "0:1"],
            "--shards: minari data have no shards",
        ),
        (
            ["dqn-replay", "x", "--game", "atari/breakout", "--shards", "2:1"],
            "expected FIRST:END with FIRST < END",
        ),
        (["dqn-replay", "x", "--game", "atari/breakout"], "x: no such folder"),
    ],
)
def test_bad_usage_is_one_line(arguments, message, tmp_path, capsys):
    assert cli.main(["histories", "import", *arguments, "--out", str(tmp_path)]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1


def test_names_are_files():
    assert importers.importers() == ("dqn-replay", "minari", "torchrl")
    with pytest.raises(InputError, match="did you mean 'minari'"):
        importers.importer("minary")
    for name in importers.importers():
        assert hasattr(registry.load(importers.__name__, name, "IMPORTER"), "open")
