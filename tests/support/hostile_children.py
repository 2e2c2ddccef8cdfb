"""A program that speaks the protocol of player processes up to one move, and then does something else.

usage, by `child_process` only: python -P -m support.hostile_children. Without torch it starts at once.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import time

from understudy.suite.harness.player_messages import ANSWER, HEADER, Ask, Channel, Reply, dumped

ROWS, ACTIONS = 3, 5
LOGITS = struct.pack("<15f", *([0.0, 0.0, 0.0, 0.0, 1.0] * ROWS))
NOTHING = bytes(32)


def answer(channel: Channel, size_bytes: int = 24, logits: bytes = LOGITS) -> None:
    """Answer a move."""
    channel.send(Reply.ANSWER, [ANSWER.pack(size_bytes, NOTHING), logits])


def tensors(sizes: dict[str, int]) -> bytes:
    """Return int64 tensors of zeros as safetensors, written by hand."""
    offsets = {name: {"dtype": "I64", "shape": [n], "data_offsets": [0, 8 * n]} for name, n in sizes.items()}
    head = json.dumps(offsets).encode()
    return struct.pack("<Q", len(head)) + head + bytes(8 * sum(sizes.values()))


def misbehave(channel: Channel, what: str) -> None:
    """Do something else than answer a move."""
    if what == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "exits":
        print("Traceback ...\nValueError: no \x1b[31mcolours", file=sys.stderr)
        sys.exit(3)
    elif what == "hangs":
        time.sleep(600)
    elif what == "answers something else":
        channel.send(Reply.DONE, [b"{}"])
    elif what == "answers too little":
        answer(channel, logits=LOGITS[:-4])
    elif what == "announces too much":
        os.write(1, HEADER.pack(1 << 40, Reply.ANSWER))
        time.sleep(600)
    elif what == "fails without a form":
        channel.send(Reply.FAILED, [b"[1, 2]"])
    elif what == "grows":
        answer(channel, size_bytes=1 << 40)


def main() -> None:
    """Serve, and misbehave at the move that LOAD names."""
    channel = Channel(0, 1, may_wait=True)
    moves = 0
    while True:
        kind, body = channel.receive(1 << 30)
        if kind == Ask.LOAD:
            asked = json.loads(bytes(body[4 : 4 + struct.unpack_from("<I", body)[0]]))
        if Ask(kind).name in asked.get("replies", {}):
            number, reply = asked["replies"][Ask(kind).name]
            channel.send(number, [bytes.fromhex(reply)])
        elif kind == Ask.LOAD:
            if asked["misbehaviour"] == "exits while it loads":
                sys.exit("no such weights")
            channel.send(Reply.DONE, [b'{"reach_moves":null}'])
        elif kind == Ask.INITIAL_STATE:
            form = ["int64", [ROWS + (asked["misbehaviour"] == "has other rows")]]
            channel.send(Reply.DONE, [dumped({"forms": {"age": form}, "size_bytes": 24})])
        elif kind == Ask.STEP and moves == asked["at"]:
            misbehave(channel, asked["misbehaviour"])
        elif kind == Ask.STEP:
            answer(channel)
            moves += 1
        elif kind in (Ask.GET, Ask.MOVED_WEIGHTS):
            channel.send(Reply.TENSORS, [tensors({"age": ROWS} if kind == Ask.GET else {})])
        elif kind == Ask.DIGEST:
            channel.send(Reply.DONE, [dumped({"sha256": "0" * 64, "size_bytes": 24})])
        elif kind == Ask.PARAMETERS:
            channel.send(Reply.DONE, [dumped({"sha256": "0" * 64})])


if __name__ == "__main__":
    main()
