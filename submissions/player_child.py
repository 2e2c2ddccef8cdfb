"""The program of a player process: it loads one checkpoint and serves it (`docs/player-process.md`).

usage, by the parent only: python -P -m understudy.submissions.player_child
"""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import torch
from torch import nn

from understudy.submissions import parameters
from understudy.submissions.checkpoint_source import CheckpointSource
from understudy.suite import custom_code, devices
from understudy.suite.benchmarks import declaration
from understudy.suite.custom_code import CustomCode
from understudy.suite.errors import InputError
from understudy.suite.harness import confinement, player_messages
from understudy.suite.harness.player_messages import Ask, Channel, Ended, Fault, Reply
from understudy.suite.harness.player_server import PlayerServer, reach_moves_of


def main() -> None:
    """Load the player that the parent asks for, and answer its requests."""
    channel = _channel()
    try:
        kind, body = channel.receive(player_messages.MOST_REQUEST_BYTES)
    except Ended:
        return
    (length,) = struct.unpack_from("<I", body)
    asked: dict[str, Any] = json.loads(bytes(body[4 : 4 + length]))
    assert (kind, asked["format"]) == (Ask.LOAD, player_messages.FORMAT), "of the same version"
    confinement.limit(asked["threads"], asked["device"] != devices.CPU)
    torch.set_num_threads(asked["threads"])
    with devices.computing(asked["device"]):
        try:
            player = devices.moved(_player(asked, bytes(body[4 + length :])), asked["device"])
        except (Exception, SystemExit) as error:  # whatever a stranger's code raises
            channel.send(Reply.FAILED, [_fault(error).dumped()])
            return
        channel.send(Reply.DONE, [player_messages.dumped({"reach_moves": reach_moves_of(player)})])
        PlayerServer(player, channel, devices.torch_device(asked["device"])).serve()


def _channel() -> Channel:
    """Return the channel to the parent, and have what the player reads or prints go elsewhere."""
    channel = Channel(os.dup(0), os.dup(1), may_wait=True)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return channel


def _player(asked: dict[str, Any], weights: bytes) -> nn.Module:
    code = asked["custom_code"]
    source = CheckpointSource(
        submission=Path(asked["submission"]),
        folder=asked["folder"],
        identity=asked["identity"],
        architecture=asked["architecture"],
        custom_code=None if code is None else CustomCode(**code),
        training=None,
        benchmark=declaration.parse(asked["benchmark"], "the benchmark"),
        watched=(),
    )
    return parameters.load_player_with(source, asked["redrawn"], weights)


def _fault(error: BaseException) -> Fault:
    if isinstance(error, InputError):
        return Fault("", str(error), "")
    what = f"{type(error).__name__}{custom_code.place_of(error)}: {custom_code.first_line(error)}"
    return Fault("a player that loads", what, "mend it there")


if __name__ == "__main__":
    main()
