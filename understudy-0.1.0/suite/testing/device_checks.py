"""Device checks of an imitator: on `meta` without an accelerator, and on CUDA where there is one."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn

from understudy.suite import devices
from understudy.suite.custom_code import first_line, place_of
from understudy.suite.errors import CheckFailed
from understudy.suite.protocols import Imitator, State, Timestep
from understudy.suite.testing import answers
from understudy.suite.testing.answers import at, fail, near, play

DEVICE_TOLERANCE = 1e-3  # the same on CUDA, whose kernels for one move and for many round otherwise
NEAR_TIE = 1e-3  # largest distance of logits between which another device may choose otherwise
OWN_DEVICE = (
    "make every tensor on the module's own device, e.g. torch.zeros(..., device=timestep.first.device)"
)


def check_device(imitator: Imitator, timesteps: Timestep) -> None:
    """Check, without an accelerator, that all that it makes is on its own device: a copy plays on `meta`.

    A tensor on `meta` has a form and no values, so nothing is computed, and mixing it with one of the CPU
    raises. An imitator that reads values on the CPU on purpose, and moves what it makes back, declares
    `computes_on_host = True`; of it only the initial state is checked. The imitator itself stays where it is.
    """
    if not isinstance(imitator, nn.Module):
        fail(
            f"it must be a torch.nn.Module, which can be moved to a device; found a {type(imitator).__name__}"
        )
    there: Any = _on_meta(imitator)
    timesteps = Timestep(*(field.to("meta") for field in timesteps))
    lanes = len(timesteps.first)
    made = functools.partial(there.initial_state, lanes)
    _require_on_meta("initial_state", _ran("initial_state", made))
    if getattr(imitator, "computes_on_host", False):
        return
    with torch.no_grad():
        for name, answer in (
            ("step", lambda: there.step(at(timesteps, 0), made())),
            ("unroll", lambda: there.unroll(timesteps, made())),
        ):
            logits, state = _ran(name, answer)
            _require_on_meta(name, {"logits": logits})
            _require_on_meta(name, state)


def check_cuda(imitator: Imitator, timesteps: Timestep, device: str = "cuda") -> None:
    """Check that a copy on a CUDA device acts as on the CPU, but for near-ties, and that a repeat is equal.

    Raises CheckFailed, and InputError without such a device, or if it uses an operation that has no
    deterministic form there.
    """
    legal = timesteps.legal_actions
    there: Any = _copied(cast(nn.Module, imitator), {})
    with torch.no_grad():
        expected = play(imitator, timesteps).masked_fill(~legal, -torch.inf)  # [B, T, A]
        with devices.computing(device):
            there, on_device = devices.moved(there, device), devices.torch_device(device)
            moved = Timestep(*(field.to(on_device) for field in timesteps))
            first, second = play(there, moved), play(there, moved)
            unrolled, _ = answers.unroll(there, moved, there.initial_state(len(legal)))
    if first.device != on_device:
        fail(f"step on {on_device} returned logits on {first.device}; {OWN_DEVICE}")
    if not torch.equal(first, second):
        fail(f"the same timesteps gave other logits the second time on {on_device}; draw nothing")
    near(
        first,
        unrolled,
        DEVICE_TOLERANCE,
        f"step and unroll differ on {on_device}",
        "compute the same for a move in both",
    )
    action = first.cpu().masked_fill(~legal, -torch.inf).argmax(-1, keepdim=True)
    gap = float((expected.amax(-1, keepdim=True) - expected.gather(-1, action)).max())
    if not gap <= NEAR_TIE:
        fail(
            f"on {on_device} it chooses actions whose logits on the CPU are {gap:.3g} below the highest, "
            f"more than {NEAR_TIE:g}; compute in float32 there too, and let nothing depend on the device"
        )


def _on_meta(module: nn.Module) -> nn.Module:
    """Return a copy of a module on `meta`; its parameters and buffers take no memory there."""
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)
    for buffer in module.buffers():
        memo[id(buffer)] = buffer.detach().to("meta")
    return _copied(module, memo).to("meta")


def _copied(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:
        fail(
            f"it cannot be copied, to be tried on another device ({first_line(error)}); keep tensors as "
            "parameters, buffers and state, and nothing else that copy.deepcopy refuses"
        )


def _ran(name: str, call: Callable[[], Any]) -> Any:
    """Return what a method returns on `meta`; CheckFailed, with the line of its code, if it raises."""
    try:
        return call()
    except CheckFailed:
        raise
    except Exception as error:
        advice = (
            "it reads the values of tensors there (.item(), .tolist(), .numpy(), `if tensor`): use masks and "
            "torch.where, or set computes_on_host = True if it does so on purpose"
            if isinstance(error, (NotImplementedError, TypeError)) or "item()" in str(error)
            else OWN_DEVICE
        )
        fail(f"{name} fails on another device than the CPU{place_of(error)}: {first_line(error)}; {advice}")


def _require_on_meta(name: str, tensors: State) -> None:
    for key, tensor in tensors.items():
        if not tensor.is_meta:
            advice = OWN_DEVICE
            if name == "initial_state":
                advice = "make it there: torch.zeros(..., device=next(self.parameters()).device)"
            fail(f"{name} made {key!r} on {tensor.device} while the module is on meta; {advice}")
