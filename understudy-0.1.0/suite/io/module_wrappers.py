"""Name parts that `torch.compile` and data-parallel modules put into the keys of a state dict.

A wrapper holds the real module as an attribute, so that every key below it has one part more:
`network.0.weight` becomes `_orig_mod.network.0.weight`.
"""

from __future__ import annotations

# Sources: torch/_dynamo/eval_frame.py (OptimizedModule) and torch/nn/parallel/distributed.py, also
# torch/optim/swa_utils.py (AveragedModel), in https://github.com/pytorch/pytorch
WRAPPERS = ("_orig_mod", "module")


def unwrapped(name: str) -> str:
    """Return a key as the state dict of the module without its wrappers has it."""
    *path, parameter = name.split(".")
    return ".".join([part for part in path if part not in WRAPPERS] + [parameter])


def outermost(name: str) -> tuple[str, str] | None:
    """Return the path to a key's outermost wrapped module, and its wrappers; None if it has no wrapper.

    Of `_orig_mod.a.weight` that is ("", "_orig_mod"), of `a.module._orig_mod.b.weight`
    ("a", "module._orig_mod").
    """
    path = name.split(".")[:-1]
    wrapped = [part in WRAPPERS for part in path]
    if True not in wrapped:
        return None
    first = wrapped.index(True)
    end = wrapped.index(False, first) if False in wrapped[first:] else len(path)
    return ".".join(path[:first]), ".".join(path[first:end])
