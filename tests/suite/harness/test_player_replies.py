"""Replies of a player process, written by a stranger: each is of its form, or one line says so.

At commit 32d4ebc7 those of `TRACEBACKS` ended in a traceback, and those of `ACCEPTED` were taken.
"""

from __future__ import annotations

import json
import struct

import pytest
from support import hostile_children

from understudy.suite.errors import InputError
from understudy.suite.harness import child_player, states
from understudy.suite.harness.child_player import ChildPlayer
from understudy.suite.harness.child_process import Launch
from understudy.suite.harness.player_messages import Fault, Reply

DONE, TENSORS, FAILED = Reply.DONE, Reply.TENSORS, Reply.FAILED
DEEP = b"[" * 65_000
FORM = b'{"forms":{"age":["int64",%s]},"size_bytes":%s}'
FAULT = b'{"expected":"a","found":"b","advice":"c","move":%s,"lane":%s}'
HASH = b'{"sha256":%s,"size_bytes":%s}'
ZEROS = b'"' + b"0" * 64 + b'"'


def tensors(shape: list[int], size_bytes: int = 0, dtype: str = "I64") -> bytes:
    """Return the bytes of one tensor of zeros as safetensors, with a shape that it may not have."""
    head = json.dumps({"age": {"dtype": dtype, "shape": shape, "data_offsets": [0, size_bytes]}}).encode()
    return struct.pack("<Q", len(head)) + head + bytes(size_bytes)


TRACEBACKS = {
    "a load that is nested": ("LOAD", DONE, DEEP),
    "a state that is nested": ("INITIAL_STATE", DONE, DEEP),
    "a state of infinite size": ("INITIAL_STATE", DONE, FORM % (b"[3]", b"1e999")),
    "a state of an infinite dimension": ("INITIAL_STATE", DONE, FORM % (b"[3,1e999]", b"24")),
    "a failure that is nested": ("INITIAL_STATE", FAILED, DEEP),
    "a failure at an infinite move": ("INITIAL_STATE", FAILED, FAULT % (b"1e999", b"0")),
    "a failure in an infinite lane": ("INITIAL_STATE", FAILED, FAULT % (b"0", b"1e999")),
    "a failure to load that is nested": ("LOAD", FAILED, DEEP),
    "a size that is text": ("DIGEST", DONE, HASH % (ZEROS, b'"x"')),
    "a size that is null": ("DIGEST", DONE, HASH % (ZEROS, b"null")),
    "a size that is a list": ("DIGEST", DONE, HASH % (ZEROS, b"[1]")),
    "a size that is infinite": ("DIGEST", DONE, HASH % (ZEROS, b"1e999")),
    "a digest that is nested": ("DIGEST", DONE, DEEP),
    "a hash that is nested": ("PARAMETERS", DONE, DEEP),
    "a tensor that torch cannot make": ("GET", TENSORS, tensors([0, 1 << 63])),
    "weights that torch cannot make": ("MOVED_WEIGHTS", TENSORS, tensors([0, 1 << 63])),
}
ACCEPTED = {
    "a reach of 4,000 digits": ("LOAD", DONE, b'{"reach_moves":' + b"9" * 4_000 + b"}"),
    "a reach beyond int64": ("LOAD", DONE, b'{"reach_moves":9223372036854775808}'),
    "a reach that stands twice": ("LOAD", DONE, b'{"reach_moves":1,"reach_moves":2}'),
    "a state of negative size": ("INITIAL_STATE", DONE, FORM % (b"[3]", b"-99999999999999999999")),
    "a state that is smaller than its form": ("INITIAL_STATE", DONE, FORM % (b"[3]", b"0")),
    "a negative size": ("DIGEST", DONE, HASH % (ZEROS, b"-8")),
    "a size below the form's": ("DIGEST", DONE, HASH % (ZEROS, b"0")),
    "a hash that is a number": ("PARAMETERS", DONE, b'{"sha256":1}'),
    "a hash that is short": ("PARAMETERS", DONE, b'{"sha256":"00"}'),
}
REFUSED = {
    "a state of a negative dimension": ("INITIAL_STATE", DONE, FORM % (b"[3,-5]", b"24")),
    "a dimension that is text": ("INITIAL_STATE", DONE, FORM % (b'[3,"1"]', b"24")),
    "a failure before its move": ("INITIAL_STATE", FAILED, FAULT % (b"-1", b"0")),
    "a failure whose texts are lists": (
        "INITIAL_STATE",
        FAILED,
        b'{"expected":[1],"found":{},"advice":null,"move":0,"lane":0}',
    ),
    "a load of nothing": ("LOAD", DONE, b""),
    "a load that is a list": ("LOAD", DONE, b"[]"),
    "a reach of no moves": ("LOAD", DONE, b'{"reach_moves":0}'),
    "a reach that is no number": ("LOAD", DONE, b'{"reach_moves":NaN}'),
    "a state without rows": ("INITIAL_STATE", DONE, FORM % (b"[]", b"8")),
    "a huge state without rows": ("INITIAL_STATE", DONE, FORM % (b"[3,0,99999999999999999999]", b"0")),
    "a state of a huge product": ("INITIAL_STATE", DONE, FORM % (b"[3" + b",4294967296" * 9 + b"]", b"24")),
    "a state of many dimensions": ("INITIAL_STATE", DONE, FORM % (b"[3" + b",1" * 64 + b"]", b"24")),
    "a state of half a character": (
        "INITIAL_STATE",
        DONE,
        rb'{"forms":{"\ud800":["int64",[3]]},"size_bytes":24}',
    ),
    "a dtype that torch lacks": ("INITIAL_STATE", DONE, b'{"forms":{"age":["nn",[3]]},"size_bytes":24}'),
    "a failure that is a number": ("INITIAL_STATE", FAILED, b"7"),
    "a digest that is a list": ("DIGEST", DONE, b"[1]"),
    "tensors of another dtype": ("GET", TENSORS, tensors([3], 24, "U64")),
    "tensors of a dtype that torch lacks": ("GET", TENSORS, tensors([24], 24, "F8_E8M0")),
    "tensors that are cut": ("GET", TENSORS, tensors([3], 24)[:-1]),
    "no tensors": ("GET", TENSORS, b""),
    "tensors with a nested head": ("GET", TENSORS, struct.pack("<Q", len(DEEP)) + DEEP),
}


def asked_of_everything(replies):
    """Ask a process for all that it can be asked for but moves; return what it says of its state."""
    load = {"misbehaviour": "none", "at": -1, "replies": replies}
    player = ChildPlayer(Launch("spy/seed-0", "support.hostile_children", (), load, b"", 5, 1 << 24))
    with child_player.closing(player):
        state = player.initial_state(hostile_children.ROWS)
        if state.fault:
            player.raise_fault()
        found = states.size_bytes(state), player.digest_of(state), states.tensors(state)["age"].tolist()
        assert player.parameters_sha256() == "0" * 64
        assert player.weights(kept=False).moved() == {}
        player.reload()
        return found


@pytest.mark.parametrize("what", {**TRACEBACKS, **ACCEPTED, **REFUSED})
def test_a_reply_of_another_form_is_one_line(what):
    ask, kind, body = {**TRACEBACKS, **ACCEPTED, **REFUSED}[what]
    with pytest.raises(InputError) as caught:
        asked_of_everything({ask: [kind, body.hex()]})
    message = str(caught.value)
    assert message.startswith("spy/seed-0, before the first move: expected ")
    assert message.endswith("score it again")
    assert message.isprintable()
    assert len(message) < 600


def test_replies_of_their_form_are_taken():
    assert asked_of_everything({}) == (24, "0" * 64, [0, 0, 0])
    assert asked_of_everything({"LOAD": [DONE, b'{"reach_moves":9223372036854775807}'.hex()]})


def test_a_failure_keeps_its_texts_in_printable_characters():
    said = Fault(
        "an answer", "ValueError: \ud800 \N{RIGHT-TO-LEFT OVERRIDE}\n\x1b[2J \U0001f600", "mend it", 3, 1
    )
    with pytest.raises(InputError, match=r"ValueError: \\ud800 \\u202e \\x1b\[2J \U0001f600; mend it"):
        asked_of_everything({"INITIAL_STATE": [FAILED, said.dumped().hex()]})
